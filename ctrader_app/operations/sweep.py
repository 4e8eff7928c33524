"""Find what fell through: the ledger is the outbox, and this is what empties it."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from ctrader_app.ledger import clock, reconciliations
from ctrader_app.ledger import operations as ledger
from ctrader_app.ledger.operations import Why
from ctrader_app.models import Order, Position, ReconciliationRun, TradingAccount
from ctrader_app.operations import gateway, reconcile
from ctrader_app.operations.execute import expired, into_doubt
from ctrader_app.operations.verdicts import FollowUp

ACTOR = "sweep"

IDLE_S = 5.0
"""A queued row that nobody touched for this long has lost its message, or waits behind a long queue; a second
message does no harm."""

RECONCILE_EVERY_S = 60.0
"""Events ask for reconciliations; this is for the event that was never sent. One read a minute costs little."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep did, and what is to be published."""

    expired: int
    doubted: int
    follow_ups: tuple[FollowUp, ...]


def sweep() -> Sweep:
    """Expire what is too late, doubt what was abandoned, and name what has to be published again."""
    now = clock.now()
    follow_ups: list[FollowUp] = []
    overdue = ledger.overdue(now)
    for operation in overdue:
        follow_ups += expired(operation, "its deadline passed while it was queued", ACTOR, now).follow_ups
    abandoned = ledger.abandoned(now - timedelta(seconds=gateway.longest_write_s()))
    for operation in abandoned:
        follow_ups += into_doubt(operation, Why("abandoned: no living sender takes this long", ACTOR), now).follow_ups
    waiting = ledger.waiting(now, now - timedelta(seconds=IDLE_S))
    ledger.mark_enqueued([operation.pk for operation in waiting], now)
    follow_ups += [FollowUp.to_execute(row) for row in waiting]
    follow_ups += [FollowUp.to_resolve(row) for row in ledger.doubts_due(now)]
    return Sweep(len(overdue), len(abandoned), tuple(follow_ups))


def doubt_all_sending() -> int:
    """Doubt whatever is being sent, and say how much that was: for a process that knows that it is the only one.

    The embedded system holds its state folder alone, so that at its start every sender is dead.
    """
    now = clock.now()
    left = ledger.abandoned(now)
    for operation in left:
        into_doubt(operation, Why("found in sending at the start: its sender died", ACTOR), now)
    return len(left)


def due_runs() -> list[uuid.UUID]:
    """Reconciliations to publish: those of dead workers, those due by the clock, those whose message was lost."""
    now = clock.now()
    recovered = reconcile.recover_abandoned(now)
    for account in _not_reconciled_since(now - timedelta(seconds=RECONCILE_EVERY_S)):
        reconcile.request(account, "by the clock")
    due = [
        run.pk
        for run in reconciliations.waiting(now - timedelta(seconds=IDLE_S))
        # A run that failed waits ever longer; publishing it at each sweep would undo that.
        if run.requested_at + timedelta(seconds=reconcile.longest_wait_s(run.attempts)) <= now
    ]
    return [*recovered, *due]


def _not_reconciled_since(moment: datetime) -> list[TradingAccount]:
    """Accounts with something open whose books nobody has compared with the venue since ``moment``."""
    recent = ReconciliationRun.objects.filter(account=OuterRef("pk"), requested_at__gt=moment)
    exposed = Q(Exists(Position.objects.filter(account=OuterRef("pk"), is_open=True))) | Q(
        Exists(Order.objects.filter(account=OuterRef("pk")))
    )
    return list(TradingAccount.objects.filter(exposed, ~Exists(recent), platform="ctrader")[: ledger.SWEEP_BATCH])
