"""The same thing asked for twice, and things that are taken back."""

import contextlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction

from connectors.errors import IdempotencyKeyReusedError
from ctrader_app.domain.operations import Kind, State
from ctrader_app.models import Operation
from ctrader_app.tasks import publisher
from ctrader_app.tasks.names import OPERATION_TASKS
from ctrader_app.tasks.publisher import Message
from tests.faults.plant import Plant, Trader, settled, steps_of
from tests.support.waiting import wait_until

CALLERS = 8


def test_21_one_message_at_two_workers_at_once(plant: Plant, trader: Trader) -> None:
    """Card 21. Two worker processes get the same message and come to the claim at the same moment: one sends."""
    trader.arm("delay", seconds=0.0, count=1000)  # it delays nothing; it counts what arrives
    with plant.frozen():
        handle = trader.place()
        lock = contextlib.ExitStack()
        lock.enter_context(plant.row_locked(handle))
        copies = [str(uuid.uuid4()) for _ in range(2)]
        for task_id in copies:
            publisher.confirmed(Message(OPERATION_TASKS[Kind.PLACE], (handle.operation_id,), task_id))
    with lock:
        plant.wait_blocked(2)
    operation = settled(handle)
    assert (operation.state, operation.attempts) == (State.SUCCEEDED, 1)
    assert steps_of(handle) == ["queued", "sending", "succeeded"]
    tasks = [handle.operation_id, *copies]
    wait_until(lambda: all(f"[{task}] succeeded" in plant.worker.log() for task in tasks), 10.0, "all of them are done")
    assert plant.venue.hits("delay") == 1
    assert trader.effects() == 1


def test_22_one_key_from_many_callers_at_once(trader: Trader) -> None:
    """Card 22. Callers submit the same key at the same moment: each gets the same operation, sent once. The same key
    with other parameters is an error, and nothing is recorded."""
    together = threading.Barrier(CALLERS)

    def submit(_number: int) -> str:
        try:
            together.wait(10)
            return trader.place(idempotency_key="the-same").operation_id
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CALLERS) as callers:
        ids = set(callers.map(submit, range(CALLERS)))
    assert len(ids) == 1
    again = trader.place(idempotency_key="the-same")
    assert again.operation_id in ids
    assert settled(again).state == State.SUCCEEDED
    with pytest.raises(IdempotencyKeyReusedError):
        trader.service.submit_place_trade("EURUSD", 0.2, "BUY", idempotency_key="the-same")
    assert Operation.objects.filter(account=trader.account).count() == 1
    assert trader.effects() == 1


def test_23_a_rolled_back_transaction(trader: Trader) -> None:
    """Card 23. The caller's transaction is rolled back after the submission: there is no intent, and nothing leaves.
    What leaves with a commit leaves not before it."""
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        dropped = trader.place(idempotency_key="dropped")
        raise ZeroDivisionError
    assert not Operation.objects.filter(pk=dropped.operation_id).exists()
    with transaction.atomic():
        kept = trader.place(idempotency_key="dropped")
        other = trader.plant.new_trader()
        seen = ThreadPoolExecutor(1)
        with seen:
            assert seen.submit(_is_there, kept.operation_id).result(10) is False
        assert (trader.effects(), other.effects()) == (0, 0)
    assert settled(kept).state == State.SUCCEEDED
    assert trader.effects() == 1


def _is_there(operation_id: str) -> bool:
    try:
        return Operation.objects.filter(pk=operation_id).exists()
    finally:
        connections.close_all()


def test_24_two_closes_of_one_position_at_once(trader: Trader) -> None:
    """Card 24. Two callers close the same position at the same moment: one close at the venue; the other is refused,
    because there is nothing left to close."""
    position_id = trader.ready(Kind.CLOSE)
    handles = [trader.service.submit_close_position(position_id, None, "EURUSD") for _ in range(2)]
    ended = sorted((settled(handle).state, settled(handle).error_code) for handle in handles)
    assert ended == [(State.REFUSED, "POSITION_NOT_FOUND"), (State.SUCCEEDED, "")]
    assert trader.effects(Kind.CLOSE) == 1
    wait_until(lambda: not trader.service.get_open_positions_sync(), 10.0, "nothing is open")
