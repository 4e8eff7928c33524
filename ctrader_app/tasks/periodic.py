"""What beat starts: the sweep that empties the outbox, the upkeep of leases, and the clearing away of old rows."""

import logging

from celery import shared_task

from ctrader_app.operations import housekeeping, subscriptions
from ctrader_app.operations.sweep import due_runs, sweep
from ctrader_app.tasks import names
from ctrader_app.tasks.queue import QueueUnavailable, enqueue, enqueue_sync

logger = logging.getLogger(__name__)


@shared_task(name=names.SWEEP)
def sweep_operations() -> dict[str, int]:
    """Publish again what lost its message, expire what is too late, doubt what was abandoned."""
    swept = sweep()
    for step in swept.follow_ups:
        enqueue(step)
    runs = due_runs()
    for run_id in runs:
        try:
            enqueue_sync(run_id)
        except QueueUnavailable as error:
            logger.warning("%d reconciliations left to the next sweep: %s", len(runs), error)
            break
    return {
        "expired": swept.expired,
        "doubted": swept.doubted,
        "published": len(swept.follow_ups),
        "reconciliations": len(runs),
    }


@shared_task(name=names.SWEEP_LEASES)
def sweep_leases() -> None:
    """Stop the production of streams that nobody holds any more."""
    subscriptions.sweep_leases()


@shared_task(name=names.RENEW_PRODUCTION)
def renew_production() -> None:
    """Ask again for every stream that is held: a restarted microservice has forgotten them."""
    subscriptions.renew_production()


@shared_task(name=names.PURGE)
def purge() -> dict[str, int]:
    """Delete rows that have served their time. Operations, transitions, deals and positions are never deleted."""
    return housekeeping.purge()
