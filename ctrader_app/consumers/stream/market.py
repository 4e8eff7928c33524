"""Prices and bars: from the broker to the groups, newest first, nothing else."""

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

from ctrader_app.broadcast.broadcaster import Broadcaster
from ctrader_app.broadcast.conflation import Freshness
from ctrader_app.broadcast.groups import candle_group, price_group
from ctrader_app.broadcast.messages import Message, candle_content, make, price_content
from ctrader_app.consumers.stream.counters import Ages, Tally
from ctrader_app.consumers.stream.pulse import Pulse
from ctrader_app.wire.events import CandleUpdate, PriceTick

GROUPS_REMEMBERED = 100_000


class MarketRelay:
    """Hands ticks and bars to the broadcaster, unless something newer of the same group was handed over before.

    One for all threads of a worker, so that what is newer wins whichever way it came: the lock costs a tenth of a
    microsecond. ``clock`` is epoch seconds: an event from the future counts as from now, because otherwise one wrong
    clock at the venue would make every right price look old. A price that is more than ``stale_after_s`` old is
    relayed, because it may be all there is, and marked as stale.
    """

    def __init__(
        self,
        broadcaster: Broadcaster,
        tally: Tally,
        clock: Callable[[], float] = time.time,
        stale_after_s: float = math.inf,
    ) -> None:
        self._broadcaster = broadcaster
        self._tally = tally
        self._clock = clock
        self._freshness = Freshness()
        self._groups: dict[tuple[UUID, str, str], str] = {}
        self._lock = threading.Lock()
        self._stale_after_s = stale_after_s
        self.pulse = Pulse()
        self.ages = Ages()

    def tick(self, account_id: UUID, tick: PriceTick) -> None:
        """Relay a tick."""
        now_s = self._clock()
        at = min(tick.occurred_at.timestamp(), now_s)
        with self._lock:
            group = self._group(account_id, tick.symbol, "")
            if self._freshness.admit(group, at):
                stood_since = self.pulse.price(group, at, tick)
                is_stale = now_s - stood_since > self._stale_after_s
                build = partial(self._price_sent, tick, at, stood_since, is_stale)
                self._broadcaster.offer(group, "price_tick", build)
                self._tally.add("relayed.price.tick")
            else:
                self._tally.add("stale.price.tick")

    def candle(self, account_id: UUID, update: CandleUpdate) -> None:
        """Relay the state of a bar."""
        at = min(update.occurred_at.timestamp(), self._clock())
        with self._lock:
            group = self._group(account_id, update.symbol, update.timeframe)
            if self._freshness.admit_bar(group, update.time_s, at):
                self.pulse.bar(group, at, update.time_s)
                key = ("candle_update", update.timeframe, str(update.time_s))
                self._broadcaster.offer(group, key, partial(candle_message, update, at))
                self._tally.add("relayed.candle.update")
            else:
                self._tally.add("stale.candle.update")

    def _price_sent(self, tick: PriceTick, at: float, stood_since: float, is_stale: bool) -> Message:
        self.ages.add(self._clock() - at)
        return price_message(tick, at, stood_since, self._clock, is_stale)

    def _group(self, account_id: UUID, symbol: str, timeframe: str) -> str:
        key = (account_id, symbol, timeframe)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= GROUPS_REMEMBERED:
                self._groups.clear()
            group = candle_group(account_id, symbol, timeframe) if timeframe else price_group(account_id, symbol)
            self._groups[key] = group
        return group


def price_message(
    tick: PriceTick, at: float, stood_since: float, clock: Callable[[], float], is_stale: bool
) -> Message:
    """The message of a tick, with the quote's age while it is written. The symbol keeps the venue's spelling."""
    content = price_content(tick.symbol, tick.bid, tick.ask, tick.time, clock() - stood_since, stale=is_stale)
    return make("price_tick", content, at)


def candle_message(update: CandleUpdate, at: float) -> Message:
    """The message of a bar's state."""
    prices = (update.open, update.high, update.low, update.close)
    content = candle_content(update.symbol, update.timeframe, update.time_s, prices, update.volume)
    return make("candle_update", content, at)
