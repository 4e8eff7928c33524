"""What one thread counts. Each thread has its own; the sum is shown."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable


class Tally:
    """Counts by name, such as ``received.price.tick``. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Count ``amount`` more of ``name``."""
        counts = self._counts
        counts[name] = counts.get(name, 0) + amount

    def counts(self) -> dict[str, int]:
        """As of now."""
        return dict(self._counts)


class Ages:
    """How many prices were sent at which age, in seconds. Written by one thread, read by any."""

    BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

    def __init__(self) -> None:
        self._counts = [0] * (len(self.BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, age_s: float) -> None:
        """Count one of that age."""
        self._counts[bisect_left(self.BOUNDS_S, age_s)] += 1
        self._sum_s += age_s

    def report(self) -> dict[str, object]:
        """As of now, in JSON values: the upper ``bounds`` in seconds, the ``counts`` up to each and beyond the last,
        and the ``sum`` of all ages in seconds."""
        return {"bounds": list(self.BOUNDS_S), "counts": list(self._counts), "sum": round(self._sum_s, 6)}


def total(tallies: Iterable[Tally]) -> dict[str, int]:
    """The sum of several threads' counts, by name in alphabetical order."""
    summed: Counter[str] = Counter()
    for tally in tallies:
        summed.update(tally.counts())
    return dict(sorted(summed.items()))
