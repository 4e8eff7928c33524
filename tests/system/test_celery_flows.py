"""The project's own tasks through pytest-celery's setup: RabbitMQ, a worker process, results in PostgreSQL."""

import json
import uuid
from collections.abc import Iterator
from functools import partial

import pytest
from celery.result import AsyncResult
from django.db import connections
from django.utils import timezone
from django_celery_results.models import TaskResult

from ctrader_app.domain.intents import CancelIntent, CloseIntent, Intent, ModifyIntent
from ctrader_app.domain.operations import Kind
from ctrader_app.ledger import operations as ledger
from ctrader_app.models import Deal, Operation, Position, ReconciliationRun, TradingAccount
from ctrader_app.operations import reconcile
from ctrader_app.tasks.names import OPERATION_TASKS
from microservice.server import BundledMicroservice
from tests.support.celery_nodes import LocalSetup
from tests.support.operations import make_account, order
from tests.support.postgres import PostgresServer
from tests.support.system import system_environment
from tests.support.waiting import wait_until
from tests.system.traders import steps_of
from tests.system.venue import SystemVenue

RESULT_TIMEOUT_S = 30.0


@pytest.fixture
def celery_worker_environment(amqp_url: str, postgres_db: str, bundled: BundledMicroservice) -> dict[str, str]:
    """The worker knows the bundled microservice."""
    return system_environment(database_url=postgres_db, amqp_url=amqp_url, api_base_url=bundled.base_url)


@pytest.fixture
def still_venue(bundled: BundledMicroservice) -> Iterator[SystemVenue]:
    """Its control endpoints; its prices move only when a test says so."""
    venue = SystemVenue(bundled.base_url)
    yield venue
    venue.disarm()
    venue.end()


@pytest.fixture
def trading_account(postgres_db: str) -> TradingAccount:
    """A fresh account in the database that the worker uses."""
    return make_account()


def _opened(account: TradingAccount, intent: Intent) -> Operation:
    operation, _ = ledger.open_operation(account, intent, key=None, ttl_s=60, now=timezone.now(), actor="test")
    return operation


def _sent(setup: LocalSetup, operation: Operation) -> AsyncResult[str]:
    name = OPERATION_TASKS[Kind(operation.kind)]
    result: AsyncResult[str] = setup.app.send_task(name, args=(str(operation.pk),), task_id=str(uuid.uuid4()))
    return result


def _done(setup: LocalSetup, account: TradingAccount, intent: Intent) -> Operation:
    """Run one operation through its task; its row afterwards."""
    operation = _opened(account, intent)
    result = _sent(setup, operation)
    assert result.get(timeout=RESULT_TIMEOUT_S) == "succeeded"
    stored = TaskResult.objects.get(task_id=result.id)
    assert (stored.task_name, json.loads(stored.result)) == (OPERATION_TASKS[intent.kind], "succeeded")
    return ledger.get(operation.pk)


def _reconciled(setup: LocalSetup, account: TradingAccount) -> ReconciliationRun:
    run = reconcile.request(account, "test")
    assert setup.app.send_task("ctrader.sync", args=(str(run.pk),)).get(timeout=RESULT_TIMEOUT_S) == "done"
    run.refresh_from_db()
    return run


def test_the_five_flows(celery_setup: LocalSetup, still_venue: SystemVenue, trading_account: TradingAccount) -> None:
    account = trading_account
    placed = _done(celery_setup, account, order())
    assert placed.result is not None
    position_id = str(placed.result["opened_position_ticket"])
    run = _reconciled(celery_setup, account)
    assert (run.state, run.opened, run.error) == ("done", 1, "")
    assert Position.objects.get(account=account, is_open=True).position_id == position_id

    _done(celery_setup, account, ModifyIntent.of_arguments(position_id, "EURUSD", "0.9", None))
    assert _reconciled(celery_setup, account).changed == 1
    assert str(Position.objects.get(account=account).stop_loss) == "0.9000000000"

    _done(celery_setup, account, CloseIntent.of_arguments(position_id, "EURUSD", None))
    assert _reconciled(celery_setup, account).closed == 1
    assert not Position.objects.filter(account=account, is_open=True).exists()
    assert Deal.objects.filter(account=account, position_id=position_id).count() == 2

    pending = _done(celery_setup, account, order(order_type="LIMIT", limit_price="0.5"))
    assert pending.result is not None
    _done(celery_setup, account, CancelIntent.of_arguments(str(pending.result["order_id"])))
    effects = still_venue.effects(account_id=str(account.pk))
    names = ("orders", "opens", "closes", "modifications", "cancellations")
    assert [effects[name] for name in names] == [2, 1, 1, 1, 1]


def test_a_message_that_comes_many_times_trades_once(
    celery_setup: LocalSetup, still_venue: SystemVenue, trading_account: TradingAccount
) -> None:
    operation = _opened(trading_account, order())
    results = [_sent(celery_setup, operation) for _ in range(6)]
    assert {result.get(timeout=RESULT_TIMEOUT_S) for result in results} <= {"succeeded", "sending", "queued"}
    wait_until(lambda: ledger.get(operation.pk).state == "succeeded", RESULT_TIMEOUT_S, "it succeeded")
    assert ledger.get(operation.pk).attempts == 1
    assert still_venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


def test_a_killed_worker_and_a_restarted_broker(
    celery_setup: LocalSetup, still_venue: SystemVenue, trading_account: TradingAccount
) -> None:
    _done(celery_setup, trading_account, order())  # opens the session: a fault must not strike a 401
    still_venue.arm("/trade/place", "delay", seconds=1.5, account_id=str(trading_account.pk))
    caught, waiting = _opened(trading_account, order()), _opened(trading_account, order())
    _sent(celery_setup, caught)
    wait_until(lambda: ledger.get(caught.pk).state == "sending", 10.0, "it is being sent")
    celery_setup.worker.kill()
    _sent(celery_setup, waiting)
    celery_setup.broker.restart()
    celery_setup.worker.restart()
    for operation in (caught, waiting):
        settled = Operation.objects.filter(pk=operation.pk, state="succeeded")
        wait_until(settled.exists, 60.0, "both succeed")
        assert still_venue.effects(client_order_id=operation.client_order_id)["orders"] == 1
    assert steps_of(caught.pk) == ["queued", "sending", "in_doubt", "succeeded"]


def _running(run: ReconciliationRun) -> bool:
    return ReconciliationRun.objects.filter(pk=run.pk, state="running").exists()


def test_a_reconciliation_outlives_its_worker_and_its_database(
    celery_setup: LocalSetup, still_venue: SystemVenue, trading_account: TradingAccount, postgres: PostgresServer
) -> None:
    _done(celery_setup, trading_account, order())

    def worker_dies() -> None:
        celery_setup.worker.kill()
        celery_setup.worker.restart()

    def database_restarts() -> None:
        connections.close_all()
        postgres.restart()

    for fault in (worker_dies, database_restarts):
        still_venue.arm("/open-positions", "delay", seconds=2.0, account_id=str(trading_account.pk))
        run = reconcile.request(trading_account, "test")
        celery_setup.app.send_task("ctrader.sync", args=(str(run.pk),))
        wait_until(partial(_running, run), 10.0, "the run is reading")
        fault()
        successor = ReconciliationRun.objects.filter(requested_at__gt=run.requested_at, state="done")
        wait_until(successor.exists, 20.0, "the run that took over is done")
        run.refresh_from_db()
        assert (run.state, run.error) == ("failed", "its worker died")
    assert Position.objects.filter(account=trading_account, is_open=True).count() == 1
