"""``place_trade_sync`` beside a bare Celery task that does the same POST, on PostgreSQL, RabbitMQ and Redis.

Ours writes the intent down, claims it, sends it, records the outcome with its audit trail and stores the task's
result; the bare task does none of that and forgets what it sent when it dies. Both have two worker processes.
"""

import importlib
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from types import ModuleType

from django.contrib.auth import get_user_model
from django.test.utils import override_settings

import benchmarks.site  # noqa: F401 - sets Django up for the imports below
from benchmarks.measure import ROUNDS, Row, at_least, at_most, median_rate, p50_side_by_side
from config.celery import app as celery_app
from connectors.trading_service import TradingService
from ctrader_app.models import Operation, TradingAccount
from tests.support.database import django_on, migrate
from tests.support.postgres import PostgresServer
from tests.support.processes import ManagedProcess, make_folder
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer
from tests.support.system import ProductionSystem

WORKERS = 2
BATCH = 200
"""Orders in flight at once for a rate: enough to keep both workers busy, few enough to end in a second."""

ORDER = {"symbol": "EURUSD", "direction": "BUY", "volume": 0.01, "order_type": "LIMIT", "limit_price": 0.5}
"""A working order far from the market: thousands of them need no margin."""

ACCOUNTS = 20
"""The venue takes 1,000 working orders an account; these share some four thousand."""

OLD_OPERATIONS = 100_000


def measure() -> list[Row]:
    """Latency and rate, and what a table full of finished operations does to them."""
    with _servers() as bare:
        fresh = _compare(bare)
        _fill(OLD_OPERATIONS)
        full = _compare(bare)
    p50, rate, bare_p50, bare_rate = fresh
    old = f"after {OLD_OPERATIONS:,} operations"
    return [
        at_most("place_trade_sync, p50", p50, bare_p50, "ms", "bare Celery task", 2.5),
        at_least("place_trade rate, 2 workers", rate, bare_rate, "/s", "bare Celery task", 0.5),
        at_most(f"p50 {old}, to the bare task's", full[0] / full[2], p50 / bare_p50, "x", "the same before", 1.1),
        at_least(f"rate {old}, to the bare task's", full[1] / full[3], rate / bare_rate, "x", "the same before", 0.9),
    ]


@contextmanager
def _servers() -> Iterator[ModuleType]:
    """Everything started, Django and Celery of this process pointed at it; the bare peer's module."""
    with ExitStack() as stack:
        rabbitmq = stack.enter_context(RabbitMQServer())
        postgres = stack.enter_context(PostgresServer())
        redis = stack.enter_context(RedisServer())
        database_url = postgres.url(postgres.create_database())
        migrate(database_url)
        system = ProductionSystem(
            database_url=database_url,
            amqp_url=rabbitmq.url(),
            redis_url=redis.url(0),
            microservice_arguments=["--speed", "0"],
            concurrency=WORKERS,
            extra_env={"DJANGO_LOG_LEVEL": "WARNING", "DATABASE_CONN_MAX_AGE": "600"},
        )
        stack.callback(system.close)
        assert system.microservice is not None
        for process in (system.microservice, system.worker):
            process.start()
            system.wait_ready(process)
        os.environ.update(system.env, BARE_RESULTS_URL=redis.url(1))
        stack.enter_context(django_on(database_url))
        stack.enter_context(override_settings(CTRADER_API_BASE_URL=system.api_base_url))
        options = {"confirm_publish": True, "max_retries": 0}
        celery_app.conf.update(broker_url=rabbitmq.url(), broker_transport_options=options)
        stack.enter_context(_bare_worker(system))
        yield importlib.import_module("benchmarks.peers.bare_task")


@contextmanager
def _bare_worker(system: ProductionSystem) -> Iterator[None]:
    folder = make_folder("bare")
    # A line in the log for each task, as ours has.
    arguments = ["-m", "celery", "-A", "benchmarks.peers.bare_task", "worker", "-Q", "bare", "--loglevel", "INFO"]
    arguments += ["--concurrency", str(WORKERS), "--without-gossip", "--without-mingle", "-n", "bare@%h"]
    env = {**system.env, "BARE_RESULTS_URL": os.environ["BARE_RESULTS_URL"]}
    worker = ManagedProcess("bare-worker", [sys.executable, *arguments], log_path=folder / "worker.log", env=env)
    with worker:
        yield
    shutil.rmtree(folder, ignore_errors=True)


def _compare(bare: ModuleType) -> tuple[float, float, float, float]:
    """(our p50 in ms, our orders a second, the bare task's p50, its orders a second)."""
    services = cycle([_service() for _ in range(ACCOUNTS)])

    def body() -> dict[str, object]:
        return {"account_id": str(next(services).account.id), **ORDER}

    def ours() -> object:
        return next(services).place_trade_sync("EURUSD", 0.01, "BUY", order_type="LIMIT", limit_price=0.5)

    def peer() -> object:
        return bare.place.delay(body(), str(uuid.uuid4())).get()

    p50 = p50_side_by_side({"ours": ours, "bare": peer}, {"ours": 60, "bare": 60})

    def our_batch() -> None:
        handles = [
            next(services).submit_place_trade("EURUSD", 0.01, "BUY", order_type="LIMIT", limit_price=0.5, ttl=300)
            for _ in range(BATCH)
        ]
        for handle in handles:
            handle.wait(120)

    def bare_batch() -> None:
        results = [bare.place.delay(body(), str(uuid.uuid4())) for _ in range(BATCH)]
        for result in results:
            result.get()

    rates = median_rate({"ours": our_batch, "bare": bare_batch}, BATCH, rounds=ROUNDS)
    return p50["ours"] * 1000, rates["ours"], p50["bare"] * 1000, rates["bare"]


def _service() -> TradingService:
    user, _ = get_user_model().objects.get_or_create(username="bench")
    service = TradingService(TradingAccount.objects.create(user=user, name=str(uuid.uuid4())))
    service.connect_sync()
    return service


def _fill(number: int) -> None:
    """Finished operations of other days, made by copying one that really finished."""
    pattern = Operation.objects.filter(state="succeeded").order_by("-sequence")[0]
    names = [field.attname for field in Operation._meta.concrete_fields]
    values = {name: getattr(pattern, name) for name in names}
    for start in range(0, number, 2000):
        rows = []
        for index in range(start, min(start + 2000, number)):
            fresh = uuid.uuid4()
            changed = {"id": fresh, "idempotency_key": str(fresh), "client_order_id": f"ct-{fresh.hex}"}
            rows.append(Operation(**{**values, **changed, "sequence": index}))
        Operation.objects.bulk_create(rows)
