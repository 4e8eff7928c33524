"""Carry an operation through in the calling thread.

Inside a Celery task, waiting for another task can wait for ever: the pool may be full of waiters. So a wait there does
the work itself, through the same ledger and the same guarded claim as any worker.
"""

import time
import uuid
from typing import Any

from celery import Task, current_app
from celery._state import get_current_task

from ctrader_app.domain.operations import FINAL, State
from ctrader_app.operations.execute import execute
from ctrader_app.operations.resolve import resolve
from ctrader_app.operations.verdicts import Step, Verdict
from ctrader_app.tasks.queue import enqueue

POLL_S = 0.05


_is_served = False


def served_here() -> None:
    """Say that a worker runs in this process, on an in-memory broker."""
    global _is_served  # noqa: PLW0603 - a fact about the process, told once
    _is_served = True


def has_no_worker() -> bool:
    """Whether nobody takes what this process publishes: an in-memory broker is shared with no other process.

    So it is in a shell beside the embedded system. Its rows would wait for that system's sweep.
    """
    return str(current_app.conf.broker_url).startswith("memory:") and not _is_served


def in_task() -> bool:
    """Whether this code runs inside a Celery task."""
    task: Task[Any, Any] | None = get_current_task()
    return task is not None and not task.request.called_directly


def drive(operation_id: uuid.UUID, deadline: float) -> None:
    """Execute, and settle, until the operation is final or the monotonic ``deadline`` has come."""
    task: Task[Any, Any] | None = get_current_task()
    actor = f"inside task {task.name}" if task is not None else "caller"
    while time.monotonic() < deadline:
        verdict = execute(operation_id, actor=actor)
        _pass_on(operation_id, verdict)
        if verdict.state in FINAL:
            return
        if verdict.blocked_by is not None:
            # The one before it in its lane may have no worker either.
            drive(verdict.blocked_by, deadline)
            continue
        if verdict.state is State.IN_DOUBT:
            _sleep(POLL_S, deadline)
            _pass_on(operation_id, resolve(operation_id, actor=actor))
            continue
        own = [step.delay_s for step in verdict.follow_ups if step.operation_id == operation_id]
        _sleep(max([POLL_S, *own]), deadline)


def _pass_on(operation_id: uuid.UUID, verdict: Verdict) -> None:
    for step in verdict.follow_ups:
        if step.operation_id != operation_id or step.step is Step.RESOLVE:
            enqueue(step)


def _sleep(seconds: float, deadline: float) -> None:
    time.sleep(max(0.0, min(seconds, deadline - time.monotonic())))
