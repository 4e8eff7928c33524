"""After a gap the last prices and bars are read and relayed."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from channels.layers import channel_layers
from channels_redis.pubsub import RedisPubSubChannelLayer
from kombu import Connection
from pytest_django import Settings

from connectors.errors import ConnectionError as CannotConnect
from connectors.errors import RequestRefusedError
from ctrader_app.broadcast.broadcaster import get_broadcaster
from ctrader_app.broadcast.groups import candle_group, price_group
from ctrader_app.consumers.stream import repair
from ctrader_app.consumers.stream.counters import Tally
from ctrader_app.consumers.stream.market import MarketRelay
from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.consumers.stream.repair import Repair
from ctrader_app.domain.facts import CandleFact
from ctrader_app.ledger import leases
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import TradingAccount
from ctrader_app.operations import subscriptions
from tests.broadcast.recording import RecordingLayer
from tests.consumers.service import FakeService
from tests.stream import events
from tests.stream.conftest import RunningWorker
from tests.stream.listening import Listening
from tests.support.operations import Venue, start_microservice
from tests.support.processes import ManagedProcess, make_folder
from tests.support.system import STREAM_READY, system_environment
from tests.support.waiting import wait_until

Start = Callable[..., RunningWorker]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    """The microservice, as far as reads of streams go."""
    fake = FakeService()
    fake.bars = tuple(bar(number, 1.0 + number / 10) for number in range(3))
    monkeypatch.setattr("ctrader_app.operations.gateway.client", lambda: fake)
    return fake


def bar(number: int, close: float) -> CandleFact:
    """The bar that opened so many minutes after the tests' day began."""
    time_s = int(events.NOW.timestamp()) + 60 * number
    return CandleFact(time_s, Decimal(1), Decimal(2), Decimal(1), Decimal(str(close)), Decimal(5))


def want(account: TradingAccount, *symbols: str, timeframe: str = "") -> None:
    for symbol in symbols:
        leases.hold(Stream(account.pk, symbol, timeframe), "x", 60)


def closes(layer: RecordingLayer) -> list[float]:
    return [message["candle"]["close"] for message in layer.of("candle_update")]


def bids(layer: RecordingLayer, account: TradingAccount, symbol: str = "EURUSD") -> list[float]:
    return [price["bid"] for price in layer.values().get(price_group(account.pk, symbol), [])]


def test_a_reader_that_connects_brings_what_the_venue_says_now(
    account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer, service: FakeService
) -> None:
    want(account, "EURUSD", "GBPUSD")
    want(account, "EURUSD", timeframe="M1")
    running = start_worker()
    wait_until(lambda: len(layer.sent) == 5)
    assert bids(layer, account) == bids(layer, account, "GBPUSD") == [1.5]
    assert closes(layer) == [1.0, 1.1, 1.2]
    assert running.counts("repaired.price.tick") == 2
    assert running.counts("repaired.candle.update") == 3
    # And what is older than that comes too late, though the worker has relayed nothing before.
    late = service.quoted_at - timedelta(seconds=5)
    events.publish(options.url, options.exchange, [("price.tick", events.tick(account, 7.0, occurred_at=late))])
    wait_until(lambda: running.counts("stale.price.tick") == 1)
    assert bids(layer, account) == [1.5]


def test_a_venue_that_is_away_is_asked_again_and_one_that_refuses_is_not(
    account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer, service: FakeService
) -> None:
    want(account, *(f"S{number}" for number in range(20)))
    service.price_failure = CannotConnect("away")
    running = start_worker()
    # As many as are under way at once, not all of them; then again.
    wait_until(lambda: service.reads >= 2 * repair.AT_ONCE)
    assert layer.sent == []
    service.price_failure = None
    wait_until(lambda: running.counts("repaired.price.tick") == 20)
    assert service.reads < 20 + 8 * repair.AT_ONCE
    service.price_failure = RequestRefusedError("no such symbol", code="UNKNOWN_SYMBOL")
    before = service.reads
    running.worker._repair.connected()
    wait_until(lambda: service.reads == before + 20)
    service.price_failure = None
    running.worker._repair.connected()
    wait_until(lambda: running.counts("repaired.price.tick") == 40)
    assert service.reads == before + 40


def test_a_venue_that_hangs_keeps_no_worker_from_ending(
    account: TradingAccount, options: StreamOptions, start_worker: Start, service: FakeService
) -> None:
    want(account, "EURUSD", timeframe="M1")
    gate = service.before["candles"] = threading.Event()
    running = start_worker()
    wait_until(lambda: any(thread.name == "ctrader-repair" for thread in threading.enumerate()))
    running.worker.stop()
    running.thread.join(4)
    assert not running.thread.is_alive()
    gate.set()


