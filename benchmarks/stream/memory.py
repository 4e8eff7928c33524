"""What the stream worker's memory does in a burst, and while Redis takes everything and answers nothing."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Row, at_most
from benchmarks.stream.relay import EVERY_TICK, last_of_each
from benchmarks.stream.stage import Stage, is_consumed, waiting
from benchmarks.stream.ticks import symbol_names
from benchmarks.stream.watch import GroupWatch
from ctrader_app.consumers.stream.options import StreamOptions
from tests.support.processes import ManagedProcess
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

SYMBOLS = 50
BURST = 1_000_000
WHILE_DEAD = 200_000
WARM = 20_000

CONFLATED_LIMIT_MB = 16
"""One message for each group, and what Python needs around it."""

EVERY_TICK_LIMIT_MB = 160
"""Fifty thousand messages, the bound of what may wait to be sent, and as many that were taken to be sent."""

BACK_WITHIN_S = 5


def measure(stage: Stage, burst: int = BURST, while_dead: int = WHILE_DEAD) -> list[Row]:
    """Conflating in a burst, every tick while Redis is dead: each is the harder one of the two."""
    grown_mb = _burst(stage, burst)
    dead_mb, back_s = _dead_redis(stage, while_dead)
    bound = "the stated bound"
    return [
        at_most(f"memory, burst of {burst:,} ticks", grown_mb, CONFLATED_LIMIT_MB, "MB more", bound, 1),
        at_most(f"memory, {while_dead:,} ticks, dead Redis", dead_mb, EVERY_TICK_LIMIT_MB, "MB more", bound, 1),
        at_most("newest prices once Redis is back", back_s, BACK_WITHIN_S, "s", bound, 1),
    ]


def _burst(stage: Stage, number: int) -> float:
    """How many MB the worker grows at most, with the bounds of the queue that the product has."""
    with _worker(stage, stage.redis, {}) as (options, worker, before_mb):
        with GroupWatch(stage.redis.port, stage.groups(symbol_names(SYMBOLS))) as watch:
            watch.expect(last_of_each(number, SYMBOLS))
            _publish(stage, options, number)
            watch.wait(120)
        return _peak_mb(worker) - before_mb


def _dead_redis(stage: Stage, number: int) -> tuple[float, float]:
    """How many MB it grows while Redis is stopped, and how many seconds after that all groups have the newest price."""
    with RedisServer() as redis, _worker(stage, redis, EVERY_TICK) as (options, worker, before_mb):
        with GroupWatch(redis.port, stage.groups(symbol_names(SYMBOLS))) as watch:
            redis.process.send_signal(signal.SIGSTOP)
            try:
                _publish(stage, options, number)
                wait_until(lambda: waiting(options) == 0, 120, "the queue is empty")
                watch.expect(last_of_each(number, SYMBOLS))
            finally:
                redis.process.send_signal(signal.SIGCONT)
            back = time.monotonic()
            done = watch.wait(60)
        return _peak_mb(worker) - before_mb, done - back


@contextmanager
def _worker(
    stage: Stage, redis: RedisServer, extra: Mapping[str, str]
) -> Iterator[tuple[StreamOptions, ManagedProcess, float]]:
    """The product's worker with some work behind it, and how many MB it has by then."""
    options = stage.options(bounded=True)
    env = stage.environment({**extra, "CHANNELS_REDIS_URL": redis.url()})
    with stage.process("benchmarks.stream.worker", options.stem, "bounded", env=env) as worker:
        worker.wait_for(lambda: is_consumed(options), 60, "consumer of its queue")
        _publish(stage, options, WARM)
        wait_until(lambda: waiting(options) == 0, 60, "the queue is empty")
        yield options, worker, _status_mb(worker, "VmRSS")


def _publish(stage: Stage, options: StreamOptions, number: int) -> None:
    arguments = (options.url, options.exchange, stage.account_id, str(SYMBOLS), str(number))
    with stage.process("benchmarks.stream.burst", *arguments) as publisher:
        assert publisher.wait_for_exit(300) == 0, publisher.log_tail()


def _peak_mb(process: ManagedProcess) -> float:
    return _status_mb(process, "VmHWM")


def _status_mb(process: ManagedProcess, name: str) -> float:
    """A figure of the kernel's about the process, which it gives in KiB."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {name}")
