"""The flows: place, close, modify, cancel, sync, and the settling of doubts.

Every task takes the id of a row and may be delivered any number of times: the row decides what is left to do.
"""

import logging
import time
import uuid
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Reject
from django.db import InterfaceError, OperationalError

from ctrader_app.operations import reconcile
from ctrader_app.operations.execute import LONGEST_MESSAGE_DELAY_S, execute
from ctrader_app.operations.resolve import resolve
from ctrader_app.operations.verdicts import Verdict
from ctrader_app.tasks import names
from ctrader_app.tasks.queue import QueueUnavailable, enqueue, enqueue_sync

logger = logging.getLogger(__name__)

_Task = Task[Any, Any]

DATABASE_WAIT_S = 1.0
"""Before a reconciliation is tried again whose database was away."""


def _run(task: _Task, operation_id: str) -> str:
    verdict = execute(uuid.UUID(operation_id), actor=_actor(task), redelivered=_is_redelivered(task))
    return _follow(verdict)


def _follow(verdict: Verdict) -> str:
    for step in verdict.follow_ups:
        enqueue(step)
    return verdict.state.value


def _actor(task: _Task) -> str:
    return f"{task.name} on {task.request.hostname or 'this process'}"


def _is_redelivered(task: _Task) -> bool:
    delivery = task.request.delivery_info
    return bool(delivery and delivery.get("redelivered"))


@shared_task(name="ctrader.place", bind=True)
def place(self: _Task, operation_id: str) -> str:
    """Send an order. Returns the operation's state."""
    return _run(self, operation_id)


@shared_task(name="ctrader.close", bind=True)
def close(self: _Task, operation_id: str) -> str:
    """Close a position, wholly or in part. Returns the operation's state."""
    return _run(self, operation_id)


@shared_task(name="ctrader.modify", bind=True)
def modify(self: _Task, operation_id: str) -> str:
    """Set a position's protection. Returns the operation's state."""
    return _run(self, operation_id)


@shared_task(name="ctrader.cancel", bind=True)
def cancel(self: _Task, operation_id: str) -> str:
    """Cancel a working order. Returns the operation's state."""
    return _run(self, operation_id)


@shared_task(name=names.RESOLVE, bind=True)
def resolve_doubt(self: _Task, operation_id: str) -> str:
    """Examine an operation in doubt. Returns its state."""
    return _follow(resolve(uuid.UUID(operation_id), actor=_actor(self)))


@shared_task(name=names.SYNC, bind=True)
def sync(self: _Task, run_id: str) -> str:
    """Reconcile one account's books. Returns what became of the run."""
    try:
        verdict = reconcile.run(uuid.UUID(run_id), redelivered=_is_redelivered(self))
    except (InterfaceError, OperationalError) as error:
        # The run may be claimed and nobody's: only this message knows that, so it comes back until it could say so.
        time.sleep(DATABASE_WAIT_S)
        raise Reject(repr(error), requeue=True) from error
    if isinstance(verdict, reconcile.Busy):
        return "busy"
    if isinstance(verdict, reconcile.Failed):
        _continue(verdict.next_run, verdict.retry_in_s)
        return f"failed: {verdict.error}"
    if verdict.next_run is not None:
        _continue(verdict.next_run, verdict.next_in_s)
    return "done"


def _continue(run_id: uuid.UUID, delay_s: float) -> None:
    if delay_s > LONGEST_MESSAGE_DELAY_S:
        return  # the sweep finds it: a delayed message would sit unacknowledged in a worker
    try:
        enqueue_sync(run_id, delay_s=delay_s)
    except QueueUnavailable as error:
        logger.warning("reconciliation %s left to the sweep: %s", run_id, error)
