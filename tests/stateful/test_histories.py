"""Submit, crash, redeliver, reorder, heal: in whatever order, the same rules hold."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ctrader_app.domain.intents import CancelIntent, CloseIntent, Intent, ModifyIntent
from ctrader_app.domain.operations import Kind, State
from ctrader_app.operations.resolve import settle_as_happened, settle_as_not_happened
from ctrader_app.operations.verdicts import FollowUp
from tests.stateful.invariants import check_always, check_healed
from tests.stateful.venue import Fault
from tests.stateful.world import World
from tests.support.operations import order

INDEX = st.integers(min_value=0, max_value=1_000)
"""Picks one of however many there are at that moment."""

SELDOM = st.sampled_from([False, False, False, True])

RECORDS = ("succeed", "end", "doubt", "requeue")


BOUNDS = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Wish:
    """A write that a caller may want, and what goes wrong with its first sending."""

    kind: Kind
    pick: int
    lots: str | None
    stop: str | int | None
    profit: str | int
    label: str
    fault: Fault | None
    is_left_queued: bool


WRITES = st.builds(
    Wish,
    kind=st.sampled_from([*sorted(Kind)]),
    pick=INDEX,
    lots=st.sampled_from(["0.1", "0.2", None]),
    stop=st.sampled_from([None, "0.9", "0.8", 0]),
    profit=st.sampled_from(["1.5", "1.6", 0]),
    label=st.sampled_from(["", "", "mine"]),
    fault=st.sampled_from([None, *sorted(Fault)]),
    is_left_queued=SELDOM,
)


class Histories(RuleBasedStateMachine):
    """One account's random life at one kind of venue."""

    replays: ClassVar[bool]
    keeps_history: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        self.now = World(replays=self.replays, keeps_history=self.keeps_history).__enter__()
        self.known_finals: dict[str, tuple[Any, ...]] = {}
        self.keyed: dict[str, str] = {}
        self.keys_used = 0

    # -- callers ---------------------------------------------------------------------------------------------------

    @rule(writes=st.lists(WRITES, min_size=1, max_size=4))
    def trade(self, writes: list[Wish]) -> None:
        for wish in writes:
            self._submit(wish, self._intent(wish))

    def _intent(self, wish: Wish) -> Intent:
        """An order when there is nothing yet to close, to modify or to cancel."""
        venue = self.now.venue
        match wish.kind:
            case Kind.CLOSE if venue.positions:
                return CloseIntent.of_arguments(self._position(wish.pick), "EURUSD", wish.lots)
            case Kind.MODIFY if venue.positions:
                return ModifyIntent.of_arguments(self._position(wish.pick), "EURUSD", wish.stop, wish.profit)
            case Kind.CANCEL if venue.orders:
                return CancelIntent.of_arguments(sorted(venue.orders)[wish.pick % len(venue.orders)])
        limit = {"order_type": "LIMIT", "limit_price": "0.5"} if wish.pick % 2 else {}
        return order(lot_size="0.3", label=wish.label, **limit)

    def _submit(self, wish: Wish, intent: Intent) -> None:
        operation = self.now.submit(intent)
        assert self.now.messages[-1].operation_id == operation.pk
        if wish.fault is not None:
            self.now.venue.script.appendleft(wish.fault)
        if not wish.is_left_queued:
            self._deliver(len(self.now.messages) - 1, redelivered=False)

    @rule(key=st.sampled_from(["first", "second"]))
    def place_with_a_key(self, key: str) -> None:
        """The second time it is the same operation, and nothing is published."""
        before = len(self.now.messages)
        operation_id = str(self.now.submit(order(lot_size="0.2", comment=key), key).pk)
        assert self.keyed.setdefault(key, operation_id) == operation_id
        assert len(self.now.messages) == before + (len(self.keyed) > self.keys_used)
        self.keys_used = len(self.keyed)

    @rule()
    def submit_in_a_transaction_that_fails(self) -> None:
        self.now.submit_and_roll_back(order())

    # -- the queue -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.now.messages)
    @rule(pick=INDEX, redelivered=st.booleans())
    def deliver(self, pick: int, redelivered: bool) -> None:
        self._deliver(pick % len(self.now.messages), redelivered=redelivered)

    def _deliver(self, index: int, *, redelivered: bool) -> None:
        message = self.now.messages.pop(index)
        if not self.now.deliver(message, redelivered=redelivered):
            self.now.messages.append(message)  # it was not acknowledged

    @precondition(lambda self: self.now.messages)
    @rule(pick=INDEX)
    def lose(self, pick: int) -> None:
        self.now.messages.pop(pick % len(self.now.messages))

    @precondition(lambda self: self.now.seen)
    @rule(pick=INDEX)
    def repeat(self, pick: int) -> None:
        """A message from any time comes again."""
        self.now.messages.append(self.now.seen[pick % len(self.now.seen)])

    @precondition(lambda self: self.now.messages)
    @rule(pick=INDEX, record=st.sampled_from(RECORDS))
    def die_before_the_record(self, pick: int, record: str) -> None:
        with self.now.death_in_ledger(record):
            self._deliver(pick % len(self.now.messages), redelivered=False)

    @rule()
    def sweep(self) -> None:
        self.now.sweep()

    @precondition(lambda self: self.now.messages)
    @rule(seconds=st.sampled_from([0.3, 1.0, 2.0]))
    def work_for_a_while(self, seconds: float) -> None:
        """A worker takes what is there now, one after the other."""
        self.now.pass_time(seconds)
        for _ in range(len(self.now.messages)):
            self._deliver(0, redelivered=False)

    @rule(seconds=st.sampled_from([0.3, 6.0, 20.0, 31.0, 50.0, 90.0, 400.0]))
    def pass_time(self, seconds: float) -> None:
        self.now.pass_time(seconds)

    # -- the venue -------------------------------------------------------------------------------------------------

    @rule(faults=st.lists(st.sampled_from(sorted(Fault)), min_size=1, max_size=3))
    def go_wrong(self, faults: list[Fault]) -> None:
        self.now.venue.script.extend(faults)

    @rule(reads=st.integers(min_value=1, max_value=2))
    def stop_answering_reads(self, reads: int) -> None:
        self.now.venue.reads_to_fail = reads

    @rule()
    def restart_the_service(self) -> None:
        self.now.venue.restart()

    @precondition(lambda self: self.now.venue.orders)
    @rule(pick=INDEX)
    def fill(self, pick: int) -> None:
        orders = sorted(self.now.venue.orders)
        self.now.venue.fill(orders[pick % len(orders)])

    @precondition(lambda self: self.now.venue.positions)
    @rule(pick=INDEX, happens=SELDOM)
    def stop_out(self, pick: int, happens: bool) -> None:
        position_id = self._position(pick)
        if happens and self.now.venue.positions[position_id].fact.volume_lots:
            self.now.venue.stop_out(position_id)

    def _position(self, pick: int) -> str:
        """Mostly an open one; a closed one has something to teach, too."""
        positions = self.now.venue.positions
        open_now = sorted(key for key, position in positions.items() if position.fact.volume_lots)
        candidates = open_now if open_now and pick % 8 else sorted(positions)
        return candidates[pick % len(candidates)]

    # -- people ----------------------------------------------------------------------------------------------------

    @rule(happens=SELDOM)
    def a_person_settles_a_doubt(self, happens: bool) -> None:
        """Who looks at the venue, and tells the truth."""
        if not happens:
            return
        doubt = self.now.rows().filter(state=State.IN_DOUBT).first()
        if doubt is None or self.now.venue.is_under_way(str(doubt.pk)):
            return
        if self.now.venue.effects.get(str(doubt.pk)):
            settle_as_happened(doubt.pk, "4711", "a person")
        else:
            settle_as_not_happened(doubt.pk, "a person")

    # -- what holds ------------------------------------------------------------------------------------------------

    @invariant()
    def rules_hold(self) -> None:
        check_always(self.now)
        self._finals_stay()

    def _finals_stay(self) -> None:
        finals = self.now.finals()
        for operation_id, said in self.known_finals.items():
            assert finals.get(operation_id) == said, f"{operation_id} was final and changed"
        self.known_finals = finals

    def teardown(self) -> None:
        try:
            self.now.heal()
            self.rules_hold()
            check_healed(self.now)
            self._replay_all()
        finally:
            self.now.__exit__()

    def _replay_all(self) -> None:
        """Every message there ever was, again, as often marked as redelivered as not: nothing changes."""
        states = list(self.now.rows().values_list("pk", "state"))
        effects = {key: list(found) for key, found in self.now.venue.effects.items()}
        every = [*self.now.seen, *(FollowUp.to_execute(row) for row in self.now.rows())]
        for number, message in enumerate(every[:60]):
            assert self.now.deliver(message, redelivered=number % 2 == 0)
            assert list(self.now.rows().values_list("pk", "state")) == states
        assert {key: list(found) for key, found in self.now.venue.effects.items()} == effects
        self.rules_hold()


@pytest.mark.usefixtures("sqlite_db")
@pytest.mark.parametrize("replays", [True, False], ids=["replay", "evidence"])
@pytest.mark.parametrize("keeps_history", [True, False], ids=["history", "no-history"])
def test_every_history_keeps_the_rules(replays: bool, keeps_history: bool) -> None:
    """Bounded: the same 40 histories of up to 25 steps in every run, at each kind of venue."""
    run_state_machine_as_test(histories_at(replays=replays, keeps_history=keeps_history), settings=BOUNDS)


def histories_at(*, replays: bool, keeps_history: bool) -> type[Histories]:
    """The machine for this kind of venue."""
    return type("HistoriesAt", (Histories,), {"replays": replays, "keeps_history": keeps_history})
