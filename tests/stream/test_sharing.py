"""Workers that share the market data: on a RabbitMQ with the plugin, and on one without."""

import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from channels.layers import channel_layers
from channels_redis.pubsub import RedisPubSubChannelLayer
from kombu import Connection

from ctrader_app.consumers.stream.market import MarketRelay
from ctrader_app.consumers.stream.options import StreamOptions, stream_options
from ctrader_app.consumers.stream.sharing import rank
from ctrader_app.consumers.stream.topology import Topology
from ctrader_app.models import StreamWorker, TradingAccount
from ctrader_app.operations.queues import PARTITIONS
from ctrader_app.wire.events import PriceTick
from tests.stream import events
from tests.stream.conftest import RunningWorker, options_for
from tests.stream.sharing import Browsers, Venue, make_accounts, trading
from tests.stream.test_rabbitmq import FOREIGN, MARKET, STATE, drained
from tests.support.processes import ManagedProcess, make_folder
from tests.support.rabbitmq import RabbitMQServer
from tests.support.system import STREAM_READY, system_environment
from tests.support.waiting import wait_until

Start = Callable[..., RunningWorker]

ACCOUNTS = 200
MOVE_S = 5.0
"""Within which a share has to have moved."""


@pytest.fixture(scope="module")
def hashing_rabbitmq() -> Iterator[RabbitMQServer]:
    with RabbitMQServer(plugins=["rabbitmq_consistent_hash_exchange"]) as server:
        yield server


@pytest.fixture
def options(hashing_rabbitmq: RabbitMQServer) -> StreamOptions:
    return replace(options_for(hashing_rabbitmq.url(hashing_rabbitmq.fresh_vhost())), shared=True)


@pytest.fixture
def accounts(sqlite_db: str) -> list[TradingAccount]:
    return make_accounts(ACCOUNTS)


@pytest.fixture
def venue(options: StreamOptions, accounts: list[TradingAccount]) -> Iterator[Venue]:
    declare(options)
    with Venue(options.url, options.exchange, accounts) as made:
        yield made


def declare(options: StreamOptions) -> None:
    with Connection(options.url) as connection:
        Topology(options).declare(connection.default_channel)


# -- routing -----------------------------------------------------------------------------------------------------


def market_queues(options: StreamOptions) -> list[str]:
    return [f"{options.stem}.market", *(f"{options.stem}.market.{number}" for number in range(PARTITIONS))]


def test_every_key_reaches_exactly_one_queue_whatever_the_setting_was_before(options: StreamOptions) -> None:
    """Turned on, off and on again, as when workers of both settings take turns."""
    sent = MARKET + STATE + FOREIGN
    for shared in (True, False, True):
        declare(replace(options, shared=shared))
        events.publish(options.url, options.exchange, [(key, key.encode()) for key in sent])
        found: dict[str, list[str]] = defaultdict(list)

        def all_there(found: dict[str, list[str]] = found) -> bool:
            for queue in (*market_queues(options), f"{options.stem}.state"):
                found[queue] += [str(message.delivery_info["routing_key"]) for message in drained(options.url, queue)]
            return sum(map(len, found.values())) >= len(MARKET + STATE)

        wait_until(all_there)
        assert sorted(found.pop(f"{options.stem}.state")) == sorted(STATE)
        unshared = found.pop(f"{options.stem}.market")
        assert sorted([] if shared else MARKET) == sorted(unshared)
        assert sorted(MARKET if shared else []) == sorted(key for keys in found.values() for key in keys)


def test_an_account_stays_in_its_queue_and_who_has_no_header_shares_one(
    options: StreamOptions, venue: Venue, accounts: list[TradingAccount]
) -> None:
    def spread() -> dict[str, int]:
        counts = {queue: len(drained(options.url, queue)) for queue in market_queues(options)}
        return {queue: count for queue, count in counts.items() if count}

    venue.publish_round()
    once = spread()
    assert sum(once.values()) == ACCOUNTS
    assert len(once) > PARTITIONS / 2
    declare(options)  # as each worker does
    for _ in range(2):
        venue.publish_round()
    assert spread() == {queue: 2 * count for queue, count in once.items()}
    venue.publish_round(with_header=False)
    assert list(spread().values()) == [ACCOUNTS]


