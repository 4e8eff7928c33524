"""One table of transitions: the rules, the ledger's guarded updates, the database's audit trail, the documentation."""

import inspect
import re
from datetime import timedelta
from functools import partial
from itertools import product

import pytest
from django.utils import timezone

from ctrader_app.domain.operations import FINAL, IN_FLIGHT, OPEN, TRANSITIONS, State, sources
from ctrader_app.ledger import operations as ledger
from ctrader_app.ledger import statements
from ctrader_app.ledger.operations import Why
from ctrader_app.models import Operation, OperationTransition
from tests.docs.generated import ROOT
from tests.support.operations import make_account, order

PAIRS = list(product(State, State))
ROW = re.compile(r"^\| `(\w+)` \| (?:`(\w+)`|nothing) \| (.+) \|$", re.MULTILINE)


def in_state(state: State) -> Operation:
    """A row that is put into this state without a transition."""
    now = timezone.now()
    operation, _ = ledger.open_operation(make_account(), order(), key=None, ttl_s=30, now=now, actor="test")
    Operation.objects.filter(pk=operation.pk).update(state=state.value)
    OperationTransition.objects.all().delete()
    return ledger.get(operation.pk)


def ask(operation: Operation, target: State) -> bool:
    """The ledger's own way to this state."""
    now, why = timezone.now(), Why("asked", "test")
    match target:
        case State.SENDING:
            return ledger.claim(operation, body={}, baseline=None, now=now, actor="test")
        case State.QUEUED:
            return ledger.requeue(operation, not_before=now, why=why, now=now)
        case State.IN_DOUBT:
            return ledger.doubt(operation, resolve_after=now, why=why, now=now)
        case State.SUCCEEDED:
            return ledger.succeed(operation, {}, why, now)
        case State.REFUSED | State.EXPIRED | State.FAILED:
            return ledger.end(operation, target, code="C", message="m", why=why, now=now)


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=str)
def test_the_guarded_updates_are_the_table(each_database: str, source: State, target: State) -> None:
    """All 49 pairs: what the table has is done and recorded, what it lacks changes nothing and leaves no trace."""
    operation = in_state(source)
    before = Operation.objects.filter(pk=operation.pk).values().get()
    moved = ask(operation, target)
    after = Operation.objects.filter(pk=operation.pk).values().get()
    trail = list(OperationTransition.objects.values_list("from_state", "to_state"))
    assert moved == (target in TRANSITIONS[source])
    if moved:
        assert after["state"] == target
        assert trail == [(source, target)]
        assert (after["finished_at"] is not None) == (target in FINAL)
    else:
        assert after == before
        assert trail == []


def test_examining_a_doubt_moves_nothing_else(each_database: str) -> None:
    """The two updates that keep the state touch no row in any other."""
    now = timezone.now()
    examined = partial(ledger.note_resolution, resolve_after=now, absences=1, why=Why("looked", "test"), now=now)
    asked = partial(ledger.note_question, why=Why("asked", "test"), now=now)
    for state, note in product(State, (examined, asked)):
        operation = in_state(state)
        before = Operation.objects.filter(pk=operation.pk).values().get()
        note(operation)
        after = Operation.objects.filter(pk=operation.pk).values().get()
        assert after["state"] == state
        assert (after != before) == (state is State.IN_DOUBT)


def test_postponing_moves_nothing_else(each_database: str) -> None:
    now = timezone.now()
    for state in State:
        operation = in_state(state)
        ledger.postpone(operation, not_before=now + timedelta(hours=1), now=now)
        ledger.mark_enqueued([operation.pk], now)
        after = ledger.get(operation.pk)
        assert after.state == state
        assert (after.not_before is not None) == (state is State.QUEUED)


def test_the_documentation_is_the_table() -> None:
    text = (ROOT / "docs" / "writes.md").read_text()
    part = text.split("<!-- generated: transitions -->")[1].split("<!-- end -->")[0]
    rows = ROW.findall(part)
    documented = {(source, target): why for source, target, why in rows if target}
    final = {source for source, target, _ in rows if not target}
    assert documented == {(source, target): why for source, to in TRANSITIONS.items() for target, why in to.items()}
    assert final == FINAL
    assert len(rows) == len(documented) + len(final)


def test_the_table_is_whole() -> None:
    """Every state has its row, final ones have no way out, every other one has, and each can be reached."""
    assert set(TRANSITIONS) == set(State)
    assert {state for state, targets in TRANSITIONS.items() if not targets} == FINAL
    assert set(State) == OPEN | FINAL
    assert not OPEN & FINAL
    assert OPEN - {State.QUEUED} == IN_FLIGHT
    reached, edge = {State.QUEUED}, {State.QUEUED}
    while edge:
        edge = {target for state in edge for target in TRANSITIONS[state]} - reached
        reached |= edge
    assert reached == set(State)
    assert all(sources(target) == {s for s in State if target in TRANSITIONS[s]} for target in State)


def test_nothing_else_in_the_ledger_writes_a_state() -> None:
    """One function moves rows; whatever else updates them leaves the state or writes the one it requires."""
    updates = re.findall(r"\.update\((.*?)\)\n", inspect.getsource(ledger), re.DOTALL)
    assert len(updates) >= 3
    written = [match for update in updates for match in re.findall(r"\bstate=(\S+?),", update)]
    assert written == ["State.IN_DOUBT.value"] * 2
    assert inspect.getsource(ledger).count("statements.move(") == 1
    assert re.findall(r"\bUPDATE (\S+) \S+ SET ", inspect.getsource(statements)) == ["{_table(Operation,"]
