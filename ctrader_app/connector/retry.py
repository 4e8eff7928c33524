"""How often and how long a read is tried."""

import random
import time

ATTEMPTS = 3
BUDGET_S = 15.0
"""Wall clock for all attempts of one read and the waits between them; at least one full read timeout."""

FIRST_DELAY_S = 0.1
MAX_WAIT_S = 5.0
"""The longest that a Retry-After is waited for inside a read; a service that asks for more gets an error."""

_random = random.SystemRandom()


class ReadBudget:
    """Attempts and time left for one read."""

    def __init__(self, read_timeout_s: float) -> None:
        self._ends_at = time.monotonic() + max(BUDGET_S, read_timeout_s)
        self._failures = 0

    @property
    def remaining_s(self) -> float:
        """Time left, a little above zero at least, so that it can always be used as a timeout."""
        return max(self._ends_at - time.monotonic(), 0.001)

    def next_delay_s(self, retry_after_s: float | None) -> float | None:
        """How long to wait before the next attempt; None: give up. Counts one failure.

        Full jitter below 0.1 s, 0.2 s, ...; a wait that the service asked for replaces it.
        """
        self._failures += 1
        if self._failures >= ATTEMPTS:
            return None
        delay_s = _random.uniform(0, FIRST_DELAY_S * 2 ** (self._failures - 1))
        if retry_after_s is not None:
            if retry_after_s > MAX_WAIT_S:
                return None
            delay_s = retry_after_s
        return delay_s if time.monotonic() + delay_s < self._ends_at else None
