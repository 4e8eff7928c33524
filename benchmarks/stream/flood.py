"""What a flood of events that cannot be used does to the good ones: half of a full queue is bad."""

import statistics
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.measure import Row, at_least
from benchmarks.stream.gate import Gate
from benchmarks.stream.relay import last_of_each
from benchmarks.stream.stage import Stage
from benchmarks.stream.ticks import TICK_KEY, publishings, symbol_names, tick_series
from benchmarks.stream.watch import GroupWatch

ROUNDS = 5
SYMBOLS = 50
TICKS = 100_000
"""Some seconds of it: the first letters of each reason are written down, and a flood goes on after them."""

BAD = (b"{", b'{"event_version": 1, "type": "price.tick", "payload": {}}', b"\xff" * 400)
"""Cut off, without what it needs, and no text at all."""


def measure(stage: Stage, rounds: int = ROUNDS, ticks: int = TICKS) -> list[Row]:
    """A bad event has to be read like a good one: the goal is that it costs no more than one."""
    names = symbol_names(SYMBOLS)
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        good, twice = (tick_series(stage.account_id, names, number) for number in (ticks, 2 * ticks))
        flooded = [body for index, tick in enumerate(good) for body in (BAD[index % len(BAD)], tick)]
        rates["flooded"].append(_rate(stage, names, flooded, ticks))
        rates["good"].append(_rate(stage, names, twice, 2 * ticks))
    flooded_rate, good_rate = (statistics.median(rates[name]) for name in ("flooded", "good"))
    return [at_least("every other event bad", flooded_rate, good_rate, "/s", "as many, all of them good", 0.9)]


def _rate(stage: Stage, names: Sequence[str], bodies: Sequence[bytes], last: int) -> float:
    """Events a second, until every symbol shows its newest price, the last of them with a bid of ``last``."""
    options = stage.options()
    with (
        Gate(options) as gate,
        stage.process("benchmarks.stream.worker", options.stem),
        GroupWatch(stage.redis.port, stage.groups(names)) as watch,
    ):
        gate.wait_for_spare()
        gate.fill(publishings(options.exchange, TICK_KEY, bodies), len(bodies))
        watch.expect(last_of_each(last, len(names)))
        opened = gate.open()
        return len(bodies) / (watch.wait(120) - opened)
