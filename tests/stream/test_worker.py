"""The worker as a whole, the same on the in-memory broker and on RabbitMQ."""

import gc
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from ctrader_app.broadcast.groups import account_group, candle_group, price_group
from ctrader_app.broadcast.messages import is_stale
from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.ledger import feeds, leases
from ctrader_app.ledger.feeds import News
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import DeadLetter, Position, ProcessedEvent, ReconciliationRun, StreamWorker, TradingAccount
from ctrader_app.operations.dead_letters import CannotReplayError, discard, replay
from tests.broadcast.recording import RecordingLayer
from tests.stream import events
from tests.stream.conftest import RunningWorker, TaskQueue
from tests.support.operations import make_account
from tests.support.waiting import wait_until

Start = Callable[..., RunningWorker]


def send(options: StreamOptions, *messages: tuple[str, bytes], **properties: Any) -> None:
    events.publish(options.url, options.exchange, messages, **properties)


def reasons() -> list[str]:
    return list(DeadLetter.objects.order_by("pk").values_list("reason", flat=True))


def test_market_data_reach_the_groups(
    account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer
) -> None:
    start_worker()
    send(options, ("price.tick", events.tick(account, 1.25)), ("candle.update", events.candle(account, close=1.5)))
    wait_until(lambda: len(layer.sent) == 2)
    sent = dict(layer.sent)
    price = sent[price_group(account.pk, "EURUSD")]
    age_s = price["price"].pop("age_s")
    assert -0.01 < time.time() - events.NOW.timestamp() - age_s < 20
    assert price["price"] == {
        "symbol": "EURUSD", "bid": 1.25, "ask": 1.35, "time": "2026-03-01T10:00:00.000Z",
        "timestamp": "2026-03-01T10:00:00.000Z",
    }  # fmt: skip
    assert price["at"] == events.NOW.timestamp()
    assert sent[candle_group(account.pk, "EURUSD", "M1")]["candle"] == {
        "symbol": "EURUSD", "timeframe": "M1", "time": 1772359200, "timestamp": "2026-03-01T10:00:00.000Z",
        "open": 1.0, "high": 2.0, "low": 1.0, "close": 1.5, "tick_volume": 5.0, "volume": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize("key", ["account.{}.price.tick", "account.{}.0.price.tick", "price.tick.more", "account.x"])
def test_a_tick_is_relayed_once_by_whatever_key_it_comes(
    key: str, account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer
) -> None:
    running = start_worker()
    send(options, (key.format(account.pk), events.tick(account)), ("price.tick", events.tick(account, symbol="LAST")))
    wait_until(lambda: price_group(account.pk, "LAST") in layer.values())
    wait_until(lambda: price_group(account.pk, "EURUSD") in layer.values())
    assert running.counts("received.price.tick") == 2


def test_state_events_have_their_effects_once(
    account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer, tasks: TaskQueue
) -> None:
    running = start_worker()
    snapshot, closed, info = events.snapshot(account, events.POSITION), events.closed(account), events.info(account)
    for _ in range(3):
        send(options, ("positions.snapshot", snapshot), (f"account.{account.pk}.position.closed", closed),
             ("account.info", info))  # fmt: skip
    wait_until(lambda: running.counts("repeated.account.info") == 2)
    assert ProcessedEvent.objects.count() == 3
    assert {run.pk for run in ReconciliationRun.objects.all()} == set(tasks.runs)
    position = Position.objects.get()
    assert (position.position_id, position.is_open) == ("101", False)
    account.refresh_from_db()
    assert account.equity == 1010
    wait_until(lambda: len(layer.sent) >= 2)
    assert [row["ticket"] for row in layer.of("open_positions_update")[0]["open_positions"]] == [101]
    assert len(layer.of("open_positions_update")) == len(layer.of("account_info_update")) == 1
    assert layer.of("pending_orders_update") == []
    assert {group for group, _ in layer.sent} == {account_group(account.pk)}


def test_a_state_event_under_a_market_key_is_as_safe_as_any(
    account: TradingAccount, options: StreamOptions, start_worker: Start, tasks: TaskQueue
) -> None:
    running = start_worker()
    send(options, ("price.tick", events.closed(account)), (f"account.{account.pk}.candle.x", events.snapshot(account)))
    wait_until(lambda: ProcessedEvent.objects.count() == 2)
    assert running.counts("passed_on") == 2
    assert running.counts("repeated.position.closed") == running.counts("repeated.positions.snapshot") == 0


BAD = [
    (b"", "not_json"),
    (b"{", "not_json"),
    (b"\xff\xfe", "not_json"),
    (b"[1, 2]", "wrong_shape"),
    (events.encode(events.envelope("price.tick", "1000001", {"symbol": "EURUSD"})), "wrong_shape"),
    (events.tick("1000001", event_version=2), "unknown_version"),
    (events.tick("999"), "unknown_account"),
    (events.tick("1000001", broker_login="1000002"), "unknown_account"),
    (events.snapshot("9e107d9d-372b-4f00-8d4c-3a1b0c2d4e5f"), "unknown_account"),
]


@pytest.mark.parametrize("key", ["price.tick", "position.closed"])
def test_bad_input_is_kept_with_its_reason_and_the_stream_goes_on(
    key: str,
    account: TradingAccount,
    options: StreamOptions,
    start_worker: Start,
    layer: RecordingLayer,
    tasks: TaskQueue,
) -> None:
    running = start_worker()
    bad = [(key, body) for body, _ in BAD]
    send(options, *bad, headers={"x-note": "odd"}, content_type="image/png", content_encoding="utf-16")
    send(options, (key, events.tick(account)))
    wait_until(lambda: price_group(account.pk, "EURUSD") in layer.values())
    wait_until(lambda: len(reasons()) == len(BAD))
    assert sorted(reasons()) == sorted(reason for _, reason in BAD)
    letters = {bytes(letter.body): letter for letter in DeadLetter.objects.all()}
    for body, reason in BAD:
        letter = letters[body]
        assert (letter.reason, letter.routing_key, letter.size) == (reason, key, len(body))
        assert letter.headers["x-note"] == "odd"
    assert sum(running.counts(f"dead_lettered.{reason}") for reason in {reason for _, reason in BAD}) == len(BAD)


def test_an_unknown_type_is_ignored_and_counted(
    account: TradingAccount, options: StreamOptions, start_worker: Start
) -> None:
    running = start_worker()
    body = events.encode(events.envelope("margin.call", account, {}))
    send(options, ("price.tick", body), ("positions.x", body))
    wait_until(lambda: running.counts("ignored") == 2)
    assert not DeadLetter.objects.exists()


def test_a_dead_letter_can_be_replayed_once_its_cause_is_mended(
    account: TradingAccount,
    options: StreamOptions,
    start_worker: Start,
    tasks: TaskQueue,
    settings: Any,
) -> None:
    settings.AMQP_URL, settings.AMQP_EVENTS_QUEUE = options.url, options.stem
    running = start_worker()
    send(options, ("position.closed", events.closed("1000777")), ("price.tick", b"rubbish"))
    wait_until(lambda: sorted(reasons()) == ["not_json", "unknown_account"])
    lost = DeadLetter.objects.get(reason="unknown_account")
    make_account(broker_login="1000777")
    # An account that was not known is asked for again after a while.
    running.worker._accounts._unknown.clear()
    replay(lost.pk)
    wait_until(lambda: Position.objects.filter(account__broker_login="1000777").exists())
    lost.refresh_from_db()
    assert lost.status == "replayed"
    with pytest.raises(CannotReplayError, match="replayed before"):
        replay(lost.pk)
    hopeless = DeadLetter.objects.get(reason="not_json")
    replay(hopeless.pk)
    wait_until(lambda: reasons().count("not_json") == 2)
    assert discard(DeadLetter.objects.get(reason="not_json", status="new").pk)
    assert not discard(hopeless.pk)


def test_it_signs_and_takes_its_leave(account: TradingAccount, options: StreamOptions, start_worker: Start) -> None:
    running = start_worker()
    send(options, ("price.tick", events.tick(account)))

    def signed() -> bool:
        sign = StreamWorker.objects.first()
        return sign is not None and sign.counters.get("received.price.tick") == 1 and sign.last_event_at is not None

    wait_until(signed)
    running.stop()
    assert not StreamWorker.objects.exists()
    assert running.failure is None


def test_a_feed_that_falls_silent_is_called_stale_until_it_speaks_again(
    account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer, settings: Any
) -> None:
    settings.CTRADER_STALE_AFTER_SECONDS = 1
    for symbol in ("EURUSD", "GBPUSD"):
        leases.hold(Stream(account.pk, symbol, ""), "x", 60)
        leases.confirm(Stream(account.pk, symbol, ""))
    start_worker()

    def kinds(symbol: str) -> list[str]:
        group = price_group(account.pk, symbol)
        return ["stale" if is_stale(message) else "price" for to, message in list(layer.sent) if to == group]

    bid = 1.0

    def speak() -> None:
        nonlocal bid
        bid += 1
        now = datetime.now(UTC)
        send(options, ("price.tick", events.tick(account, bid, quoted_at=now, occurred_at=now)))

    def silent_one_is_told() -> bool:
        speak()
        return "stale" in kinds("GBPUSD")

    wait_until(silent_one_is_told)
    assert set(kinds("EURUSD")) == {"price"}
    wait_until(lambda: kinds("EURUSD")[-1] == "stale")
    assert layer.values()[price_group(account.pk, "EURUSD")][-1]["bid"] == bid
    told_before = kinds("EURUSD").count("stale")
    speak()
    wait_until(lambda: kinds("EURUSD")[-1] == "price")
    wait_until(lambda: kinds("EURUSD").count("stale") > told_before)


def test_what_another_worker_hears_is_not_called_stale_here(
    account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer, settings: Any
) -> None:
    settings.CTRADER_STALE_AFTER_SECONDS = 1
    for symbol in ("HEARD", "SILENT"):
        leases.hold(Stream(account.pk, symbol, ""), "x", 60)
        leases.confirm(Stream(account.pk, symbol, ""))
    start_worker()

    def told() -> set[str]:
        feeds.note({price_group(account.pk, "HEARD"): News(time.time())})  # as another worker does
        return {message["price"]["symbol"] for _, message in list(layer.sent) if is_stale(message)}

    wait_until(told)
    started_s = time.monotonic()
    wait_until(lambda: told() and time.monotonic() - started_s > 1.0)
    assert told() == {"SILENT"}


def test_an_account_that_is_deleted_is_noticed(
    account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer
) -> None:
    start_worker()
    send(options, ("price.tick", events.tick(account)))
    wait_until(lambda: len(layer.sent) == 1)
    account.delete()

    def refused() -> bool:
        send(options, ("price.tick", events.tick("1000001")))
        return "unknown_account" in reasons()

    wait_until(refused)


@pytest.fixture(autouse=True)
def _close(request: pytest.FixtureRequest) -> Any:
    yield
    connection.close()
    gc.collect()
