"""What holds in every history."""

from collections import Counter

from ctrader_app.domain.operations import FINAL, IN_FLIGHT, TRANSITIONS, Kind, State
from ctrader_app.models import Operation
from tests.stateful.world import World
from tests.support.operations import changes_no_level


def check_always(world: World) -> None:
    """At any moment, whatever has gone wrong."""
    rows = list(world.rows())
    _at_most_one_effect(world)
    _no_final_state_contradicts(world, rows)
    _one_in_flight(rows)
    for row in rows:
        _audited(row)


def check_healed(world: World) -> None:
    """After the faults: nothing is under way; a doubt that is left shows why, and no evidence could end it."""
    for row in world.rows():
        state = State(row.state)
        assert state in FINAL or state is State.IN_DOUBT, f"{row} was forgotten"
        if state is State.IN_DOUBT:
            assert row.reason, row
            assert row.evidence or "replay" in row.reason, row
            assert row.resolutions > 0, row
            assert row.resolve_after is not None, row
            assert _may_stay_in_doubt(world, row), f"{row} could be settled: {row.reason}: {row.evidence}"


def _at_most_one_effect(world: World) -> None:
    twice = {key: effects for key, effects in world.venue.effects.items() if len(effects) > 1}
    assert not twice, f"duplicated: {twice}"


def _no_final_state_contradicts(world: World, rows: list[Operation]) -> None:
    for row in rows:
        state, effects = State(row.state), world.venue.effects.get(str(row.pk), [])
        if state is State.SUCCEEDED:
            assert effects or _target_reached_without_us(world, row), f"{row} had no effect: {row.reason}"
        elif state in FINAL:
            assert not effects, f"{row} had an effect: {row.reason}"


def _target_reached_without_us(world: World, row: Operation) -> bool:
    """A close is "leave V1": when the market has closed the position, that is reached though nobody sent anything.

    A modify is "these levels": they may have been there before.
    """
    position_id = str(row.parameters.get("position_id", ""))
    if Kind(row.kind) is Kind.CLOSE:
        return position_id in world.venue.disturbed
    return changes_no_level(row)


def _one_in_flight(rows: list[Operation]) -> None:
    lanes = Counter(row.lane for row in rows if row.lane and State(row.state) in IN_FLIGHT)
    assert all(count == 1 for count in lanes.values()), lanes


def _audited(row: Operation) -> None:
    """The audit trail is one chain from the first state to the present one, along the table."""
    before = ""
    for source, target in row.transitions.order_by("pk").values_list("from_state", "to_state"):
        assert source == before, f"{row}: a gap in the audit trail, {before} then {source}"
        if source:
            is_examination = source == target == State.IN_DOUBT
            assert is_examination or State(target) in TRANSITIONS[State(source)], f"{row}: {source} -> {target}"
        else:
            assert target == State.QUEUED
        before = target
    assert before == row.state, f"{row}: the audit trail ends in {before}"


def _may_stay_in_doubt(world: World, row: Operation) -> bool:
    """The "undecided" column of docs/writes.md."""
    match Kind(row.kind):
        case Kind.PLACE:
            return not world.venue.replays and not world.venue.keeps_history
        case Kind.CLOSE:
            return str(row.parameters["position_id"]) in world.venue.disturbed
        case Kind.MODIFY:
            position = world.venue.positions[str(row.parameters["position_id"])]
            return not position.fact.volume_lots
        case Kind.CANCEL:
            order_id = str(row.parameters["order_id"])
            return order_id not in world.venue.orders and not (
                world.venue.keeps_history and _is_known_as_placed(world, order_id)
            )


def _is_known_as_placed(world: World, order_id: str) -> bool:
    """Whether the ledger knows the order: what a person settled holds the id that the person gave."""
    placed = world.rows().filter(client_order_id=world.venue.client_order_id_of(order_id), state=State.SUCCEEDED)
    return any(str((row.result or {}).get("order_id")) == order_id for row in placed)
