"""The order of writes: one at a time for each position, all positions side by side."""

import itertools
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import QuerySet

from connectors.base import OperationHandle
from ctrader_app.domain.operations import Kind, State
from ctrader_app.models import Operation
from ctrader_app.tasks import publisher
from ctrader_app.tasks.names import OPERATION_TASKS
from ctrader_app.tasks.publisher import Message
from tests.faults.plant import LONG_TTL_S, Plant, Trader, row, settled, wait_state
from tests.support.celery_nodes import WorkerContainer
from tests.support.waiting import wait_until

POSITIONS = 500
WORKERS = 8
SLOWNESS_S = 0.2
"""What the venue takes for each close: one after the other they would take a hundred seconds."""
CLOCK_ERROR = timedelta(seconds=SLOWNESS_S / 4)


@pytest.fixture
def more_workers(plant: Plant) -> Iterator[None]:
    """A second worker process with six children beside the first one's two."""
    with WorkerContainer("config", plant.system.env, queue="ctrader", concurrency=WORKERS - 2).running():
        yield


def test_32_a_close_waits_for_its_modify(plant: Plant, trader: Trader) -> None:
    """Card 32. A close is asked for while a modify of the same position is on its way, with a worker free to send it:
    it is claimed when the modify has ended, and at once then. The close of another position waits for neither."""
    position_id, other_id = trader.ready(Kind.CLOSE), trader.ready(Kind.CLOSE)
    trader.arm("delay", Kind.MODIFY, seconds=0.5)
    modify = trader.submit(Kind.MODIFY, position_id)
    wait_state(modify, State.SENDING)
    close = trader.service.submit_close_position(position_id, None, "EURUSD")
    other = settled(trader.service.submit_close_position(other_id, None, "EURUSD"))
    first, second = settled(modify), settled(close)
    assert [first.state, second.state, other.state] == [State.SUCCEEDED] * 3
    assert first.finished_at is not None
    assert second.claimed_at is not None
    assert other.finished_at is not None
    assert other.finished_at < first.finished_at <= second.claimed_at
    assert (second.claimed_at - first.finished_at).total_seconds() < 1.0
    assert (trader.effects(Kind.MODIFY), trader.effects(Kind.CLOSE)) == (1, 2)


def test_33_one_position_in_the_order_of_asking(plant: Plant, trader: Trader, more_workers: None) -> None:
    """Card 33. Eight workers get the writes of one position all at once, the last of them first: the venue gets them
    one at a time and in the order in which they were asked for."""
    position_id = trader.ready(Kind.CLOSE)
    levels = [0.9 - step / 100 for step in range(8)]
    with plant.frozen(), transaction.atomic():
        handles = [trader.service.submit_modify_position_protection(position_id, "EURUSD", at, None) for at in levels]
        handles.append(trader.service.submit_close_position(position_id, None, "EURUSD"))
        transaction.on_commit(lambda: _deliver(handles[::-1]))
    rows = [settled(handle) for handle in handles]
    assert {(each.state, each.attempts) for each in rows} == {(State.SUCCEEDED, 1)}
    for before, after in itertools.pairwise(rows):
        assert before.finished_at is not None
        assert after.claimed_at is not None
        assert before.finished_at <= after.claimed_at
    assert (trader.effects(Kind.MODIFY), trader.effects(Kind.CLOSE)) == (len(levels), 1)


def _deliver(handles: list[OperationHandle]) -> None:
    for handle in handles:
        kind = Kind(row(handle).kind)
        publisher.confirmed(Message(OPERATION_TASKS[kind], (handle.operation_id,), str(uuid.uuid4())))


def test_34_five_hundred_closes_side_by_side(plant: Plant, trader: Trader, more_workers: None) -> None:
    """Card 34. All of 500 positions are closed at once at a venue that takes a fifth of a second for each: all workers
    are at it together, and each position is closed exactly once."""
    opened = [trader.service.submit_place_trade("EURUSD", 0.01, "BUY", ttl=LONG_TTL_S) for _ in range(POSITIONS)]
    wait_until(lambda: _ended(trader) == POSITIONS, 60.0, lambda: f"{_ended(trader)} are open")
    position_ids = [str((row(handle).result or {})["opened_position_ticket"]) for handle in opened]
    trader.arm("delay", Kind.CLOSE, seconds=SLOWNESS_S, count=10 * POSITIONS)
    started = time.monotonic()
    closes = [trader.service.submit_close_position(each, None, "EURUSD") for each in position_ids]
    wait_until(lambda: _ended(trader) == 2 * POSITIONS, 60.0, lambda: f"{_ended(trader) - POSITIONS} have ended")
    assert time.monotonic() - started < POSITIONS * SLOWNESS_S / 2
    rows = Operation.objects.filter(pk__in=[handle.operation_id for handle in closes])
    assert set(rows.values_list("state", "attempts")) == {(State.SUCCEEDED, 1)}
    assert _most_at_once(rows) == WORKERS
    assert plant.venue.hits("delay") == POSITIONS  # no request was made but these
    for name in rows.values_list("client_order_id", flat=True):
        assert plant.venue.effects(client_order_id=name)["closes"] == 1
    assert trader.service.get_open_positions_sync() == []


def _ended(trader: Trader) -> int:
    return Operation.objects.filter(account=trader.account, finished_at__isnull=False).count()


def _most_at_once(rows: QuerySet[Operation]) -> int:
    """How many of the operations were in flight at the same moment. The clock that they share may be measured anew in
    between, so the beginning of each is not counted."""
    steps = [
        (moment, step)
        for each in rows
        if each.claimed_at and each.finished_at
        for moment, step in ((each.claimed_at + CLOCK_ERROR, 1), (each.finished_at, -1))
    ]
    return max(itertools.accumulate(step for _, step in sorted(steps)))