def test_what_came_while_nobody_was_there_is_read_by_whoever_comes_first(
    options: StreamOptions, venue: Venue, start_worker: Start
) -> None:
    declare(replace(options, shared=False))
    venue.publish_round()
    declare(options)
    venue.publish_round()
    running = start_worker()
    wait_until(lambda: running.counts("received.price.tick") == venue.published)


# -- workers -----------------------------------------------------------------------------------------------------


class Arrivals:
    """Which relay was handed which bid of which account, in order."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.by_relay: dict[int, dict[UUID, list[float]]] = defaultdict(lambda: defaultdict(list))
        tick = MarketRelay.tick

        def noted(relay: MarketRelay, account_id: UUID, event: PriceTick) -> None:
            self.by_relay[id(relay)][account_id].append(event.bid)
            tick(relay, account_id, event)

        patch.setattr(MarketRelay, "tick", noted)

    def count(self) -> int:
        """Of all of them."""
        return sum(len(bids) for relay in list(self.by_relay.values()) for bids in list(relay.values()))

    def all_of(self, account_id: UUID) -> list[float]:
        """The bids of an account, whoever was handed them, in ascending order."""
        return sorted(bid for relay in self.by_relay.values() for bid in relay.get(account_id, []))


def received(workers: list[RunningWorker]) -> int:
    return sum(each.counts("received.price.tick") for each in workers)


@pytest.mark.parametrize("count", [2, 4])
def test_joining_and_leaving_move_a_share_and_lose_double_and_reorder_nothing(
    count: int, venue: Venue, accounts: list[TradingAccount], start_worker: Start, monkeypatch: pytest.MonkeyPatch,
    hashing_rabbitmq: RabbitMQServer,
) -> None:  # fmt: skip
    arrivals = Arrivals(monkeypatch)
    workers = [start_worker()]
    with trading(venue):
        for _ in range(count - 1):
            joined = start_worker()
            workers.append(joined)
            wait_until(lambda joined=joined: joined.counts("received.price.tick") > 0, MOVE_S)  # type: ignore[misc]
        start = [each.counts("received.price.tick") for each in workers]
        wait_until(lambda: all(each.counts("received.price.tick") > n for each, n in zip(workers, start, strict=True)))
        workers[0].stop()
        left = workers[0].counts("received.price.tick")
        back = start_worker()
        wait_until(lambda: back.counts("received.price.tick") > 0, MOVE_S)
        assert workers[0].counts("received.price.tick") == left
        workers.append(back)
    # A tick is counted as received a moment before it is handed on.
    wait_until(lambda: received(workers) >= venue.published and arrivals.count() >= venue.published, 20)
    expected = [float(number + 1) for number in range(venue.rounds)]
    assert [account.pk for account in accounts if arrivals.all_of(account.pk) != expected] == []
    assert received(workers) == venue.published
    for relay in arrivals.by_relay.values():
        assert [account for account, bids in relay.items() if bids != sorted(bids)] == []
    assert sum(each.counts("reconnects") for each in workers) == 0
    assert "Restarting crashed queue" not in hashing_rabbitmq.process.log()


def readers_of(options: StreamOptions, server: RabbitMQServer) -> dict[str, str]:
    """Which worker reads each market queue now: its member's name by queue."""
    vhost = options.url.rpartition("/")[2]
    rows = server.control(
        "list_consumers", "-p", vhost, "queue_name", "consumer_tag", "activity_status", "--no-table-headers"
    )
    found = {}
    for row in rows.splitlines():
        queue, tag, status = row.split("\t")
        if status == "single_active" and ".market" in queue:
            found[queue] = tag.partition(".")[0]
    return found


def test_each_queue_is_read_by_the_one_of_the_highest_rank(
    options: StreamOptions, venue: Venue, hashing_rabbitmq: RabbitMQServer, start_worker: Start
) -> None:
    def expected(workers: list[RunningWorker]) -> dict[str, str]:
        members = [each.worker._market_reader._share._member for each in workers]  # type: ignore[union-attr]
        return {queue: max(members, key=lambda member: rank(member, queue)) for queue in market_queues(options)}

    workers = [start_worker() for _ in range(3)]
    wait_until(lambda: readers_of(options, hashing_rabbitmq) == expected(workers), MOVE_S)
    workers[1].stop()
    left = [workers[0], workers[2]]
    wait_until(lambda: readers_of(options, hashing_rabbitmq) == expected(left), MOVE_S)
    assert len(set(expected(left).values())) == 2


