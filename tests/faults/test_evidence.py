"""The other world: a microservice that promises no replay (CTRADER_IDEMPOTENT_WRITES=false).

What is in doubt is settled by what the account shows and by nothing else, so a write reaches the venue at most once,
whatever happens: the cards count the requests that arrived besides the effects. The bundled microservice would forgive
a second one; not one is sent.
"""

from collections.abc import Iterator

import pytest

from connectors.base import OperationHandle
from ctrader_app.domain.operations import Kind, State
from tests.faults.conftest import Ground, running_plant
from tests.faults.plant import READ_TIMEOUT_S, Plant, Victim, settled, steps_of, wait_state

AFTER = ("drop_after", "error_after", "unreadable", "truncated", "delay")


@pytest.fixture(scope="module")
def plant(ground: Ground) -> Iterator[Plant]:
    """A plant that never sends again."""
    with running_plant(ground, CTRADER_IDEMPOTENT_WRITES=False) as plant:
        yield plant


class Doubted:
    """A write that met a fault, on an account of its own."""

    def __init__(self, plant: Plant, kind: Kind, fault: str) -> None:
        self.kind = kind
        self.trader = plant.new_trader()
        self.target = self.trader.ready(kind)
        self.effects_before, self.answered_before = self.trader.effects(kind), self.trader.answered(kind)
        self.trader.arm(fault, kind, seconds=2.5 * READ_TIMEOUT_S)
        self.handle = self.trader.submit(kind, self.target)

    @property
    def effects(self) -> int:
        """What it did at the venue."""
        return self.trader.effects(self.kind) - self.effects_before

    @property
    def answered(self) -> int:
        """How many requests of its kind the venue has come to the end of since."""
        return self.trader.answered(self.kind) - self.answered_before


def _is_doubted(handle: OperationHandle) -> bool:
    return steps_of(handle)[:3] == ["queued", "sending", "in_doubt"]


@pytest.mark.parametrize("kind", list(Kind))
def test_37_executed_and_the_answer_lost(plant: Plant, kind: Kind) -> None:
    """Card 37. It was executed and no answer told so, in each of five ways: found on the account, and never sent a
    second time."""
    writes = {fault: Doubted(plant, kind, fault) for fault in AFTER}
    for fault, write in writes.items():
        operation = settled(write.handle)
        assert (operation.state, operation.attempts) == (State.SUCCEEDED, 1), fault
        assert _is_doubted(write.handle), fault
        write.trader.wait_answered(write.answered_before + 1, kind)
        assert (write.effects, write.answered) == (1, 1), fault


def test_38_dropped_before_execution(plant: Plant) -> None:
    """Card 38. Nothing was executed, and no answer told so: two complete readings without a trace, after the last
    moment at which it could still arrive, and it has failed; never sent a second time."""
    writes = [Doubted(plant, kind, "drop_before") for kind in Kind]
    for write in writes:
        operation = settled(write.handle)
        assert (operation.state, operation.error_code, operation.attempts) == (State.FAILED, "NO_EFFECT", 1), write.kind
        assert _is_doubted(write.handle), write.kind
        assert operation.absences == 1, "the second absence ended it"
        assert write.effects == 0, write.kind


@pytest.mark.parametrize("victim", ["child", "parent"])
def test_39_killed_after_it_sent(plant: Plant, victim: Victim) -> None:
    """Card 39. Whoever sent it is killed with the answer unread: found on the account, not sent again."""
    trader = plant.new_trader()
    trader.arm("delay", seconds=0.5)
    handle = trader.place()
    wait_state(handle, State.SENDING)
    with plant.frozen():
        trader.wait_effects(1)
        plant.kill(victim)
    assert settled(handle).state == State.SUCCEEDED
    assert "in_doubt" in steps_of(handle)
    assert (trader.effects(), trader.answered()) == (1, 1)


def test_40_killed_before_it_sends(plant: Plant) -> None:
    """Card 40. Whoever claimed it is killed while the database grants the claim, so nothing leaves; that looks like a
    death after the sending. Nothing is seen in two readings, so it has failed; it is not sent."""
    trader = plant.new_trader()
    operation = settled(trader.place_and_die_at_the_claim("child"))
    assert (operation.state, operation.error_code) == (State.FAILED, "NO_EFFECT")
    assert (trader.effects(), trader.answered()) == (0, 0)
