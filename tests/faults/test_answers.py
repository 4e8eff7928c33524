"""What goes wrong between the worker and the microservice."""

import pytest

from ctrader_app.domain.operations import Kind, State
from tests.connector.scripted import ScriptedServer, reply
from tests.faults.plant import READ_TIMEOUT_S, Plant, Trader, row, settled, steps_of
from tests.support.celery_nodes import WorkerContainer
from tests.support.waiting import wait_until

DOUBTED = ["queued", "sending", "in_doubt", "succeeded"]
every_kind = pytest.mark.parametrize("kind", list(Kind))


def _meets(trader: Trader, fault: str, kind: Kind = Kind.PLACE, **extra: float) -> list[str]:
    """The steps of a write that met this fault once, carried out exactly once."""
    target = trader.ready(kind)
    before, answered = trader.effects(kind), trader.answered(kind)
    trader.arm(fault, kind, **extra)
    handle = trader.submit(kind, target)
    operation = settled(handle)
    assert (operation.state, operation.error_code) == (State.SUCCEEDED, "")
    # What it was slow about must have been counted too: the write and its replay.
    trader.wait_answered(answered + (2 if fault == "delay" else 1), kind)
    assert trader.effects(kind) == before + 1
    return steps_of(handle)


def test_01_connection_refused(plant: Plant, trader: Trader) -> None:
    """Card 1. The microservice is down: proof that nothing left, so it is sent again until its deadline, once; what
    has no time left expires."""
    plant.microservice.kill()
    late, later = trader.place(ttl=0.6), trader.place()
    assert settled(late).state == State.EXPIRED
    wait_until(lambda: row(later).attempts > 0 and row(later).state == State.QUEUED, 15.0, "it was tried")
    plant.start(plant.microservice)
    assert settled(later).state == State.SUCCEEDED
    assert "in_doubt" not in steps_of(later) + steps_of(late)
    assert trader.effects() == 1


@every_kind
def test_02_dropped_before_execution(trader: Trader, kind: Kind) -> None:
    """Card 2. The connection is cut before anything is executed, which looks as if it were after: a doubt, and the
    replay under the same key carries it out."""
    assert _meets(trader, "drop_before", kind) == DOUBTED


@every_kind
def test_03_dropped_after_execution(trader: Trader, kind: Kind) -> None:
    """Card 3. The connection is cut after the execution: a doubt, and the replay finds the effect."""
    assert _meets(trader, "drop_after", kind) == DOUBTED


@every_kind
def test_04_500_after_execution(trader: Trader, kind: Kind) -> None:
    """Card 4. 500 after the execution proves nothing: a doubt, not a refusal; the replay finds the effect."""
    assert _meets(trader, "error_after", kind) == DOUBTED


@every_kind
def test_05_slower_than_the_read_timeout(trader: Trader, kind: Kind) -> None:
    """Card 5. It is executed after the worker has stopped listening: a doubt, meanwhile the key is in progress, and
    nobody starts it a second time."""
    assert _meets(trader, "delay", kind, seconds=2.5 * READ_TIMEOUT_S) == DOUBTED


@every_kind
def test_06_an_unreadable_200(trader: Trader, kind: Kind) -> None:
    """Card 6. 200 with a body that is no JSON: a doubt; the replay finds the effect."""
    assert _meets(trader, "unreadable", kind) == DOUBTED


@every_kind
def test_07_a_truncated_200(trader: Trader, kind: Kind) -> None:
    """Card 7. 200 that breaks off in the middle of its body: a doubt; the replay finds the effect."""
    assert _meets(trader, "truncated", kind) == DOUBTED


def test_08_a_broker_rejection_inside_a_200(plant: Plant, trader: Trader) -> None:
    """Card 8. 200 whose body is the broker's rejection: refused with the broker's code, sent once, no doubt."""
    rejection = reply(200, {"errorCode": "NOT_ENOUGH_MONEY", "description": "no funds"})
    with ScriptedServer(default=rejection) as service:
        env = {**plant.system.env, "CTRADER_API_BASE_URL": service.url}
        plant.worker.stop()
        with WorkerContainer("config", env, queue="ctrader").running():
            handle = trader.place()
            operation = settled(handle)
        plant.start(plant.worker)
    assert (operation.state, operation.error_code) == (State.REFUSED, "NOT_ENOUGH_MONEY")
    assert steps_of(handle) == ["queued", "sending", "refused"]
    assert [request.path for request in service.requests] == ["/trade/place"]
    assert trader.effects() == 0


def test_09_401_in_mid_flight(trader: Trader) -> None:
    """Card 9. The session ends under the write: connected again and sent once more under the same key; when that is
    refused too, it is refused, and nothing was done."""
    assert _meets(trader, "401") == ["queued", "sending", "succeeded"]
    trader.arm("401", count=2)
    operation = settled(trader.place())
    assert (operation.state, operation.error_code) == (State.REFUSED, "AUTHENTICATION_FAILED")
    assert trader.effects() == 1


@pytest.mark.parametrize("status", ["429", "503"])
def test_10_asked_to_wait(trader: Trader, status: str) -> None:
    """Card 10. 429 or 503 with Retry-After is proof that nothing was executed: sent again after the wait asked for."""
    wait_s = 1.0
    trader.arm(status, retry_after=wait_s)
    handle = trader.place()
    operation = settled(handle)
    assert (operation.state, operation.attempts) == (State.SUCCEEDED, 2)
    assert steps_of(handle) == ["queued", "sending", "queued", "sending", "succeeded"]
    assert operation.not_before is not None
    assert operation.claimed_at is not None
    assert operation.claimed_at >= operation.not_before
    assert (operation.not_before - operation.created_at).total_seconds() >= wait_s
    assert trader.effects() == 1
