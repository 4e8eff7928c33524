"""Fills gaps: the last prices and bars of all wanted streams are read over HTTP and relayed like any others.

Market data are not acknowledged and not repeated: what a killed worker had in hand, what was published while the broker
was away, what went to a Redis that was not there is gone. The next price makes up for a price, but a bar that closed
meanwhile would keep a wrong close, and a symbol that quotes seldom a wrong price. So after every gap the truth is read,
as after state events. Whatever is newer wins, as always, by when it occurred.

A gap is taken to have been when the market queue's reader has connected, when prices come after a silence (a spare that
takes over, a microservice that is back), and when the channel layer takes messages again.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import close_old_connections

from ctrader_app.consumers.stream.counters import Tally
from ctrader_app.consumers.stream.market import MarketRelay
from ctrader_app.domain.facts import CandleFact, PriceFact
from ctrader_app.ledger.leases import Stream
from ctrader_app.operations import catching_up
from ctrader_app.operations.catching_up import Now, Wanted
from ctrader_app.wire.events import CandleUpdate, PriceTick

logger = logging.getLogger(__name__)

SILENCE_S = 5.0
"""Nothing for so long, then something: a gap. With few and slow symbols that is no sign of one; hence the next."""

SILENCES_EVERY_S = 30.0
"""Between two rounds that silences ask for."""

LAYER_SETTLES_S = 2.0
"""From the layer's last refusal: web processes need a moment to be back at a Redis that restarted."""

AT_ONCE = 8
"""Requests under way. With 50 ms each, 1,000 streams take 6 s."""

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 4.0
"""Between two attempts at a venue or database that is away: prices must be right soon after it is back."""

TRIED_FOR_S = 600.0
"""After that, streams that could not be read are left to the next gap."""

_NO_EVENT = UUID(int=0)


class Repair:
    """For its own thread (:meth:`run`), and one that tells it what it sees (:meth:`notice`)."""

    def __init__(self, relay: MarketRelay, tally: Tally, stopping: threading.Event) -> None:
        self._relay = relay
        self._tally = tally
        self._stopping = stopping
        self._wake = threading.Event()
        self._last_event_s = 0.0
        self._by_silence_s = -math.inf
        self._retries = 0
        self._refused_s: float | None = None

    def connected(self) -> None:
        """The reader has begun to consume. From any thread."""
        self._last_event_s = time.time()
        self._wake.set()

    def notice(self, last_event_s: float, retries: int) -> None:
        """Look for gaps: when the last market event came (epoch seconds), and how often the layer has refused.

        To be called often.
        """
        now_s = time.monotonic()
        if last_event_s > self._last_event_s:
            silent_s, self._last_event_s = last_event_s - self._last_event_s, last_event_s
            if silent_s >= SILENCE_S and now_s - self._by_silence_s >= SILENCES_EVERY_S:
                self._by_silence_s = now_s
                self._wake.set()
        if retries != self._retries:
            self._retries, self._refused_s = retries, now_s
        elif self._refused_s is not None and now_s - self._refused_s >= LAYER_SETTLES_S:
            self._refused_s = None
            self._wake.set()

    def run(self) -> None:
        """Repair after every gap, until told to stop."""
        while not self._stopping.is_set():
            if self._wake.wait(0.25):
                self._wake.clear()
                self._until_done()

    def _until_done(self) -> None:
        until_s, pause_s = time.monotonic() + TRIED_FOR_S, FIRST_PAUSE_S
        left: Sequence[Wanted] | None = None
        # A new gap is everybody's: it begins all over.
        while not self._wake.is_set() and not self._stopping.is_set() and time.monotonic() < until_s:
            try:
                wanted = catching_up.wanted() if left is None else left
                left = _Round(self._relay, self._tally, wanted).run(self._stopping)
                if not left:
                    return
            except DatabaseFailure as error:
                logger.warning("cannot tell what is wanted: %r", error)
            finally:
                close_old_connections()
            self._stopping.wait(pause_s)
            pause_s = min(pause_s * 2, LAST_PAUSE_S)


class _Round:
    """One attempt at some streams, by several threads. They are daemons: no venue that hangs keeps a worker from
    ending."""

    def __init__(self, relay: MarketRelay, tally: Tally, wanted: Sequence[Wanted]) -> None:
        self._relay = relay
        self._tally = tally
        self._waiting = deque(wanted)
        self._failed: list[Wanted] = []
        self._failed_in_a_row = 0
        self._lock = threading.Lock()

    def run(self, stopping: threading.Event) -> list[Wanted]:
        """Read and relay; returns what could not be read."""
        threads = [
            threading.Thread(target=self._work, args=(stopping,), name="ctrader-repair", daemon=True)
            for _ in range(min(AT_ONCE, len(self._waiting)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not stopping.is_set():
                thread.join(0.25)
        return [*self._failed, *self._waiting]

    def _work(self, stopping: threading.Event) -> None:
        # Once as many have failed in a row as run side by side, the venue is away: the others would wait for nothing.
        while not stopping.is_set() and self._failed_in_a_row < AT_ONCE:
            try:
                each = self._waiting.popleft()
            except IndexError:
                return
            now = catching_up.read(*each)
            with self._lock:
                if now is None:
                    self._failed_in_a_row += 1
                    self._failed.append(each)
                else:
                    self._failed_in_a_row = 0
                    self._take(now)

    def _take(self, now: Now) -> None:
        if now.price is not None:
            self._relay.tick(now.stream.account_id, _tick(now.stream, now.price, now.asked_at))
            self._tally.add("repaired.price.tick")
        for bar in now.bars:
            self._relay.candle(now.stream.account_id, _state(now.stream, bar, now.asked_at))
            self._tally.add("repaired.candle.update")


def _tick(stream: Stream, price: PriceFact, asked_at: datetime) -> PriceTick:
    return PriceTick(
        event_id=_NO_EVENT,
        account_ref=str(stream.account_id),
        broker_login="",
        occurred_at=min(price.time, asked_at),
        sent_at=None,
        symbol=price.symbol,
        bid=float(price.bid),
        ask=float(price.ask),
        time=price.time,
    )


def _state(stream: Stream, bar: CandleFact, asked_at: datetime) -> CandleUpdate:
    return CandleUpdate(
        event_id=_NO_EVENT,
        account_ref=str(stream.account_id),
        broker_login="",
        occurred_at=asked_at,
        sent_at=None,
        symbol=stream.symbol,
        timeframe=stream.timeframe,
        time_s=bar.time_s,
        open=float(bar.open),
        high=float(bar.high),
        low=float(bar.low),
        close=float(bar.close),
        volume=float(bar.volume),
    )
