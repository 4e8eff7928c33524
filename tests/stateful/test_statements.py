"""What each step costs in SQL statements, exactly, and why: one more is one more round trip for every order.

The database's clock is asked besides these once in 30 s and process (PostgreSQL only); here the clock is the world's.
"""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ctrader_app.domain.intents import CancelIntent, CloseIntent, ModifyIntent
from ctrader_app.domain.operations import State
from ctrader_app.operations.execute import execute
from ctrader_app.operations.resolve import resolve
from ctrader_app.operations.sweep import due_runs, sweep
from ctrader_app.platform.handle import CTraderHandle
from tests.stateful.venue import Fault
from tests.stateful.world import World
from tests.support.operations import order

VERBS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})


@pytest.fixture(params=[True, False], ids=["replay", "evidence"])
def world(request: pytest.FixtureRequest, each_database: str) -> Iterator[World]:
    """On SQLite and on PostgreSQL, with the promise of replay and without."""
    with World(replays=request.param, keeps_history=True) as world:
        world.venue.on_write = lambda _key: None  # the world's own looks at the ledger are not counted
        yield world


def statements(step: Callable[[], object]) -> list[str]:
    """The verbs of what this thread asks the database, but for the opening and closing of transactions."""
    with CaptureQueriesContext(connection) as captured:
        step()
    words = [str(query["sql"]).split(maxsplit=1)[0].upper() for query in captured.captured_queries]
    return [word for word in words if word in VERBS]


def opened(world: World) -> str:
    """The id of a fresh position."""
    operation = world.submit(order(lot_size="0.3"))
    assert execute(operation.pk, actor="test").state is State.SUCCEEDED
    return max(world.venue.positions)


def test_submit(world: World) -> None:
    """The row; its audit row comes from the database itself, and publishing reads nothing."""
    assert statements(lambda: world.submit(order())) == ["INSERT"]


def test_submit_with_a_key(world: World) -> None:
    """The constraint decides between rivals: no look before, and only who comes second reads who has won."""
    assert statements(lambda: world.submit(order(), "key")) == ["INSERT"]
    assert statements(lambda: world.submit(order(), "key")) == ["INSERT", "SELECT"]


def test_a_place(world: World) -> None:
    """Read the row with account and kill switch; claim; record. An order has no lane, so nobody waits for it."""
    operation = world.submit(order())
    assert statements(lambda: execute(operation.pk, actor="test")) == ["SELECT", "UPDATE", "UPDATE"]


def test_writes_in_a_lane(world: World) -> None:
    """Two more: who has to end first, and who may go next. What reads the position also asks the ledger whether the
    listing can be up to date."""
    position_id = opened(world)
    resting = world.submit(order(order_type="LIMIT", limit_price="0.5"))
    execute(resting.pk, actor="test")
    for intent in (
        ModifyIntent.of_arguments(position_id, "EURUSD", "0.9", "1.5"),
        CloseIntent.of_arguments(position_id, "EURUSD", "0.1"),
        CancelIntent.of_arguments(max(world.venue.orders)),
    ):
        operation = world.submit(intent)
        found = statements(lambda operation=operation: execute(operation.pk, actor="test"))  # type: ignore[misc]
        looks = ["SELECT"] * (2 if isinstance(intent, CancelIntent) else 3)
        assert found == [*looks, "UPDATE", "UPDATE", "SELECT"], intent


def test_a_message_for_what_has_ended(world: World) -> None:
    """The row says that there is nothing to do."""
    operation = world.submit(order())
    execute(operation.pk, actor="test")
    assert statements(lambda: execute(operation.pk, actor="test", redelivered=True)) == ["SELECT"]
    assert statements(lambda: resolve(operation.pk, actor="test")) == ["SELECT"]


def test_a_write_that_was_not_sent(world: World) -> None:
    """Claimed, and given back with the time of the next attempt."""
    operation = world.submit(order())
    world.venue.script.append(Fault.BUSY)
    assert statements(lambda: execute(operation.pk, actor="test")) == ["SELECT", "UPDATE", "UPDATE"]


def test_resolve(world: World) -> None:
    """Read the row, record what was found; the replay or the reading in between asks only the venue."""
    operation = world.submit(order())
    world.venue.script.append(Fault.DROP_AFTER)
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    assert statements(lambda: resolve(operation.pk, actor="test")) == ["SELECT", "UPDATE"]
    assert world.rows().get(pk=operation.pk).state == State.SUCCEEDED


def test_a_sweep_with_nothing_to_do(world: World) -> None:
    """One look each for the overdue, the abandoned, the waiting and the doubts, however much has ended."""
    for _ in range(5):
        opened(world)
    assert statements(sweep) == ["SELECT"] * 4


def test_reconciliations_with_none_due(world: World) -> None:
    """One look each for runs of dead workers, accounts that are due by the clock, and runs whose message was lost."""
    assert statements(due_runs) == ["SELECT"] * 3


def test_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look by who waits, for what has ended already; after that the watcher's thread looks for all of them."""
    monkeypatch.setattr("ctrader_app.platform.handle.has_no_worker", lambda: False)
    operation = world.submit(order())
    execute(operation.pk, actor="test")
    handle = CTraderHandle(operation)
    assert statements(lambda: handle.wait(10)) == ["SELECT"]
    assert statements(lambda: handle.state) == ["SELECT"]
