"""The ledger of operations: one row per intent, moved only along the table."""

import gc
import threading
import weakref
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TransactionTestCase

from connectors.errors import IdempotencyKeyReusedError
from ctrader_app.domain.operations import FINAL, TRANSITIONS, State
from ctrader_app.ledger import operations as ledger
from ctrader_app.ledger.operations import Why
from ctrader_app.models import Operation, TradingAccount
from tests.support.operations import make_account, order

WHY = Why("a test", "test")


def submit(account: TradingAccount, key: str | None = None, **fields: object) -> tuple[Operation, bool]:
    """Open an operation."""
    return ledger.open_operation(account, order(**fields), key=key, ttl_s=30, now=timezone.now(), actor="test")


@pytest.mark.django_db
def test_the_same_key_and_parameters_are_the_same_operation() -> None:
    account = make_account()
    first, is_new = submit(account, "k")
    again, again_new = submit(account, "k", lot_size=0.1)
    assert (is_new, again_new) == (True, False)
    assert first.pk == again.pk
    assert first.transitions.count() == 1


@pytest.mark.django_db
def test_the_same_key_with_other_parameters_is_an_error_that_names_the_operation() -> None:
    account = make_account()
    first, _ = submit(account, "k")
    with pytest.raises(IdempotencyKeyReusedError) as reused:
        submit(account, "k", lot_size="0.2")
    assert reused.value.operation_id == str(first.pk)
    assert Operation.objects.filter(account=account).count() == 1


@pytest.mark.django_db
def test_equal_keys_of_two_accounts_do_not_meet() -> None:
    assert submit(make_account(), "k")[0].pk != submit(make_account(), "k")[0].pk


@pytest.mark.django_db
def test_no_key_is_a_fresh_intent_each_time() -> None:
    account = make_account()
    assert submit(account)[0].pk != submit(account)[0].pk


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_caller_leaves_no_operation() -> None:
    account = make_account()

    @transaction.atomic
    def caller() -> None:
        submit(account, "k")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        caller()
    assert not Operation.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_rivals_with_one_key_get_one_operation() -> None:
    account = make_account()
    barrier = threading.Barrier(4)
    found: list[tuple[str, bool]] = []

    def rival() -> None:
        barrier.wait(10)
        operation, is_new = submit(account, "k")
        found.append((str(operation.pk), is_new))
        connections.close_all()

    threads = [threading.Thread(target=rival) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({pk for pk, _ in found}) == 1
    assert sorted(is_new for _, is_new in found) == [False, False, False, True]


@pytest.mark.django_db
def test_a_claim_is_won_once_and_not_after_the_deadline() -> None:
    operation, _ = submit(make_account())
    now = timezone.now()
    rival = ledger.get(operation.pk)
    assert ledger.claim(operation, body={"a": 1}, baseline=None, now=now, actor="one")
    assert not ledger.claim(rival, body={"a": 2}, baseline=None, now=now, actor="two")
    assert (operation.state, operation.attempts, operation.body) == (State.SENDING, 1, {"a": 1})
    late, _ = submit(make_account())
    Operation.objects.filter(pk=late.pk).update(deadline=now - timedelta(seconds=1))
    by_a_slow_clock = now - timedelta(hours=1)
    assert not ledger.claim(late, body={}, baseline=None, now=by_a_slow_clock, actor="late")


@pytest.mark.django_db
def test_the_sender_of_an_earlier_attempt_does_not_speak_for_a_later_one() -> None:
    operation, _ = submit(make_account())
    now = timezone.now()
    ledger.claim(operation, body={}, baseline=None, now=now, actor="one")
    stale = ledger.get(operation.pk)
    ledger.requeue(operation, not_before=now, why=WHY, now=now)
    ledger.claim(operation, body={}, baseline=None, now=now, actor="two")
    assert not ledger.requeue(stale, not_before=now, why=WHY, now=now)
    assert not ledger.succeed(stale, {}, WHY, now)
    assert ledger.get(operation.pk).state == State.SENDING


@pytest.mark.usefixtures("each_database")
def test_a_thread_that_read_an_operation_leaves_no_connection_behind() -> None:
    operation, _ = submit(make_account())
    left: list[weakref.ref[object]] = []

    def look() -> None:
        assert ledger.get(operation.pk).pk == operation.pk
        left.append(weakref.ref(connections["default"]))
        connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    gc.collect()
    assert [each() for each in left] == [None]


@pytest.mark.django_db
def test_the_audit_row_names_the_state_that_really_was() -> None:
    operation, _ = submit(make_account())
    now = timezone.now()
    ledger.claim(operation, body={}, baseline=None, now=now, actor="sender")
    sender = ledger.get(operation.pk)
    ledger.doubt(operation, resolve_after=now, why=WHY, now=now)
    assert ledger.succeed(sender, {"ok": True}, WHY, now)
    last = operation.transitions.last()
    assert last is not None
    assert (last.from_state, last.to_state) == ("in_doubt", "succeeded")


class TransitionTable(TransactionTestCase):
    """Whatever is asked of a row in whatever order, only the table's transitions happen."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.sampled_from(sorted(State)), max_size=8))
    def test_only_the_table_s_transitions_happen(self, wishes: list[State]) -> None:
        operation, _ = submit(make_account())
        for wish in wishes:
            before = State(Operation.objects.get(pk=operation.pk).state)
            moved = _ask(operation, wish)
            after = State(Operation.objects.get(pk=operation.pk).state)
            assert moved == (wish in TRANSITIONS[before])
            assert after == (wish if moved else before)
        steps = list(operation.transitions.values_list("from_state", "to_state"))[1:]
        assert all(State(target) in TRANSITIONS[State(source)] for source, target in steps)
        assert (operation.finished_at is not None) == (operation.state in FINAL)


def _ask(operation: Operation, wish: State) -> bool:
    now = timezone.now()
    match wish:
        case State.SENDING:
            return ledger.claim(operation, body={}, baseline=None, now=now, actor="test")
        case State.QUEUED:
            return ledger.requeue(operation, not_before=now, why=WHY, now=now)
        case State.IN_DOUBT:
            return ledger.doubt(operation, resolve_after=now, why=WHY, now=now)
        case State.SUCCEEDED:
            return ledger.succeed(operation, {}, WHY, now)
        case _:
            return ledger.end(operation, wish, code="C", message="m", why=WHY, now=now)
