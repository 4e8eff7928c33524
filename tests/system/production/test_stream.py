"""The stream worker dies, the microservice restarts, and others publish rubbish: the books are right in the end."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db.models import Max
from kombu import Connection, Exchange, Queue

from ctrader_app.models import DeadLetter, Deal, Position, ReconciliationRun, StreamWorker
from tests.support.waiting import wait_until
from tests.system.client import Api, has_ticket
from tests.system.production.conftest import Production

CATCH_UP_S = 30.0


@pytest.mark.usefixtures("gbpusd_stands_still")
def test_what_was_closed_while_the_stream_worker_was_dead(production: Production, trader: Api) -> None:
    stopped = trader.opened(symbol="GBPUSD", stop_loss=1.28)
    kept = trader.opened(symbol="GBPUSD", stop_loss=1.20)
    rows = Position.objects.filter(account_id=trader.account_id, is_open=True)
    wait_until(lambda: rows.count() == 2, CATCH_UP_S, "both positions are in the books")
    unread = ReconciliationRun.objects.filter(account_id=trader.account_id, finished_at=None)
    wait_until(lambda: not unread.exists(), CATCH_UP_S, "all is read of what happened so far")
    production.system.stream.kill()
    production.venue.hold("GBPUSD", 1.27)
    assert list(trader.positions()) == [kept]
    assert rows.count() == 2
    production.system.stream.start()
    production.system.wait_ready(production.system.stream)
    closed = Position.objects.filter(account_id=trader.account_id, position_id=stopped, is_open=False, is_settled=True)
    wait_until(closed.exists, CATCH_UP_S, "the stop is in the books")
    assert list(rows.values_list("position_id", flat=True)) == [kept]
    deal = Deal.objects.get(account_id=trader.account_id, position_id=stopped, is_entry=False)
    assert (deal.reason, deal.direction) == ("sl", "SELL")
    assert [row["reason"] for row in trader.get("{}/deals") if row["entry"] == 1] == [4]


def test_prices_go_on_after_the_microservice_restarted(production: Production, trader: Api) -> None:
    assert production.system.microservice is not None
    with trader.prices() as prices:
        prices.wait_price()
        production.system.microservice.restart()
        production.system.wait_ready(production.system.microservice)
        restarted_at = datetime.now(UTC)
        while datetime.fromisoformat(prices.wait_price(timeout_s=CATCH_UP_S)["time"]) < restarted_at:
            continue


def _envelope(account_id: str, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "event_id": str(uuid.uuid4()), "event_version": 1, "source": "ctrader", "platform": "cTrader",
        "type": "positions.snapshot", "account_id": account_id, "occurred_at": now, "sent_at": now,
        "payload": {"open_positions": []},
    } | changes  # fmt: skip


def _rubbish(account_id: str) -> list[tuple[str, str, bytes]]:
    """(expected reason, routing key, body)."""
    good = json.dumps(_envelope(account_id)).encode()
    stranger = str(uuid.uuid4())
    price = {"symbol": "EURUSD", "bid": 1.1, "ask": 1.2, "time": datetime.now(UTC).isoformat()}
    return [
        ("not_json", "positions.snapshot", b"not json at all"),
        ("not_json", "position.closed", good[: len(good) // 2]),
        ("not_json", "price.tick", b"\x00\xff\xfe"),
        ("wrong_shape", "positions.snapshot", b"[]"),
        ("wrong_shape", "positions.snapshot", json.dumps(_envelope(account_id, payload={})).encode()),
        ("wrong_shape", "position.closed", json.dumps(_envelope(account_id, type="position.closed")).encode()),
        ("wrong_shape", "positions.snapshot", json.dumps(_envelope(account_id, event_id="7")).encode()),
        ("unknown_version", "positions.snapshot", json.dumps(_envelope(account_id, event_version=2)).encode()),
        ("unknown_account", f"account.{stranger}.positions.snapshot", json.dumps(_envelope(stranger)).encode()),
        (
            "unknown_account",
            "price.tick",
            json.dumps(_envelope(stranger, type="price.tick", payload=price)).encode(),
        ),
        ("unknown_account", "account.info", json.dumps(_envelope(account_id, broker_login="4711")).encode()),
    ]


def _ignored() -> int:
    return sum(int(worker.counters.get("ignored", 0)) for worker in StreamWorker.objects.all())


def _waiting_dead(production: Production) -> int:
    with Connection(production.amqp_url) as connection:
        declared: Any = Queue("ctrader.backend.dead", channel=connection.channel()).queue_declare(passive=True)
        return int(declared.message_count)


def test_rubbish_becomes_dead_letters_and_the_stream_goes_on(production: Production) -> None:
    trader = production.new_trader(broker_login=f"8{uuid.uuid4().int % 10**9}")
    last = DeadLetter.objects.aggregate(last=Max("pk"))["last"] or 0
    ignored, dead = _ignored(), _waiting_dead(production)
    rubbish = _rubbish(trader.account)
    events = Exchange("ctrader.events", type="topic", durable=True)
    with trader.prices() as prices, trader.account_socket() as socket:
        with Connection(production.amqp_url) as connection:
            producer = connection.Producer(exchange=events)
            for _, key, body in rubbish:
                producer.publish(body, routing_key=key, content_type="application/json", content_encoding="utf-8")
            unknown = json.dumps(_envelope(trader.account, type="weather.report")).encode()
            producer.publish(unknown, routing_key="account.weather", content_type="application/json")
        letters = DeadLetter.objects.filter(pk__gt=last)
        wait_until(lambda: letters.count() >= len(rubbish), CATCH_UP_S, lambda: f"{letters.count()} letters")
        wait_until(lambda: _ignored() > ignored, CATCH_UP_S, "the unknown type is counted")
        position_id = trader.opened()
        socket.wait_positions(has_ticket(position_id), "the new position")
        prices.wait_price()
    assert sorted((letter.reason, bytes(letter.body)) for letter in letters) == sorted(
        (reason, body) for reason, _, body in rubbish
    )
    assert set(letters.values_list("status", flat=True)) == {"new"}
    # The state queue's own dead letters are at the broker too.
    assert _waiting_dead(production) > dead
    assert list(trader.positions()) == [position_id]
