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


@pytest.mark.parametrize("kind", ["close", "modify"])
def test_a_position_that_was_just_opened_may_not_be_listed_yet(world: World, kind: str) -> None:
    """Its fill is in our own ledger: that it is not listed does not mean that it is not open."""
    position_id = opened(world)
    world.venue.unlisted.add(position_id)
    intent: Intent = CloseIntent.of_arguments(position_id, "", None)
    if kind == "modify":
        intent = ModifyIntent.of_arguments(position_id, "", "0.9", None)
    waiting = run(world, intent)
    assert (waiting.state, waiting.attempts) == (State.QUEUED, 0)
    world.pass_time(20)
    assert execute(waiting.pk, actor="test").state is State.QUEUED
    world.venue.unlisted.clear()
    world.pass_time(2)
    assert execute(waiting.pk, actor="test").state is State.SUCCEEDED
    world.heal()
    check_always(world)


def test_what_is_not_listed_after_the_lag_is_not_open(world: World) -> None:
    """Waiting for it has an end, too."""
    position_id = opened(world)
    world.venue.unlisted.add(position_id)
    waiting = run(world, CloseIntent.of_arguments(position_id, "", None))
    world.pass_time(31)
    assert execute(waiting.pk, actor="test").state is State.REFUSED
    waiting.refresh_from_db()
    assert waiting.error_code == "POSITION_NOT_FOUND"


def test_a_position_that_was_opened_and_is_closed_again_is_not_waited_for(world: World) -> None:
    """Its own history says so, whoever closed it."""
    position_id = opened(world)
    world.venue.stop_out(position_id)
    refused = run(world, CloseIntent.of_arguments(position_id, "", None))
    assert (refused.state, refused.error_code) == (State.REFUSED, "POSITION_NOT_FOUND")


def test_a_position_that_we_did_not_open_is_not_waited_for(world: World) -> None:
    opened(world)
    refused = run(world, CloseIntent.of_arguments("4711", "", None))
    assert (refused.state, refused.error_code) == (State.REFUSED, "POSITION_NOT_FOUND")
