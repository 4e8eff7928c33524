"""A modest bound on how fast one user may write, so that a script gone wild hurts itself and nobody else.

A token bucket per user, in this process: with N web processes a user gets up to N times the bound. It lives here and
not in a shared cache because closing a position must never depend on one more server being up.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings

from ctrader_app.desk.api.errors import ApiError

DEFAULT_WRITES_PER_MINUTE = 1200
"""Twenty a second, with a minute of them at once: far above what a person does by hand."""

_MAX_USERS = 10_000


class Throttle:
    """Buckets that hold one minute's worth of calls and refill evenly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def take(self, key: object, per_minute: int) -> float:
        """Take one call: 0.0 when it is allowed, else the seconds until the next one is."""
        now = self._clock()
        with self._lock:
            level, at = self._buckets.pop(key, (float(per_minute), now))
            level = min(float(per_minute), level + (now - at) * per_minute / 60.0)
            allowed = level >= 1.0
            self._buckets[key] = (level - 1.0 if allowed else level, now)
            if len(self._buckets) > _MAX_USERS:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - level) * 60.0 / per_minute

    def clear(self) -> None:
        """Forget everybody."""
        with self._lock:
            self._buckets.clear()


writes = Throttle()


def check_write(user_id: object) -> None:
    """Count one write of this user. Raises ApiError 429 with Retry-After above CTRADER_API_WRITES_PER_MINUTE."""
    per_minute = int(getattr(settings, "CTRADER_API_WRITES_PER_MINUTE", DEFAULT_WRITES_PER_MINUTE))
    wait_s = writes.take(user_id, per_minute)
    if wait_s:
        raise ApiError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "THROTTLED",
            f"More than {per_minute} writes a minute. Nothing was recorded and nothing was sent.",
            headers={"Retry-After": str(int(wait_s) + 1)},
        )
