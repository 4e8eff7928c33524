"""Workers that die. The point of death is forced: by a lock on the row, a slow venue, or a child stopped in its tracks.

A child is killed with its parent alive, which puts its message back. A parent takes its children with it (they have
asked the kernel for that); the broker notices and gives the message to the next worker. What either has asked of the
database or of the venue goes on without it.
"""

import contextlib

import pytest

from connectors.base import OperationHandle
from ctrader_app.domain.operations import State
from ctrader_app.models import OperationTransition
from tests.faults.plant import READ_TIMEOUT_S, Plant, Trader, Victim, row, settled, steps_of, wait_state
from tests.support.kin import children_of
from tests.support.waiting import wait_until

each_victim = pytest.mark.parametrize("victim", ["child", "parent"])


def _sent_once(trader: Trader, handle: OperationHandle) -> list[str]:
    operation = settled(handle)
    assert (operation.state, operation.error_code, operation.attempts) == (State.SUCCEEDED, "", 1)
    assert trader.effects() == 1
    return steps_of(handle)


@each_victim
def test_11_killed_before_it_sends(plant: Plant, trader: Trader, victim: Victim) -> None:
    """Card 11. Killed while the database is about to grant its claim: the claim is committed and nobody is there to
    send, while the message is with somebody else already. Nothing is sent twice, and it is sent; who was given the
    message notices the death, not the sweep much later."""
    handle = trader.place_and_die_at_the_claim(victim)
    assert "in_doubt" in _sent_once(trader, handle)
    noticed = OperationTransition.objects.filter(operation_id=handle.operation_id, to_state=State.IN_DOUBT).first()
    assert noticed is not None
    assert noticed.actor.startswith("ctrader.place")


@each_victim
def test_12_killed_while_it_sends(plant: Plant, trader: Trader, victim: Victim) -> None:
    """Card 12. Killed when the request has left and the venue has not executed it yet: a doubt; the replay waits for
    the first request and executes nothing."""
    trader.arm("delay", seconds=0.75 * READ_TIMEOUT_S)
    handle = trader.place()
    wait_state(handle, State.SENDING)
    assert trader.effects() == 0
    plant.kill(victim)
    assert "in_doubt" in _sent_once(trader, handle)
    trader.wait_answered(2)  # the request that outlived its sender, and the replay
    assert trader.effects() == 1


@each_victim
def test_13_killed_after_it_sent(plant: Plant, trader: Trader, victim: Victim) -> None:
    """Card 13. Killed when the venue has executed the request and its answer has not been read: a doubt;
    the replay tells what happened."""
    trader.arm("delay", seconds=0.5)
    handle = trader.place()
    wait_state(handle, State.SENDING)
    with plant.frozen():
        trader.wait_effects(1)
        assert row(handle).state == State.SENDING
        plant.kill(victim)
    assert "in_doubt" in _sent_once(trader, handle)


@each_victim
def test_14_killed_before_the_outcome_is_committed(plant: Plant, trader: Trader, victim: Victim) -> None:
    """Card 14. Killed when the answer has been read and the database is about to record it: the record and the doubt
    of who was given the message meet at the row; one effect, the true outcome."""
    trader.arm("delay", seconds=0.5)
    handle = trader.place()
    wait_state(handle, State.SENDING)
    with contextlib.ExitStack() as lock:
        lock.enter_context(plant.row_locked(handle))
        plant.wait_blocked(1)
        assert (row(handle).state, trader.effects()) == (State.SENDING, 1)
        plant.kill(victim)
        plant.wait_blocked(2)
        lock.close()
        assert _sent_once(trader, handle)[:2] == ["queued", "sending"]


def test_15_killed_all_at_once(plant: Plant, trader: Trader) -> None:
    """Card 15. Parent and children are killed in the middle of many orders, as by a machine that goes down: those
    that left and those that did not are each carried out once."""
    trader.arm("delay", seconds=0.5, count=2)
    handles = [trader.place() for _ in range(10)]
    wait_until(lambda: any(row(handle).state == State.SENDING for handle in handles), 10.0, "one is being sent")
    assert len(children_of(plant.worker.pid)) == 2
    plant.worker.kill()
    assert any(row(handle).state == State.QUEUED for handle in handles)
    plant.start(plant.worker)
    assert {settled(handle).state for handle in handles} == {State.SUCCEEDED}
    assert trader.effects() == len(handles)
