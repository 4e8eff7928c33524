"""One symbol, five hundred browsers: frames a second, ours beside stock Channels.

A price is published to the group and the next one when every browser has it, so that nothing is replaced on the way and
both servers deliver the same.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgpack
import redis

from benchmarks.measure import Row, at_least
from benchmarks.stream.browsers import Browsers, Frame
from benchmarks.stream.service import QuietService
from benchmarks.stream.stage import Stage
from ctrader_app.broadcast.groups import price_group
from ctrader_app.consumers.stream.market import price_message
from ctrader_app.ledger.access import issue_token
from ctrader_app.wire.events import PriceTick
from tests.support.ports import free_port
from tests.support.waiting import wait_until

ROUNDS = 5
SOCKETS = 500
PRICES = 10
"""In one round."""

SYMBOL = "EURUSD"
WAIT_S = 60.0


def measure(stage: Stage, sockets: int = SOCKETS, rounds: int = ROUNDS) -> list[Row]:
    """Both servers have all their sockets open; in each round one after the other is fed."""
    rates: dict[str, list[float]] = {"ours": [], "stock": []}
    with ExitStack() as stack:
        crowds = {
            "ours": stack.enter_context(_ours(stage, sockets)),
            "stock": stack.enter_context(_stock(stage, sockets)),
        }
        for _ in range(rounds):
            for name, crowd in crowds.items():
                rates[name].append(crowd.rate())
    ours, stock = (statistics.median(rates[name]) for name in ("ours", "stock"))
    return [at_least(f"fan-out, {sockets} sockets on a symbol", ours, stock, "frames/s", "stock Channels", 2)]


class _Crowd:
    """Sockets that all listen to one group, and what feeds it."""

    def __init__(self, port: int, make: Callable[[float], dict[str, Any]], group: str, sockets: int) -> None:
        self._redis = redis.Redis(port=port)
        self._channel = f"asgi__group__{group}"
        self._make = make
        self._sockets = sockets
        self._number = 0
        self._expected = b""
        self._missing = 0
        self._all_here = threading.Event()

    def take(self, frame: Frame) -> None:
        if self._expected in frame.text:
            self._missing -= 1
            if self._missing == 0:
                self._all_here.set()

    def rate(self) -> float:
        """Frames a second."""
        started = time.monotonic()
        for _ in range(PRICES):
            self.price()
        return PRICES * self._sockets / (time.monotonic() - started)

    def warm(self) -> None:
        """Wait until every socket listens: the handshake ends before the group is joined."""
        wait_until(lambda: self._is_everywhere(1.0), WAIT_S, "every socket gets a price")

    def price(self) -> None:
        """Publish one, and wait until it is everywhere."""
        assert self._is_everywhere(WAIT_S), f"{self._missing} of {self._sockets} sockets got nothing"

    def _is_everywhere(self, timeout_s: float) -> bool:
        self._number += 1
        # A number that no other figure of the frame looks like.
        bid = 1000 + self._number + 0.125
        self._missing = self._sockets
        self._expected = str(bid).encode()
        self._all_here.clear()
        self._redis.publish(self._channel, msgpack.packb(self._make(bid)))
        return self._all_here.wait(timeout_s)


@contextmanager
def _ours(stage: Stage, sockets: int) -> Iterator[_Crowd]:
    port = free_port()
    token = issue_token(stage.account.user, "bench")
    crowd = _Crowd(stage.redis.port, _our_message, price_group(stage.account.pk, SYMBOL), sockets)
    paths = [f"/ws/prices/{stage.account_id}/{SYMBOL}/"] * sockets
    with QuietService() as service:
        env = stage.environment({"CTRADER_API_BASE_URL": service.url})
        with stage.process("benchmarks.stream.web", str(port), env=env) as web:
            web.wait_for_port(port, 60)
            with Browsers(port, paths, crowd.take, [f"Authorization: Bearer {token}"]) as browsers:
                crowd.warm()
                yield crowd
                browsers.check()


@contextmanager
def _stock(stage: Stage, sockets: int) -> Iterator[_Crowd]:
    port = free_port()
    group = f"prices_{uuid4()}_{SYMBOL}"
    crowd = _Crowd(stage.redis.port, _stock_message, group, sockets)
    with stage.process("benchmarks.peers.stock_channels", stage.redis.url(), str(port)) as web:
        web.wait_for_port(port, 60)
        with Browsers(port, [f"/{group}"] * sockets, crowd.take) as browsers:
            crowd.warm()
            yield crowd
            browsers.check()


def _our_message(bid: float) -> dict[str, Any]:
    now = datetime.now(UTC)
    tick = PriceTick(UUID(int=0), "", "", now, now, SYMBOL, bid, bid + 0.25, now)
    return price_message(tick, now.timestamp(), now.timestamp(), time.time, is_stale=False)


def _stock_message(bid: float) -> dict[str, Any]:
    return {"type": "price_tick", "price": _our_message(bid)["price"]}
