"""What one thread counts. Each thread has its own; the sum is shown."""

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


def total(tallies: Iterable[Tally]) -> dict[str, int]:
    """The sum of several threads' counts, by name in alphabetical order."""
    summed: Counter[str] = Counter()
    for tally in tallies:
        summed.update(tally.counts())
    return dict(sorted(summed.items()))
