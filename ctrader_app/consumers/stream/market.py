"""Prices and bars: from the broker to the groups, newest first, nothing else."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from ctrader_app.broadcast.broadcaster import Broadcaster
from ctrader_app.broadcast.conflation import Freshness
from ctrader_app.broadcast.groups import candle_group, price_group
from ctrader_app.broadcast.messages import Message, iso, make, price_content
from ctrader_app.consumers.stream.counters import Tally
from ctrader_app.wire.events import CandleUpdate, PriceTick

GROUPS_REMEMBERED = 100_000


class MarketRelay:
    """Hands ticks and bars to the broadcaster, unless something newer of the same group was handed over before.

    For one thread. ``clock`` is epoch seconds: an event from the future counts as from now, because otherwise one
    wrong clock at the venue would make every right price look old.
    """

    def __init__(self, broadcaster: Broadcaster, tally: Tally, clock: Callable[[], float] = time.time) -> None:
        self._broadcaster = broadcaster
        self._tally = tally
        self._clock = clock
        self._freshness = Freshness()
        self._groups: dict[tuple[UUID, str, str], str] = {}

    def tick(self, account_id: UUID, tick: PriceTick) -> None:
        """Relay a tick."""
        group = self._group(account_id, tick.symbol, "")
        at = min(tick.occurred_at.timestamp(), self._clock())
        if self._freshness.admit(group, at):
            self._broadcaster.offer(group, "price_tick", partial(price_message, tick, at))
            self._tally.add("relayed.price.tick")
        else:
            self._tally.add("stale.price.tick")

    def candle(self, account_id: UUID, update: CandleUpdate) -> None:
        """Relay the state of a bar."""
        group = self._group(account_id, update.symbol, update.timeframe)
        at = min(update.occurred_at.timestamp(), self._clock())
        if self._freshness.admit_bar(group, update.time_s, at):
            key = ("candle_update", update.timeframe, str(update.time_s))
            self._broadcaster.offer(group, key, partial(candle_message, update, at))
            self._tally.add("relayed.candle.update")
        else:
            self._tally.add("stale.candle.update")

    def _group(self, account_id: UUID, symbol: str, timeframe: str) -> str:
        key = (account_id, symbol, timeframe)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= GROUPS_REMEMBERED:
                self._groups.clear()
            group = candle_group(account_id, symbol, timeframe) if timeframe else price_group(account_id, symbol)
            self._groups[key] = group
        return group


def price_message(tick: PriceTick, at: float) -> Message:
    """The message of a tick. The symbol keeps the venue's spelling."""
    content = price_content(tick.symbol, tick.bid, tick.ask, tick.time)
    return make("price_tick", content, at)


def candle_message(update: CandleUpdate, at: float) -> Message:
    """The message of a bar's state. ``time`` is its opening in epoch seconds, ``timestamp`` the same in ISO-8601."""
    content: dict[str, object] = {
        "symbol": update.symbol,
        "timeframe": update.timeframe,
        "time": update.time_s,
        "timestamp": iso(datetime.fromtimestamp(update.time_s, UTC)),
        "open": update.open,
        "high": update.high,
        "low": update.low,
        "close": update.close,
        "tick_volume": update.volume,
        "volume": update.volume,
    }
    return make("candle_update", content, at)
