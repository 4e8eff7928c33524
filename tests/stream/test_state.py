"""State events: effect once, whatever fails in between, and reconciliations asked for with measure."""

import json
from typing import Any

import pytest
from django.db import OperationalError, connection

from ctrader_app.consumers.stream.state import StateEvent, StateEvents
from ctrader_app.ledger import books
from ctrader_app.models import Position, ProcessedEvent, ReconciliationRun, TradingAccount
from ctrader_app.tasks.queue import QueueUnavailable
from ctrader_app.wire.errors import BadEvent
from ctrader_app.wire.events import AccountInfoChanged, PositionClosed, PositionsSnapshot, parse_event
from tests.broadcast.recording import RecordingLayer
from tests.stream import events
from tests.stream.conftest import TaskQueue
from tests.support.operations import make_account
from tests.support.waiting import wait_until


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


@pytest.fixture
def account(each_database: str) -> Any:
    yield make_account(broker_login="1000001")
    connection.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def handler(clock: Clock, layer: RecordingLayer) -> StateEvents:
    return StateEvents(snapshot_s=10.0, clock=clock)


def parsed(body: bytes) -> StateEvent:
    event = parse_event(body)
    assert isinstance(event, PositionsSnapshot | PositionClosed | AccountInfoChanged)
    return event


def finish_runs() -> None:
    ReconciliationRun.objects.update(state="done")


def test_the_same_event_twice_has_one_effect_and_its_task_is_published_again(
    account: TradingAccount, handler: StateEvents, tasks: TaskQueue, layer: RecordingLayer
) -> None:
    event = parsed(events.closed(account))
    assert handler.handle(account.pk, event)
    assert not handler.handle(account.pk, event)
    assert ProcessedEvent.objects.get().type == "position.closed"
    run = ReconciliationRun.objects.get()
    assert run.triggers == 1
    assert tasks.runs == [run.pk, run.pk]
    finish_runs()
    assert not handler.handle(account.pk, event)
    assert len(tasks.runs) == 2


def test_a_task_queue_that_is_away_makes_the_event_come_again(
    account: TradingAccount, handler: StateEvents, tasks: TaskQueue, layer: RecordingLayer
) -> None:
    tasks.failures = 1
    event = parsed(events.snapshot(account, events.POSITION))
    with pytest.raises(QueueUnavailable):
        handler.handle(account.pk, event)
    assert ProcessedEvent.objects.count() == 1
    handler.handle(account.pk, event)
    assert tasks.runs == [ReconciliationRun.objects.get().pk]
    wait_until(lambda: len(layer.of("open_positions_update")) == 1)


def test_an_effect_that_fails_leaves_no_inbox_row(
    account: TradingAccount, handler: StateEvents, tasks: TaskQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> bool:
        raise OperationalError("the database went away")

    event = parsed(events.closed(account))
    with monkeypatch.context() as patch:
        patch.setattr(books, "note_closed", fail)
        with pytest.raises(OperationalError):
            handler.handle(account.pk, event)
    assert not ProcessedEvent.objects.exists()
    assert not ReconciliationRun.objects.exists()
    assert handler.handle(account.pk, event)
    assert not Position.objects.get().is_open


def test_an_account_that_is_gone_is_unknown(account: TradingAccount, handler: StateEvents, tasks: TaskQueue) -> None:
    key = account.pk
    event = parsed(events.info(account))
    account.delete()
    with pytest.raises(BadEvent, match="no account"):
        handler.handle(key, event)


def test_an_older_snapshot_is_not_shown_after_a_newer_one(
    account: TradingAccount, handler: StateEvents, tasks: TaskQueue, layer: RecordingLayer
) -> None:
    newer = events.snapshot(account, {**events.POSITION, "volume": 2}, occurred_at=events.at(10))
    older = events.snapshot(account, {**events.POSITION, "volume": 1}, occurred_at=events.at(5))
    handler.handle(account.pk, parsed(newer))
    wait_until(lambda: len(layer.sent) == 1)
    handler.handle(account.pk, parsed(older))
    handler.handle(account.pk, parsed(events.snapshot(account, occurred_at=events.at(11))))
    wait_until(lambda: len(layer.sent) == 2)
    shown = [message["open_positions"] for message in layer.of("open_positions_update")]
    assert [[row["volume"] for row in rows] for rows in shown] == [[2.0], []]


def test_pending_orders_are_shown_only_when_the_snapshot_knows_them(
    account: TradingAccount, handler: StateEvents, tasks: TaskQueue, layer: RecordingLayer
) -> None:
    handler.handle(account.pk, parsed(events.snapshot(account, events.POSITION)))
    wait_until(lambda: len(layer.sent) == 1)
    assert layer.of("pending_orders_update") == []
    with_orders = json.loads(events.snapshot(account, events.POSITION))
    with_orders["payload"]["pending_orders"] = []
    handler.handle(account.pk, parsed(events.encode(with_orders)))
    wait_until(lambda: len(layer.of("pending_orders_update")) == 1)
    assert layer.of("pending_orders_update")[0]["pending_orders"] == []


def test_unchanged_snapshots_ask_seldom_and_changed_ones_at_once(
    account: TradingAccount, handler: StateEvents, tasks: TaskQueue, layer: RecordingLayer, clock: Clock
) -> None:
    def arrive(**changes: object) -> int:
        handler.handle(account.pk, parsed(events.snapshot(account, {**events.POSITION, **changes})))
        finish_runs()
        return len(tasks.runs)

    assert arrive() == 1
    assert [arrive(profit=n, current_price=1.2 + n, swap=-n) for n in range(20)] == [1] * 20
    assert arrive(volume=0.2) == 2
    assert arrive(volume=0.2, stop_loss=1.0) == 3
    clock.now_s += 9.9
    assert arrive(volume=0.2, stop_loss=1.0) == 3
    clock.now_s += 0.2
    assert arrive(volume=0.2, stop_loss=1.0) == 4
    assert arrive(position_id="102") == 5


def test_triggers_that_come_while_a_run_waits_join_it(
    account: TradingAccount, handler: StateEvents, tasks: TaskQueue, layer: RecordingLayer
) -> None:
    handler.handle(account.pk, parsed(events.snapshot(account)))
    handler.handle(account.pk, parsed(events.snapshot(account, events.POSITION)))
    handler.handle(account.pk, parsed(events.closed(account)))
    assert ReconciliationRun.objects.get().triggers == 3


def test_older_figures_never_overwrite_newer_ones_and_ask_for_nothing(
    account: TradingAccount, handler: StateEvents, tasks: TaskQueue, layer: RecordingLayer
) -> None:
    for second, equity in ((10, 1010), (5, 1005), (20, 1020)):
        handler.handle(account.pk, parsed(events.info(account, equity, occurred_at=events.at(second))))
    account.refresh_from_db()
    assert account.equity == 1020
    wait_until(lambda: bool(layer.of("account_info_update")) and layer.sent[-1][1]["account_info"]["equity"] == 1020)
    assert all(message["account_info"]["equity"] != 1005 for message in layer.of("account_info_update"))
    assert not ReconciliationRun.objects.exists()
    assert tasks.runs == []


def test_what_is_remembered_of_accounts_is_bounded(
    account: TradingAccount, handler: StateEvents, tasks: TaskQueue, layer: RecordingLayer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("ctrader_app.consumers.stream.state.ACCOUNTS_REMEMBERED", 2)
    for number in range(4):
        other = make_account(broker_login=f"7{number}")
        handler.handle(other.pk, parsed(events.snapshot(other)))
    assert len(handler._seen) == 2