def test_they_share_again_after_the_broker_has_cut_them_off(
    venue: Venue, options: StreamOptions, accounts: list[TradingAccount], start_worker: Start,
    hashing_rabbitmq: RabbitMQServer,
) -> None:  # fmt: skip
    workers = [start_worker(), start_worker()]
    venue.publish_round()
    wait_until(lambda: received(workers) == ACCOUNTS)
    hashing_rabbitmq.close_connections()
    wait_until(lambda: all(each.counts("reconnects") >= 2 for each in workers), 15)
    wait_until(lambda: all(each.worker._market_reader.ready.is_set() for each in workers), 15)
    before = [each.counts("received.price.tick") for each in workers]
    with Venue(options.url, options.exchange, accounts) as again, trading(again):
        wait_until(
            lambda: all(each.counts("received.price.tick") > n for each, n in zip(workers, before, strict=True)), 15
        )


# -- processes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def redis_layer(redis_url: str) -> Iterator[RedisPubSubChannelLayer]:
    """This process's channel layer is the one of the workers."""
    made = RedisPubSubChannelLayer(hosts=[redis_url])
    before = channel_layers.set("default", made)
    yield made
    channel_layers.backends.pop("default", None)
    if before is not None:
        channel_layers.set("default", before)


def test_a_killed_process_leaves_its_share_to_the_others_and_takes_part_again_when_it_is_back(
    sqlite_db: str, redis_url: str, redis_layer: RedisPubSubChannelLayer, options: StreamOptions, venue: Venue,
    accounts: list[TradingAccount],
) -> None:  # fmt: skip
    environment = system_environment(
        database_url=sqlite_db, amqp_url=options.url, redis_url=redis_url,
        extra={
            "AMQP_MARKET_SHARED": "true", "AMQP_STATE_QUEUE_TYPE": "classic",
            "AMQP_EVENTS_EXCHANGE": options.exchange, "AMQP_EVENTS_QUEUE": options.stem,
        },
    )  # fmt: skip
    folder = make_folder("sharing")
    first, second = (
        ManagedProcess(
            name, [sys.executable, "manage.py", "run_stream_worker"], log_path=folder / f"{name}.log", env=environment
        )
        for name in ("first", "second")
    )

    def relays(process: ManagedProcess) -> bool:
        sign = StreamWorker.objects.filter(name__endswith=f":{process.pid}").first()
        return sign is not None and sign.counters.get("relayed.price.tick", 0) > 0

    with first, Browsers(accounts, redis_layer) as browsers:
        first.wait_for_log(STREAM_READY, 30)
        with trading(venue, pause_s=0.1), second:
            wait_until(lambda: relays(first) and relays(second), 30)
            first.kill()
            bid = venue.rounds
            wait_until(lambda: browsers.all_have(bid + 1), MOVE_S)
            first.start()
            wait_until(lambda: relays(first), 30)
            second.kill()
            bid = venue.rounds
            wait_until(lambda: browsers.all_have(bid + 1), MOVE_S)
        assert browsers.gone_back() == []
    assert "its share of" in first.log()


# -- without the plugin ------------------------------------------------------------------------------------------


def test_a_broker_without_the_plugin_is_named_and_the_worker_gives_up(
    sqlite_db: str, amqp_url: str, layer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ctrader_app.consumers.stream.reader")
    running = RunningWorker(replace(options_for(amqp_url), shared=True, error_budget=4))
    running.thread.join(15)
    assert "4 errors in a row" in str(running.failure)
    said = {record.getMessage() for record in caplog.records}
    for text in (str(running.failure), *said):
        assert "rabbitmq-plugins enable rabbitmq_consistent_hash_exchange" in text
        assert "AMQP_MARKET_SHARED" in text
        assert "\n" not in text


def test_in_memory_nothing_is_shared(settings: Any) -> None:
    settings.AMQP_URL, settings.AMQP_MARKET_SHARED = "memory://", True
    options = stream_options()
    assert (options.shared, options.shares_market, Topology(options).shared) == (True, False, None)
    settings.AMQP_URL = "amqp://broker//"
    assert stream_options().shares_market
