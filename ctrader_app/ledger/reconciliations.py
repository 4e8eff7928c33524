"""The rows of reconciliation runs: one waits and one runs per account at most, which the database enforces.

A trigger that comes while a run waits joins it; one that comes while a run is reading the venue gets a run of its
own, because the reading may be older than the trigger.
"""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from ctrader_app.ledger.books import lock_account
from ctrader_app.models import ReconciliationRun, TradingAccount

State = ReconciliationRun.State

_JOIN_ATTEMPTS = 5
"""Between our join and our insert a rival may insert, and another worker claim it; five such rounds are a fault."""

_CAUSE_CHARS = 80


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


def waiting_runs(older_than: datetime) -> list[UUID]:
    """Runs that have waited since before ``older_than``, oldest first: their message may be lost."""
    waiting = ReconciliationRun.objects.filter(state=State.REQUESTED, requested_at__lte=older_than)
    return list(waiting.order_by("requested_at").values_list("pk", flat=True))
