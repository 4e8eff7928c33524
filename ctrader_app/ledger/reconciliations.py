"""The rows of reconciliation runs: one waits and one runs per account at most, which the database enforces.

A trigger that comes while a run waits joins it; one that comes while a run is reading the venue gets a run of its
own, because the reading may be older than the trigger.
"""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from ctrader_app.ledger.books import lock_account
from ctrader_app.models import ReconciliationRun, TradingAccount

State = ReconciliationRun.State

_JOIN_ATTEMPTS = 5
"""Between our join and our insert a rival may insert, and another worker claim it; five such rounds are a fault."""

_CAUSE_CHARS = 80


ERROR_CHARS = 2000

SWEEP_BATCH = 500
"""Rows that one sweep takes up; the next one goes on."""


class RunBusyError(Exception):
    """Another run of the same account is reading the venue."""


class RunGoneError(Exception):
    """The run is no longer ours: it was given up as abandoned. Whatever was read for it must not be applied."""


def request(account: TradingAccount, cause: str, *, triggers: int = 1, attempts: int = 0) -> ReconciliationRun:
    """The account's waiting run, joined or created, in the caller's transaction if there is one.

    ``attempts`` carries over how often the reading failed before.
    """
    with transaction.atomic():
        lock_account(account.pk)
        for _ in range(_JOIN_ATTEMPTS):
            waiting = ReconciliationRun.objects.filter(account=account, state=State.REQUESTED)
            if waiting.update(triggers=F("triggers") + triggers, attempts=Greatest(F("attempts"), attempts)):
                run = waiting.first()
                if run is not None:
                    return run
            try:
                with transaction.atomic():
                    return ReconciliationRun.objects.create(
                        account=account,
                        cause=cause[:_CAUSE_CHARS],
                        triggers=triggers,
                        attempts=attempts,
                        requested_at=timezone.now(),
                    )
            except IntegrityError:
                continue
    raise RuntimeError(f"could not request a reconciliation of account {account.pk}: rivals win every time")


def waiting(older_than: datetime) -> list[ReconciliationRun]:
    """Runs that have waited since before ``older_than``, oldest first: their message may be lost."""
    rows = ReconciliationRun.objects.filter(state=State.REQUESTED, requested_at__lte=older_than)
    return list(rows.order_by("requested_at")[:SWEEP_BATCH])


def waiting_runs(older_than: datetime) -> list[UUID]:
    """The ids of :func:`waiting`."""
    return [run.pk for run in waiting(older_than)]


def waiting_run_of(account: TradingAccount) -> UUID | None:
    """The account's waiting run."""
    waiting = ReconciliationRun.objects.filter(account=account, state=State.REQUESTED)
    return waiting.values_list("pk", flat=True).first()


def claim(run_id: UUID, at: datetime) -> ReconciliationRun | None:
    """REQUESTED -> RUNNING, committed before anything is read. None: there is nothing left to do for this run.

    Raises RunBusyError when the account has a run that is reading; this one goes on waiting.
    """
    waiting = ReconciliationRun.objects.filter(pk=run_id, state=State.REQUESTED)
    try:
        with transaction.atomic():
            claimed = waiting.update(state=State.RUNNING, started_at=at, attempts=F("attempts") + 1)
    except IntegrityError:
        raise RunBusyError(f"the account of run {run_id} is being reconciled") from None
    if not claimed:
        return None
    return ReconciliationRun.objects.select_related("account").get(pk=run_id)


def running(run_id: UUID) -> ReconciliationRun | None:
    """The run, if it was claimed and has not ended."""
    return ReconciliationRun.objects.select_related("account").filter(pk=run_id, state=State.RUNNING).first()


def finish(run: ReconciliationRun, *, at: datetime, opened: int, changed: int, closed: int, note: str = "") -> None:
    """RUNNING -> DONE, in the transaction that changed the books. Raises RunGoneError when it is not ours any more."""
    if not _ours(run).update(
        state=State.DONE, finished_at=at, opened=opened, changed=changed, closed=closed, error=note[:ERROR_CHARS]
    ):
        raise RunGoneError(f"run {run.pk} was given up meanwhile")


def fail(run: ReconciliationRun, error: str, at: datetime) -> ReconciliationRun:
    """RUNNING -> FAILED, and the run that tries again, which takes over the triggers and the count of attempts.

    Raises RunGoneError when it is not ours any more.
    """
    with transaction.atomic():
        lock_account(run.account_id)
        if not _ours(run).update(state=State.FAILED, finished_at=at, error=error[:ERROR_CHARS]):
            raise RunGoneError(f"run {run.pk} was given up meanwhile")
        return request(run.account, f"again: {run.cause.removeprefix('again: ')}", attempts=run.attempts)


def abandoned(before: datetime) -> list[ReconciliationRun]:
    """Runs that were claimed before ``before`` and have not ended: their worker died."""
    rows = ReconciliationRun.objects.filter(state=State.RUNNING, started_at__lte=before)
    return list(rows.select_related("account").order_by("started_at")[:SWEEP_BATCH])


def forget_finished(before: datetime) -> int:
    """Delete runs that ended before ``before``; how many. The books do not need them."""
    return ReconciliationRun.objects.filter(finished_at__lt=before).delete()[0]


def _ours(run: ReconciliationRun) -> models.QuerySet[ReconciliationRun]:
    return ReconciliationRun.objects.filter(pk=run.pk, state=State.RUNNING, started_at=run.started_at)
