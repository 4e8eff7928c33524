"""From the publishing of a tick to the browser: ours, through worker, Redis and web server, beside a bare bridge.

A tick that a newer one replaced on the way counts until that one is there: what a browser waits for is a price at least
as new.
"""

import shutil
import statistics
import threading
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.measure import Row, at_most
from benchmarks.stream.browsers import Browsers, Frame
from benchmarks.stream.service import QuietService
from benchmarks.stream.stage import Stage, declare, is_consumed
from benchmarks.stream.ticks import symbol_names
from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.ledger.access import issue_token
from tests.support.ports import free_port
from tests.support.processes import make_folder
from tests.support.waiting import wait_until

ROUNDS = 5
RATE = 2_000
SECONDS = 5
SYMBOLS = 50
SOCKETS = 100

WARM_SECONDS = 1
WAIT_S = 30.0

Latencies = list[float]


def measure(stage: Stage, rounds: int = ROUNDS, seconds: int = SECONDS) -> list[Row]:
    """Both are up all the time; in each round one after the other is fed."""
    found: dict[str, list[Latencies]] = {"ours": [], "bare": []}
    with ExitStack() as stack:
        paths = {"ours": stack.enter_context(_ours(stage)), "bare": stack.enter_context(_bare(stage))}
        for path in paths.values():
            path.run(WARM_SECONDS)
        for _ in range(rounds):
            for name, path in paths.items():
                found[name].append(path.run(seconds))
    load = f"at {RATE:,}/s"
    p99 = {name: _percentile(rows, 99) for name, rows in found.items()}
    return [at_most(f"tick to browser {load}, p99", p99["ours"], p99["bare"], "ms", "bare AMQP-to-WebSocket bridge", 3)]


def _percentile(rounds: list[Latencies], share: int) -> float:
    """In milliseconds: the median over rounds of each round's percentile."""
    return statistics.median(statistics.quantiles(latencies, n=100)[share - 1] for latencies in rounds) * 1000


class _Path:
    """One way from the broker to :data:`SOCKETS` browsers."""

    def __init__(self, stage: Stage, options: StreamOptions) -> None:
        self._stage = stage
        self._options = options
        self._number = 0
        self._frames: list[Frame] = []
        self._last: set[int] = set()
        self._lock = threading.Lock()

    def take(self, frame: Frame) -> None:
        # A symbol of which nothing has come yet is called stale, without a price.
        if b'"bid":null' not in frame.text:
            self._frames.append(frame)

    def run(self, seconds: int) -> Latencies:
        """Feed it, and tell how many seconds every tick took to every browser of its symbol."""
        number, first = RATE * seconds, self._number + 1
        self._number += number
        self._frames = []
        sent = self._publish(number, first)
        last = self._number - SYMBOLS
        wait_until(lambda: len({f.browser for f in self._frames[-20_000:] if bid_of(f.text) > last}) == SOCKETS, WAIT_S)
        return latencies(sent, first, self._frames)

    def _publish(self, number: int, first: int) -> "array[float]":
        folder = make_folder("bench")
        file = folder / "sent"
        options = self._options
        arguments = [options.url, options.exchange, self._stage.account_id, SYMBOLS, RATE, number, first, file]
        with self._stage.process("benchmarks.stream.publisher", *map(str, arguments)) as publisher:
            assert publisher.wait_for_exit(60 + number / RATE) == 0, publisher.log_tail()
        sent = array("d", file.read_bytes())
        shutil.rmtree(folder)
        return sent


def latencies(sent: "array[float]", first: int, frames: list[Frame]) -> Latencies:
    """For each browser and each tick of its symbol: from its sending until a price at least as new was there.

    Browser ``n`` listens to symbol ``n % SYMBOLS``, and so to ticks ``n % SYMBOLS``, and each ``SYMBOLS`` further on.
    """
    found: Latencies = []
    following = {browser: browser % SYMBOLS for browser in range(SOCKETS)}
    for frame in frames:
        shown = int(bid_of(frame.text)) - first
        index = following[frame.browser]
        while index <= shown:
            found.append(frame.at - sent[index])
            index += SYMBOLS
        following[frame.browser] = index
    missing = sum(index < len(sent) for index in following.values())
    assert not missing, f"{missing} browsers lack the last price"
    return found


def bid_of(text: bytes) -> float:
    """The bid in a frame."""
    start = text.index(b'"bid":') + 6
    return float(text[start : text.index(b",", start)])


@contextmanager
def _ours(stage: Stage) -> Iterator[_Path]:
    options = stage.options()
    port = free_port()
    path = _Path(stage, options)
    token = issue_token(stage.account.user, "bench")
    addresses = [f"/ws/prices/{stage.account_id}/{symbol_names(SYMBOLS)[n % SYMBOLS]}/" for n in range(SOCKETS)]
    with QuietService() as service, ExitStack() as stack:
        env = stage.environment({"CTRADER_API_BASE_URL": service.url})
        worker = stack.enter_context(stage.process("benchmarks.stream.worker", options.stem, env=env))
        web = stack.enter_context(stage.process("benchmarks.stream.web", str(port), env=env))
        web.wait_for_port(port, 60)
        worker.wait_for(lambda: is_consumed(options), 60, "consumer of its queue")
        browsers = stack.enter_context(Browsers(port, addresses, path.take, [f"Authorization: Bearer {token}"]))
        yield path
        browsers.check()


@contextmanager
def _bare(stage: Stage) -> Iterator[_Path]:
    options = stage.options()
    port = free_port()
    path = _Path(stage, options)
    declare(options)
    addresses = [f"/{symbol_names(SYMBOLS)[n % SYMBOLS]}" for n in range(SOCKETS)]
    with stage.process("benchmarks.peers.bare_bridge", options.url, f"{options.stem}.market", str(port)) as bridge:
        bridge.wait_for_port(port, 60)
        with Browsers(port, addresses, path.take) as browsers:
            yield path
            browsers.check()
