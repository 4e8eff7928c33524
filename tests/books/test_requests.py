"""Triggers are coalesced into one waiting run per account, whoever comes first."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from ctrader_app.ledger import reconciliations
from ctrader_app.ledger.reconciliations import RunBusyError, RunGoneError
from ctrader_app.models import ReconciliationRun, TradingAccount
from ctrader_app.operations import reconcile

State = ReconciliationRun.State


@pytest.mark.django_db
class TestRequest:
    def test_triggers_join_the_waiting_run(self, account: TradingAccount) -> None:
        first = reconcile.request(account, "position.closed")
        second = reconcile.request(account, "positions.snapshot")
        assert second.pk == first.pk
        assert (second.triggers, second.state, second.cause) == (2, State.REQUESTED, "position.closed")

    def test_a_trigger_during_a_reading_gets_a_run_of_its_own(self, account: TradingAccount) -> None:
        first = reconcile.request(account, "event")
        assert reconciliations.claim(first.pk, timezone.now()) is not None
        second = reconcile.request(account, "event")
        assert second.pk != first.pk

    def test_accounts_do_not_share_runs(self, account: TradingAccount) -> None:
        other = TradingAccount.objects.create(user=account.user, broker_login="1000002")
        assert reconcile.request(account, "event").pk != reconcile.request(other, "event").pk

    def test_is_part_of_the_callers_transaction(self, account: TradingAccount) -> None:
        with transaction.atomic():
            reconcile.request(account, "event")
            transaction.set_rollback(True)
        assert not ReconciliationRun.objects.exists()

    def test_a_long_cause_is_cut(self, account: TradingAccount) -> None:
        assert len(reconcile.request(account, "x" * 500).cause) == 80

    def test_waiting_runs_are_told_by_age(self, account: TradingAccount) -> None:
        waiting = reconcile.request(account, "event")
        assert reconcile.waiting_runs(timezone.now()) == [waiting.pk]
        assert reconcile.waiting_runs(timezone.now() - timedelta(seconds=30)) == []


@pytest.mark.django_db
class TestClaim:
    def test_only_one_reads_and_the_other_goes_on_waiting(self, account: TradingAccount) -> None:
        first = reconcile.request(account, "event")
        reconciliations.claim(first.pk, timezone.now())
        second = reconcile.request(account, "event")
        with pytest.raises(RunBusyError):
            reconciliations.claim(second.pk, timezone.now())
        second.refresh_from_db()
        assert second.state == State.REQUESTED

    def test_a_message_delivered_again_finds_nothing(self, account: TradingAccount) -> None:
        waiting = reconcile.request(account, "event")
        claimed = reconciliations.claim(waiting.pk, timezone.now())
        assert claimed is not None
        assert claimed.attempts == 1
        assert reconciliations.claim(waiting.pk, timezone.now()) is None

    def test_a_run_that_was_given_up_can_neither_finish_nor_fail(self, account: TradingAccount) -> None:
        claimed = reconciliations.claim(reconcile.request(account, "event").pk, timezone.now() - timedelta(hours=1))
        assert claimed is not None
        (again,) = reconcile.recover_abandoned(timezone.now())
        with pytest.raises(RunGoneError):
            reconciliations.finish(claimed, at=timezone.now(), opened=0, changed=0, closed=0)
        with pytest.raises(RunGoneError):
            reconciliations.fail(claimed, "late", timezone.now())
        claimed.refresh_from_db()
        assert (claimed.state, claimed.error) == (State.FAILED, "its worker died")
        assert ReconciliationRun.objects.get(pk=again).state == State.REQUESTED

    def test_living_runs_are_not_given_up(self, account: TradingAccount) -> None:
        reconciliations.claim(reconcile.request(account, "event").pk, timezone.now())
        assert reconcile.recover_abandoned(timezone.now() + timedelta(seconds=reconcile.ABANDONED_AFTER_S - 5)) == ()

    def test_old_runs_are_forgotten_and_waiting_ones_are_not(self, account: TradingAccount) -> None:
        claimed = reconciliations.claim(reconcile.request(account, "event").pk, timezone.now())
        assert claimed is not None
        reconciliations.finish(claimed, at=timezone.now() - timedelta(days=9), opened=0, changed=0, closed=0)
        waiting = reconcile.request(account, "event")
        assert reconcile.forget_finished(timezone.now() - timedelta(days=7)) == 1
        assert list(ReconciliationRun.objects.values_list("pk", flat=True)) == [waiting.pk]


def test_rivals_end_up_in_one_run_and_none_is_lost(account_anywhere: TradingAccount) -> None:
    rivals, rounds = 4, 5
    start = Barrier(rivals)

    def trigger(_rival: int) -> set[UUID]:
        try:
            start.wait(timeout=20)
            return {reconcile.request(account_anywhere, "event").pk for _ in range(rounds)}
        finally:
            connection.close()

    with ThreadPoolExecutor(rivals) as pool:
        seen = set().union(*pool.map(trigger, range(rivals)))
    run = ReconciliationRun.objects.get()
    assert seen == {run.pk}
    assert run.triggers == rivals * rounds


def test_rivals_claim_a_run_once(account_anywhere: TradingAccount) -> None:
    rivals = 4
    waiting = reconcile.request(account_anywhere, "event")
    start = Barrier(rivals)

    def claim(_rival: int) -> bool:
        try:
            start.wait(timeout=20)
            return reconciliations.claim(waiting.pk, timezone.now()) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(rivals) as pool:
        assert sorted(pool.map(claim, range(rivals))) == [False, False, False, True]
