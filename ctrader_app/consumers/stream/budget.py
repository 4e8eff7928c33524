"""How many errors in a row a worker survives, and how long it pauses after each."""

from threading import Lock


class StreamFailedError(Exception):
    """The worker has given up: a supervisor has to start another."""


class ErrorBudget:
    """Counts consecutive errors of one reader. Safe between threads."""

    def __init__(self, limit: int, first_pause_s: float, longest_pause_s: float) -> None:
        self._limit = limit
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._errors = 0
        self._lock = Lock()

    def spend(self, cause: object) -> float:
        """Note an error; returns the seconds to pause. Raises StreamFailedError when that was one too many."""
        with self._lock:
            self._errors += 1
            if self._errors >= self._limit:
                raise StreamFailedError(f"{self._errors} errors in a row, the last one: {cause}")
            return min(self._first_pause_s * 2.0 ** min(self._errors - 1, 16), self._longest_pause_s)

    def restore(self) -> None:
        """Note that something went right."""
        self._errors = 0