class Clock:
    """Stands for the module ``time``."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(repair, "time", made)
    return made


def asked(fixer: Repair) -> bool:
    """Whether a gap was seen since the last question."""
    seen = fixer._wake.is_set()
    fixer._wake.clear()
    return seen


def test_prices_after_a_silence_are_a_gap_but_not_every_time(clock: Clock) -> None:
    fixer = Repair(MarketRelay(get_broadcaster(), Tally()), Tally(), threading.Event())
    fixer.connected()
    assert asked(fixer)
    seen: list[float] = []
    # Prices come at these seconds after the reader has connected; it is looked after each, and once in between.
    for second in (1, 2, 8, 9, 15, 40, 44, 50, 100):
        clock.now_s = 1000.0 + second
        fixer.notice(clock.now_s, 0)
        if asked(fixer):
            seen.append(second)
        fixer.notice(clock.now_s, 0)
    assert seen == [8, 40, 100]


def test_a_spare_that_takes_over_after_long_sees_a_gap(clock: Clock) -> None:
    fixer = Repair(MarketRelay(get_broadcaster(), Tally()), Tally(), threading.Event())
    fixer.connected()
    asked(fixer)
    clock.now_s += 300
    fixer.notice(0.0, 0)
    assert not asked(fixer)
    fixer.notice(clock.now_s, 0)
    assert asked(fixer)


def test_a_layer_that_takes_messages_again_was_a_gap(clock: Clock) -> None:
    fixer = Repair(MarketRelay(get_broadcaster(), Tally()), Tally(), threading.Event())
    for second, retries in ((0, 0), (1, 1), (2.5, 2), (4, 2)):
        clock.now_s = 1000.0 + second
        fixer.notice(0.0, retries)
        assert not asked(fixer)
    clock.now_s = 1004.5
    fixer.notice(0.0, 2)
    assert asked(fixer)
    clock.now_s = 1100.0
    fixer.notice(0.0, 2)
    assert not asked(fixer)


# -- with processes ----------------------------------------------------------------------------------------------


@pytest.fixture
def redis_layer(redis_url: str) -> Iterator[RedisPubSubChannelLayer]:
    """The layer that the worker's process feeds."""
    made = RedisPubSubChannelLayer(hosts=[redis_url])
    before = channel_layers.set("default", made)
    yield made
    channel_layers.backends.pop("default", None)
    if before is not None:
        channel_layers.set("default", before)


def test_what_was_lost_with_a_killed_worker_arrives_all_the_same(
    account: TradingAccount, amqp_url: str, redis_url: str, redis_layer: RedisPubSubChannelLayer, sqlite_db: str,
    tmp_path: Path, settings: Settings,
) -> None:  # fmt: skip
    microservice = start_microservice(tmp_path / "venue.sqlite3", amqp_url=amqp_url)
    settings.CTRADER_API_BASE_URL = microservice.base_url
    environment = system_environment(
        database_url=sqlite_db, amqp_url=amqp_url, redis_url=redis_url, api_base_url=microservice.base_url
    )
    worker = ManagedProcess(
        "stream-worker", [sys.executable, "manage.py", "run_stream_worker"],
        log_path=make_folder("stream-worker") / "worker.log", env=environment,
    )  # fmt: skip
    venue = Venue(microservice.base_url)
    prices, bars = price_group(account.pk, "EURUSD"), candle_group(account.pk, "EURUSD", "M1")
    try:
        with Listening(redis_layer, prices, bars) as page, worker:
            worker.wait_for_log(STREAM_READY, 30)
            for timeframe in ("", "M1"):
                subscriptions.acquire(account.pk, "EURUSD", timeframe, "page", 300)
            venue.move("EURUSD", 1.25)
            wait_until(lambda: page.last(prices).get("bid") == 1.25)
            wait_until(lambda: page.last(bars).get("time"))
            worker.kill()
            venue.move("EURUSD", 1.5)
            # A killed worker takes with it what it had in hand; here that is everything since.
            with Connection(amqp_url) as connection:
                channel: Any = connection.default_channel
                wait_until(lambda: channel.queue_purge("ctrader.backend.market") > 0)
            worker.start()
            worker.wait_for_log(STREAM_READY, 30)
            started_s = time.monotonic()
            wait_until(lambda: page.last(prices).get("bid") == 1.5, 5)
            wait_until(lambda: page.last(bars).get("close") == 1.5, 5)
            assert time.monotonic() - started_s < 5
    finally:
        microservice.stop()
