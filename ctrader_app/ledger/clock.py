"""The database's clock, the one clock that all processes share.

A deadline is written by the process that takes an order and judged by the one that sends it. Were their own clocks
used, an hour between two machines would make a stale order fresh. So each process measures, now and then, how far its
clock is from the database's, and what must not be wrong at all (the claim) is compared by the database itself.
"""

import time
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

MEASURE_EVERY_S = 30.0
"""Clocks drift by milliseconds in that time; one that is set anew is noticed within it."""

NEGLIGIBLE = timedelta(milliseconds=50)
"""Below this the measurement tells more about the network than about the clocks."""

_offset = timedelta(0)
_measured_at: float | None = None


def now() -> datetime:
    """The time by the database's clock, to within a fraction of a second."""
    global _offset, _measured_at  # noqa: PLW0603 - one estimate a process; a lost race measures twice
    elapsed = None if _measured_at is None else time.monotonic() - _measured_at
    if elapsed is None or elapsed > MEASURE_EVERY_S:
        _offset = measure_offset()
        _measured_at = time.monotonic()
    return timezone.now() + _offset


def measure_offset() -> timedelta:
    """How far the database's clock is ahead of this process's. SQLite has no clock but the machine's own."""
    if connection.vendor == "sqlite":
        return timedelta(0)
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT STATEMENT_TIMESTAMP()")
        database: datetime = cursor.fetchone()[0]
    after = timezone.now()
    offset = database - (before + (after - before) / 2)
    return offset if abs(offset) > NEGLIGIBLE else timedelta(0)
