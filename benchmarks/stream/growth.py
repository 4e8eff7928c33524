"""Whether a tick costs the same among 5,000 symbols as among ten."""

import statistics
from collections import defaultdict

from benchmarks.measure import Row, at_least
from benchmarks.stream.relay import ours
from benchmarks.stream.stage import Stage
from benchmarks.stream.ticks import symbol_names

ROUNDS = 5
FEW = 10
MANY = 5_000
TICKS = 40_000


def measure(stage: Stage, rounds: int = ROUNDS, many: int = MANY, ticks: int = TICKS) -> list[Row]:
    """Every tick sent: the same work for each, whatever the number of groups. Conflating, few groups are less work than
    many, but many are to be no more than sending each of them every tick: as flat as that, then."""
    few_names, many_names = symbol_names(FEW), symbol_names(many)
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        rates["few"].append(ours(stage, few_names, ticks, every_tick=True))
        rates["many"].append(ours(stage, many_names, ticks, every_tick=True))
        rates["many, conflating"].append(ours(stage, many_names, ticks, every_tick=False))
    rate = {name: statistics.median(found) for name, found in rates.items()}
    what = f"relay, {many:,} symbols"
    return [
        at_least(f"{what}, every tick", rate["many"], rate["few"], "/s", f"{FEW} symbols", 0.8),
        at_least(f"{what}, conflating", rate["many, conflating"], rate["many"], "/s", "the same, every tick", 0.8),
    ]
