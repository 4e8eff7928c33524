"""A venue that lists late what it has confirmed: nothing is prepared from what no longer is."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from ctrader_app.domain.intents import CloseIntent, Intent, ModifyIntent
from ctrader_app.domain.operations import State
from ctrader_app.models import Operation
from ctrader_app.operations.execute import execute
from tests.stateful.invariants import check_always
from tests.stateful.venue import Fault
from tests.stateful.world import World
from tests.support.operations import order


@pytest.fixture(params=[True, False], ids=["replay", "evidence"])
def world(request: pytest.FixtureRequest, sqlite_db: str) -> Iterator[World]:
    with World(replays=request.param, keeps_history=True) as world:
        yield world


def run(world: World, intent: Intent) -> Operation:
    """Submit and execute once."""
    operation = world.submit(intent)
    execute(operation.pk, actor="test")
    row: Operation = world.rows().get(pk=operation.pk)
    return row


def opened(world: World) -> str:
    assert run(world, order(lot_size="0.3")).state == State.SUCCEEDED
    return max(world.venue.positions)


def test_a_second_partial_close_waits_for_the_first_to_be_listed(world: World) -> None:
    """Prepared from 0.3 of the 0.2 lots that are left, a lost request would look as if it had closed 0.1."""
    position_id = opened(world)
    before = world.venue.positions[position_id].fact
    assert run(world, CloseIntent.of_arguments(position_id, "EURUSD", "0.1")).state == State.SUCCEEDED
    listed = world.venue.positions[position_id].fact
    world.venue.positions[position_id].fact = before
    second = run(world, CloseIntent.of_arguments(position_id, "EURUSD", "0.1"))
    assert (second.state, second.attempts) == (State.QUEUED, 0)
    world.venue.positions[position_id].fact = listed
    world.pass_time(2)
    world.venue.script.append(Fault.DROP_BEFORE)
    execute(second.pk, actor="test")
    world.heal()
    check_always(world)
    second.refresh_from_db()
    assert second.baseline == {"volume": "0.2"}
    assert world.venue.positions[position_id].fact.volume_lots == (
        Decimal("0.1") if world.venue.replays else listed.volume_lots
    )


def test_a_kept_level_is_not_taken_from_a_listing_that_is_behind(world: World) -> None:
    """The stop was set a moment ago; setting the target alone must not take it back."""
    position_id = opened(world)
    before = world.venue.positions[position_id].fact
    assert run(world, ModifyIntent.of_arguments(position_id, "EURUSD", "0.9", None)).state == State.SUCCEEDED
    listed = world.venue.positions[position_id].fact
    world.venue.positions[position_id].fact = before
    second = run(world, ModifyIntent.of_arguments(position_id, "EURUSD", None, "1.5"))
    assert second.state == State.QUEUED
    world.venue.positions[position_id].fact = listed
    world.heal()
    fact = world.venue.positions[position_id].fact
    assert (fact.stop_loss, fact.take_profit) == (Decimal("0.9"), Decimal("1.5"))


def test_what_is_listed_unchanged_after_the_lag_is_believed(world: World) -> None:
    """Somebody else may have put it back: waiting has an end."""
    position_id = opened(world)
    before = world.venue.positions[position_id].fact
    run(world, ModifyIntent.of_arguments(position_id, "EURUSD", "0.9", None))
    world.venue.positions[position_id].fact = replace(before)
    world.pass_time(31)
    assert run(world, ModifyIntent.of_arguments(position_id, "EURUSD", None, "1.5")).state == State.SUCCEEDED
