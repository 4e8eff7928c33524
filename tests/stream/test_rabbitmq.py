"""What only a real broker shows: routing, heartbeats, restarts, dead-letter queues, spares, and the command."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError
from kombu import Connection

from ctrader_app.broadcast.groups import price_group
from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.consumers.stream.topology import Topology
from ctrader_app.ledger import inbox
from ctrader_app.models import DeadLetter, Position, ProcessedEvent, TradingAccount
from tests.broadcast.recording import RecordingLayer
from tests.stream import events
from tests.stream.conftest import RunningWorker, TaskQueue, options_for
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess, make_folder
from tests.support.rabbitmq import RabbitMQServer
from tests.support.system import system_environment
from tests.support.waiting import wait_until

Start = Callable[..., RunningWorker]


@pytest.fixture
def options(amqp_url: str) -> StreamOptions:
    return options_for(amqp_url)


def send(options: StreamOptions, *messages: tuple[str, bytes]) -> None:
    events.publish(options.url, options.exchange, messages)


def drained(url: str, queue: str, count: int = 1000) -> list[Any]:
    """The messages in a queue, taken out of it."""
    with Connection(url) as connection:
        channel: Any = connection.default_channel
        found: list[Any] = []
        while len(found) < count and (message := channel.basic_get(queue, no_ack=True)) is not None:
            found.append(message)
        return found


def declared(options: StreamOptions) -> None:
    with Connection(options.url) as connection:
        Topology(options).declare(connection.default_channel)


MARKET = ["price.tick", "price.x.y", "price", "candle.update", "candle", "account.1.price.tick", "account.1.candle.x"]
STATE = [
    "positions.snapshot", "position.closed", "positions", "account.info", "account", "account.1.account.info",
    "account.1.position.closed", "account.1.positions.snapshot", "account.unheard.of", "account.1.2.price.tick",
]  # fmt: skip
FOREIGN = ["prices.tick", "order.filled", "x.price.tick", ""]


def test_every_key_of_the_contract_reaches_exactly_one_queue(options: StreamOptions) -> None:
    declared(options)
    declared(options)
    send(options, *[(key, key.encode()) for key in MARKET + STATE + FOREIGN])

    def keys(queue: str) -> list[str]:
        return [str(message.delivery_info["routing_key"]) for message in drained(options.url, queue)]

    market: list[str] = []
    state: list[str] = []

    def all_there() -> bool:
        market.extend(keys(f"{options.stem}.market"))
        state.extend(keys(f"{options.stem}.state"))
        return len(market) + len(state) >= len(MARKET + STATE)

    wait_until(all_there)
    assert sorted(market) == sorted(MARKET)
    assert sorted(state) == sorted(STATE)


def test_the_exchange_is_bound_with_the_contracts_patterns(options: StreamOptions, rabbitmq: RabbitMQServer) -> None:
    declared(options)
    vhost = options.url.rpartition("/")[2]
    listed = rabbitmq.control("list_bindings", "-p", vhost, "source_name", "routing_key")
    bound = {line.split("\t")[1] for line in listed.splitlines() if line.startswith(options.exchange)}
    assert bound == {"account.#", "price.#", "candle.#", "positions.#", "position.#"}


def test_the_queues_have_their_policies(options: StreamOptions, rabbitmq: RabbitMQServer) -> None:
    declared(replace(options, quorum=True))
    vhost = options.url.rpartition("/")[2]
    listed = rabbitmq.control("list_queues", "-p", vhost, "name", "type", "durable", "arguments")
    queues = {line.split("\t")[0]: line for line in listed.splitlines() if line.startswith(options.stem)}
    assert "quorum\ttrue" in queues[f"{options.stem}.state"]
    assert "x-dead-letter-exchange" in queues[f"{options.stem}.state"]
    for policy in ("x-max-length", "drop-head", "x-message-ttl", "classic\ttrue"):
        assert policy in queues[f"{options.stem}.market"]
    assert "x-max-length" in queues[f"{options.stem}.dead"]


@pytest.mark.parametrize("quorum", [True, False])
def test_what_cannot_be_used_is_in_the_dead_letter_queue_too(
    quorum: bool, account: TradingAccount, options: StreamOptions, start_worker: Start
) -> None:
    start_worker(quorum=quorum)
    send(options, ("price.tick", b"bad price"), ("position.closed", b"bad closure"))
    bodies: dict[bytes, Any] = {}

    def both() -> bool:
        for message in drained(options.url, f"{options.stem}.dead"):
            body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
            bodies[body] = message.headers
        return len(bodies) == 2

    wait_until(both)
    assert bodies[b"bad price"]["x-ctrader-reason"] == "not_json"
    assert bodies[b"bad closure"]["x-death"][0]["reason"] == "rejected"
    assert DeadLetter.objects.count() == 2


def test_it_works_on_after_the_broker_was_restarted(
    account: TradingAccount, rabbitmq: RabbitMQServer, start_worker: Start, layer: RecordingLayer, tasks: TaskQueue,
    options: StreamOptions,
) -> None:  # fmt: skip
    running = start_worker()
    send(options, ("price.tick", events.tick(account, 1.0)))
    wait_until(lambda: layer.values().get(price_group(account.pk, "EURUSD")) is not None)
    rabbitmq.restart()
    send(options, ("positions.snapshot", events.snapshot(account)))
    wait_until(lambda: ProcessedEvent.objects.count() == 1, 15)
    # The price before may be lost: whoever is not acknowledged does not wait for a worker that is away.
    wait_until(running.worker._market_reader.ready.is_set, 15)
    send(options, ("price.tick", events.tick(account, 2.0)))
    wait_until(lambda: layer.values()[price_group(account.pk, "EURUSD")][-1]["bid"] == 2.0)
    assert running.counts("reconnects") >= 2
    assert running.failure is None


def test_it_works_on_after_its_queues_were_deleted(
    account: TradingAccount, start_worker: Start, layer: RecordingLayer, options: StreamOptions
) -> None:
    running = start_worker()
    with Connection(options.url) as connection:
        channel: Any = connection.default_channel
        channel.queue_delete(f"{options.stem}.market")
        channel.exchange_delete(f"{options.stem}.in")
    wait_until(lambda: running.counts("reconnects") >= 1)
    wait_until(running.worker._market_reader.ready.is_set)
    send(options, ("price.tick", events.tick(account)))
    wait_until(lambda: len(layer.sent) == 1)


@pytest.fixture
def flood(account: TradingAccount, options: StreamOptions) -> Iterator[threading.Event]:
    """Ticks without a pause until the event is set."""
    enough = threading.Event()
    bodies = [("price.tick", events.tick(account, 1.0 + number)) for number in range(20)]

    def publish() -> None:
        while not enough.is_set():
            send(options, *bodies)

    thread = threading.Thread(target=publish)
    thread.start()
    yield enough
    enough.set()
    thread.join()


@pytest.mark.parametrize("busy", [True, False])
def test_the_broker_keeps_the_connection_whether_it_is_busy_or_idle(
    busy: bool, account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    running = start_worker(heartbeat_s=1.0)
    if busy:
        request.getfixturevalue("flood")
    # RabbitMQ closes a connection from which it heard nothing for two heartbeats.
    started_s = time.monotonic()
    wait_until(lambda: time.monotonic() - started_s > 5.0, 10)
    send(options, ("price.tick", events.tick(account, symbol="LAST")))
    wait_until(lambda: price_group(account.pk, "LAST") in layer.values())
    assert running.counts("reconnects") == 0
    assert running.counts("received.price.tick") > (1000 if busy else 0)


def test_a_state_event_outlasts_a_database_that_is_away_and_prices_go_on(
    account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer, tasks: TaskQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    running = start_worker(heartbeat_s=1.0)
    send(options, ("price.tick", events.tick(account, 1.0)))
    wait_until(lambda: len(layer.sent) == 1)
    is_away = True
    record = inbox.record

    def away(*args: Any) -> bool:
        if is_away:
            raise OperationalError("the database is away")
        return record(*args)

    monkeypatch.setattr(inbox, "record", away)
    send(options, ("position.closed", events.closed(account)), ("account.info", events.info(account)))
    wait_until(lambda: running.counts("held") >= 4)
    send(options, ("price.tick", events.tick(account, 2.0)))
    wait_until(lambda: layer.values()[price_group(account.pk, "EURUSD")][-1]["bid"] == 2.0)
    assert not DeadLetter.objects.exists()
    is_away = False
    wait_until(lambda: ProcessedEvent.objects.count() == 2)
    assert running.counts("reconnects") == 0


def test_the_task_queue_is_waited_for(
    account: TradingAccount, options: StreamOptions, start_worker: Start, tasks: TaskQueue
) -> None:
    tasks.failures = 3
    start_worker()
    send(options, ("position.closed", events.closed(account)))
    wait_until(lambda: len(tasks.runs) == 1)
    assert tasks.failures == 0


def test_it_gives_up_when_nothing_helps_and_loses_nothing(
    account: TradingAccount, options: StreamOptions, start_worker: Start, tasks: TaskQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:

        def away(*_args: Any) -> bool:
            raise OperationalError("the database is away for good")

        patch.setattr(inbox, "record", away)
        running = start_worker(error_budget=5)
        send(options, ("position.closed", events.closed(account)))
        running.thread.join(15)
        assert running.failure is not None
        assert "5 errors in a row" in str(running.failure)
    start_worker()
    wait_until(lambda: ProcessedEvent.objects.count() == 1)


def test_a_broker_that_is_not_there_uses_up_the_budget(sqlite_db: str, start_worker: Start) -> None:
    running = start_worker(wait=False, url=f"amqp://guest:guest@127.0.0.1:{free_port()}//", error_budget=4)
    running.thread.join(15)
    assert running.failure is not None
    assert "the broker is lost" in str(running.failure)


def test_a_defect_costs_one_event_and_can_be_replayed(
    account: TradingAccount, options: StreamOptions, start_worker: Start, tasks: TaskQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    calls: list[int] = []
    record = inbox.record

    def stumble(*args: Any) -> bool:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("a defect")
        return record(*args)

    monkeypatch.setattr(inbox, "record", stumble)
    start_worker()
    send(options, ("position.closed", events.closed(account)), ("account.info", events.info(account)))
    wait_until(lambda: ProcessedEvent.objects.count() == 1)
    letter = DeadLetter.objects.get()
    assert (letter.reason, json.loads(bytes(letter.body))["type"]) == ("handler_failed", "position.closed")


def test_a_spare_takes_over_and_until_then_order_is_kept(
    account: TradingAccount, options: StreamOptions, start_worker: Start, layer: RecordingLayer
) -> None:
    first, spare = start_worker(), start_worker()
    for number in range(50):
        send(options, ("price.tick", events.tick(account, 1.0 + number, occurred_at=events.at(number))))
    wait_until(lambda: first.counts("received.price.tick") + spare.counts("received.price.tick") == 50)
    assert {first.counts("received.price.tick"), spare.counts("received.price.tick")} == {0, 50}
    active, other = (first, spare) if first.counts("received.price.tick") else (spare, first)
    active.stop()
    send(options, ("price.tick", events.tick(account, 99.0, occurred_at=events.at(99))))
    wait_until(lambda: other.counts("received.price.tick") == 1)


# -- the command -------------------------------------------------------------------------------------------------

READY = "stream worker .* consuming ctrader.backend.market and ctrader.backend.state"


@contextmanager
def command(environment: dict[str, str]) -> Iterator[ManagedProcess]:
    process = ManagedProcess(
        "stream-worker", [sys.executable, "manage.py", "run_stream_worker"],
        log_path=make_folder("stream-worker") / "worker.log", env=environment,
    )  # fmt: skip
    with process:
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_runs_until_it_is_told_to_stop(
    number: signal.Signals, amqp_url: str, redis_url: str, account: TradingAccount, sqlite_db: str
) -> None:
    environment = system_environment(database_url=sqlite_db, amqp_url=amqp_url, redis_url=redis_url)
    with command(environment) as process:
        process.wait_for_log(READY, 30)
        events.publish(amqp_url, "ctrader.events", [("account.info", events.info(account))])
        wait_until(lambda: ProcessedEvent.objects.count() == 1)
        process.send_signal(number)
        assert process.wait_for_exit() == 0
        assert "stream worker stopped" in process.log()


def test_the_command_refuses_a_broker_that_is_in_its_own_memory(sqlite_db: str) -> None:
    with command(system_environment(database_url=sqlite_db, amqp_url="memory://")) as process:
        assert process.wait_for_exit(30) == 2
        lines = process.log().strip().splitlines()
    assert len(lines) == 1
    assert "AMQP_URL is memory://" in lines[0]


def test_what_a_killed_worker_held_is_handled_by_the_next(
    amqp_url: str, redis_url: str, account: TradingAccount, sqlite_db: str
) -> None:
    environment = system_environment(database_url=sqlite_db, amqp_url=amqp_url, redis_url=redis_url)
    with command(environment) as process:
        process.wait_for_log(READY, 30)
        bodies = [("position.closed", events.closed(account)) for _ in range(200)]
        events.publish(amqp_url, "ctrader.events", bodies)
        wait_until(lambda: ProcessedEvent.objects.count() >= 1)
        process.kill()
    assert ProcessedEvent.objects.count() < 200
    with command(environment) as process:
        wait_until(lambda: ProcessedEvent.objects.count() == 200, 30)
    assert Position.objects.count() == 1
    assert not DeadLetter.objects.exists()
