"""How many ticks a second a relay carries from RabbitMQ through Redis: ours, its peers, and the ceiling of kombu."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence

from benchmarks.measure import Row, at_least
from benchmarks.stream.gate import Gate
from benchmarks.stream.stage import Stage
from benchmarks.stream.ticks import TICK_KEY, publishings, symbol_names, tick_series
from benchmarks.stream.watch import GroupWatch, Received

ROUNDS = 5
SYMBOLS = 50
TICKS = 40_000

EVERY_TICK = {"CTRADER_RELAY_EVERY_TICK": "true"}


def measure(stage: Stage, rounds: int = ROUNDS, ticks: int = TICKS) -> list[Row]:
    """Each round every relay empties a queue that was filled before; the slow ones a shorter one."""
    symbols = symbol_names(SYMBOLS)
    contenders: dict[str, Callable[[], float]] = {
        "ceiling": lambda: ceiling(stage, symbols, ticks),
        "conflating": lambda: ours(stage, symbols, ticks, every_tick=False),
        "every tick": lambda: ours(stage, symbols, ticks, every_tick=True),
        "aio-pika": lambda: peer(stage, "benchmarks.peers.aio_pika_relay", symbols, ticks // 5),
        "first": lambda: peer(stage, "benchmarks.peers.first_relay", symbols, ticks // 50),
    }
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, contender in contenders.items():
            rates[name].append(contender())
    rate = {name: statistics.median(found) for name, found in rates.items()}
    goals = [
        ("relay, conflating", "conflating", "ceiling", "kombu and nothing else", 0.6),
        ("relay, conflating", "conflating", "first", "async_to_sync(group_send)", 50),
        ("relay, conflating", "conflating", "aio-pika", "aio-pika and group_send", 6),
        ("relay, every tick", "every tick", "ceiling", "kombu and nothing else", 0.4),
        ("relay, every tick", "every tick", "aio-pika", "aio-pika and group_send", 3),
    ]
    return [at_least(name, rate[one], rate[other], "/s", said, goal) for name, one, other, said, goal in goals]


def ceiling(stage: Stage, symbols: Sequence[str], number: int) -> float:
    """Ticks a second that kombu takes."""
    options = stage.options()
    with Gate(options) as gate:
        arguments = (options.url, f"{options.stem}.market", str(number + 1))
        with stage.process("benchmarks.peers.kombu_ceiling", *arguments) as process:
            gate.wait_for_spare()
            gate.fill(_publishings(options.exchange, stage, symbols, number), number)
            opened = gate.open()
            done = float(process.wait_for_log(r"done (\S+)", 120)[1])
    return number / (done - opened)


def peer(stage: Stage, module: str, symbols: Sequence[str], number: int) -> float:
    """Ticks a second of a relay that sends every tick."""
    options = stage.options()
    arguments = (options.url, f"{options.stem}.market", stage.redis.url())
    with Gate(options) as gate, stage.process(module, *arguments):
        return _drained(stage, gate, options.exchange, symbols, number, every_tick=True)


def ours(stage: Stage, symbols: Sequence[str], number: int, *, every_tick: bool) -> float:
    """Ticks a second of the product's stream worker."""
    options = stage.options()
    env = stage.environment(EVERY_TICK if every_tick else {})
    with Gate(options) as gate, stage.process("benchmarks.stream.worker", options.stem, env=env):
        return _drained(stage, gate, options.exchange, symbols, number, every_tick=every_tick)


def _publishings(exchange: str, stage: Stage, symbols: Sequence[str], number: int) -> bytes:
    return publishings(exchange, TICK_KEY, tick_series(stage.account_id, symbols, number))


def _drained(
    stage: Stage, gate: Gate, exchange: str, symbols: Sequence[str], number: int, *, every_tick: bool
) -> float:
    """Ticks a second, from the opening of the gate until a subscriber has all, or the last of each group."""
    with GroupWatch(stage.redis.port, stage.groups(symbols)) as watch:
        gate.wait_for_spare()
        gate.fill(_publishings(exchange, stage, symbols, number), number)
        watch.expect(_all(number) if every_tick else last_of_each(number, len(symbols)))
        opened = gate.open()
        done = watch.wait(120)
        check(watch.received, len(symbols), number, every_tick=every_tick)
    return number / (done - opened)


def _all(number: int) -> Callable[[Received], bool]:
    left = number

    def is_complete(_: Received) -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return is_complete


def last_of_each(number: int, symbols: int) -> Callable[[Received], bool]:
    """Whether all groups have the last of ``number`` ticks."""
    missing = symbols

    def is_complete(received: Received) -> bool:
        nonlocal missing
        missing -= int(received.message["price"]["bid"] > number - symbols)
        return missing == 0

    return is_complete


def check(received: Sequence[Received], symbols: int, number: int, *, every_tick: bool) -> None:
    """Every group ends with its newest tick and never went back; with ``every_tick`` none is missing or there twice."""
    bids: dict[bytes, list[float]] = defaultdict(list)
    for each in received:
        bids[each.group].append(each.message["price"]["bid"])
    assert len(bids) == symbols
    for found in bids.values():
        series = list(range(int(found[-1]) % symbols or symbols, number + 1, symbols))
        assert found[-1] == series[-1]
        assert all(before < after for before, after in zip([-math.inf, *found], found, strict=False))
        assert not every_tick or found == series
