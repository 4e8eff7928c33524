"""The database's clock, the one clock that all processes share.

A deadline is written by the process that takes an order and judged by the one that sends it. Were their own clocks
used, an hour between two machines would make a stale order fresh. So each process measures, now and then, how far its
clock is from the database's, and what must not be wrong at all (the claim) is compared by the database itself.
"""

import threading
import time
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

MEASURE_EVERY_S = 30.0
"""Clocks drift by milliseconds in that time; one that is set anew is noticed at once, by the monotonic clock."""

NEGLIGIBLE = timedelta(milliseconds=50)
"""Below this the measurement tells more about the network than about the clocks."""

LARGEST_ERROR_NS = 1_000_000_000

_offset = timedelta(0)
_measured: tuple[datetime, float] | None = None
_numbering = threading.Lock()
_last_ns = 0


def now() -> datetime:
    """The time by the database's clock, to within a fraction of a second."""
    global _offset, _measured  # noqa: PLW0603 - one estimate a process; a lost race measures twice
    own, ticks_s = timezone.now(), time.monotonic()
    if _measured is None or _is_stale(*_measured, own, ticks_s):
        _offset = measure_offset()
        own, ticks_s = timezone.now(), time.monotonic()
        _measured = own, ticks_s
    return own + _offset


def now_ns() -> int:
    """Nanoseconds since the epoch by the database's clock as last measured; above every number given before it.

    A new measurement may step back by its own error; what one process asks for in order has to stay in order.
    """
    global _last_ns  # noqa: PLW0603 - the last number given, under the lock
    with _numbering:
        measured = time.time_ns() + _offset // timedelta(microseconds=1) * 1000
        # A larger step is no error of the measurement: the clock was wrong and has been put right.
        _last_ns = measured if measured < _last_ns - LARGEST_ERROR_NS else max(_last_ns + 1, measured)
        return _last_ns


def _is_stale(own_before: datetime, ticks_before_s: float, own: datetime, ticks_s: float) -> bool:
    elapsed_s = ticks_s - ticks_before_s
    set_anew = abs((own - own_before) - timedelta(seconds=elapsed_s)) > NEGLIGIBLE
    return set_anew or elapsed_s > MEASURE_EVERY_S


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
