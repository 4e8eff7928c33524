"""Measure side by side: interleaved rounds, medians, and rows that say what they mean."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

ROUNDS = 7
"""At least five rounds are needed for a median that one hiccup does not move; seven cost little more."""


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. ``ratio`` is ours to the peer's; ``met`` whether it is on the right side of the goal."""

    name: str
    ours: float
    peer: float
    unit: str
    peer_name: str
    goal: str
    ratio: float
    met: bool

    def json(self) -> dict[str, object]:
        """As a JSON object."""
        return asdict(self)


def at_most(name: str, ours: float, peer: float, unit: str, peer_name: str, limit: float) -> Row:
    """A row whose goal is that ours is at most ``limit`` times the peer's (times, memory)."""
    ratio = ours / peer if peer else math.inf
    return Row(name, ours, peer, unit, peer_name, f"at most {limit:g}x", ratio, ratio <= limit)


def at_least(name: str, ours: float, peer: float, unit: str, peer_name: str, limit: float) -> Row:
    """A row whose goal is that ours is at least ``limit`` times the peer's (rates)."""
    ratio = ours / peer if peer else math.inf
    return Row(name, ours, peer, unit, peer_name, f"at least {limit:g}x", ratio, ratio >= limit)


def p50_side_by_side(calls: Mapping[str, Callable[[], object]], repeats: Mapping[str, int]) -> dict[str, float]:
    """The median time of one call in seconds, by name: the median over rounds of each round's median.

    The rounds of all calls are interleaved, so that a slow moment of the machine meets all of them.
    """
    for call in calls.values():
        call()
    medians: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            medians[name].append(_round_p50(call, repeats[name]))
    return {name: statistics.median(rounds) for name, rounds in medians.items()}


def _round_p50(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def median_rate(batches: Mapping[str, Callable[[], object]], size: int, *, rounds: int) -> dict[str, float]:
    """How many a second, by name: the median over interleaved rounds of batches of ``size``."""
    rates: dict[str, list[float]] = {name: [] for name in batches}
    for _ in range(rounds):
        for name, batch in batches.items():
            started = time.perf_counter()
            batch()
            rates[name].append(size / (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in rates.items()}
