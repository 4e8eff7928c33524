"""Database connections of Celery workers: kept between tasks, proved alive before each.

Celery closes them around every task, which costs a new PostgreSQL connection (7 ms) for each order. Left alone, a
connection that died with its server would fail every task after. So Celery's own closing is off
(``CELERY_DB_REUSE_MAX`` in ``celeryconfig``) and Django's check runs before a task: a connection that had an error, is
older than its age, or does not answer is replaced. One that was good a moment ago is taken to be good: a task that
finds it broken all the same fails before it has sent anything, and the sweep publishes its row again.
"""

import threading
import time

from celery.signals import task_prerun, worker_init, worker_process_init
from django.db import connections

KEPT_S = 600
"""Age at which a worker's connection is replaced, where ``DATABASE_CONN_MAX_AGE`` asks for less. Web processes do not
keep theirs: under ASGI each request may run in a thread of its own."""

CHECK_EVERY_S = 1.0
"""A busy worker asks its connection whether it lives once a second, not before each of a hundred tasks."""

_checked = threading.local()


def _keep(**_kwargs: object) -> None:
    for alias in connections:
        kept = connections.settings[alias]
        kept["CONN_MAX_AGE"] = max(KEPT_S, kept.get("CONN_MAX_AGE") or 0)


def _check(task: object = None, **_kwargs: object) -> None:
    request = getattr(task, "request", None)
    if request is not None and request.is_eager:
        return  # it runs inside somebody else's work, with their connection
    now_s = time.monotonic()
    is_due = now_s - getattr(_checked, "at_s", -CHECK_EVERY_S) >= CHECK_EVERY_S
    for connection in connections.all(initialized_only=True):
        if is_due or connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()
    if is_due:
        _checked.at_s = now_s


def install() -> None:
    """Connect the signals. Harmless where no worker runs."""
    worker_init.connect(_keep, weak=False)
    worker_process_init.connect(_keep, weak=False)
    task_prerun.connect(_check, weak=False)
