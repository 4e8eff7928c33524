"""``ws/prices/{account_id}/{symbol}/``: live prices of one symbol, and bars of the timeframes that are asked for.

In: ``{"type" or "action": "subscribe" or "unsubscribe", "timeframe": "M1"}``; unsubscribe without a timeframe ends all.
Out: ``{"type": "live_price", "data"}``, ``{"type": "new_candle", "data"}``, ``{"type": "error", "code", "message"}``.
"""

import asyncio
import logging
import re
import time
from collections.abc import Coroutine
from typing import Any

from connectors.errors import ConnectorError
from ctrader_app.broadcast.groups import candle_group, normal_timeframe, price_group
from ctrader_app.broadcast.messages import candle_content, conflation_key, make, price_content
from ctrader_app.conf import get_settings
from ctrader_app.consumers.sockets.base import NOT_YOURS, Receive, Refusal, Scope, Send, Socket
from ctrader_app.consumers.sockets.hub import PRICE, hub
from ctrader_app.consumers.sockets.inbound import Refused
from ctrader_app.consumers.sockets.interest import interest
from ctrader_app.consumers.sockets.threads import in_http_thread
from ctrader_app.domain.facts import CandleFact, PriceFact
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import TradingAccount
from ctrader_app.operations import gateway

logger = logging.getLogger(__name__)

MAX_SYMBOL_CHARS = 64
MAX_TIMEFRAMES = 16
FIRST_BARS = 2
"""Bars that a new subscription gets at once: the one that forms, and the one that may have closed while it was made."""

SPEAKS_WITHIN_S = 1.0
"""How long a live price is waited for after a gap: it spares the venue a request for each socket."""

SETTLE_WAIT_S = 5.0
"""How long the end of a socket waits for its streams to be given up; they are in any case."""

_TIMEFRAME = re.compile(r"[A-Z0-9]{1,8}")


class PriceSocket(Socket):
    """One symbol of one account."""

    kind = "prices"

    account: TradingAccount | None = None
    symbol = ""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._timeframes: set[str] = set()
        self._snapshots: set[asyncio.Task[None]] = set()

    async def opened(self, account: TradingAccount) -> None:
        """Join the symbol's prices, have them produced, and fetch the last one."""
        symbol = self.arguments["symbol"].strip()
        if not symbol or len(symbol) > MAX_SYMBOL_CHARS or not symbol.isprintable():
            raise Refusal(NOT_YOURS)
        self.account, self.symbol = account, symbol
        await hub().join(price_group(account.pk, symbol), self)
        interest().want(Stream(account.pk, symbol, ""), self)
        self._fetch(self._send_last_price(account))

    async def heard(self, message: dict[str, Any]) -> None:
        """Subscribe to bars, or unsubscribe."""
        action = message.get("type", message.get("action"))
        if action == "subscribe":
            await self._subscribe(_timeframe(message))
        elif action == "unsubscribe":
            wanted = self._timeframes if message.get("timeframe") is None else {_timeframe(message)}
            for timeframe in wanted & self._timeframes:
                await self._unsubscribe(timeframe)
        else:
            raise Refused("UNKNOWN_TYPE", "send subscribe or unsubscribe")

    def refresh(self, since_s: float) -> None:  # noqa: ARG002 - a price has no history that could be told
        """Fetch the last price and bars of what does not speak for itself within :data:`SPEAKS_WITHIN_S`."""
        if self.account is None:
            return
        groups = [candle_group(self.account.pk, self.symbol, timeframe) for timeframe in self._timeframes]
        for group in (price_group(self.account.pk, self.symbol), *groups):
            self.outbox.reopen(group)
        self._fetch(self._send_all(self.account))

    async def _send_all(self, account: TradingAccount) -> None:
        await asyncio.sleep(SPEAKS_WITHIN_S)
        if not self.outbox.has_had((price_group(account.pk, self.symbol), PRICE)):
            await self._send_last_price(account)
        for timeframe in tuple(self._timeframes):
            await self._send_last_bars(account, timeframe)

    async def closed(self) -> None:
        """Leave the groups, then give up the streams; the others go on."""
        if self.account is None:
            return
        for snapshot in self._snapshots:
            snapshot.cancel()
        endings = [await self._unsubscribe(timeframe) for timeframe in set(self._timeframes)]
        await hub().leave(price_group(self.account.pk, self.symbol), self)
        endings.append(interest().unwant(Stream(self.account.pk, self.symbol, ""), self))
        pending = [ending for ending in endings if ending is not None]
        if pending:
            await asyncio.wait(pending, timeout=SETTLE_WAIT_S)

    async def _subscribe(self, timeframe: str) -> None:
        if self.account is None or timeframe in self._timeframes:
            return
        if len(self._timeframes) >= MAX_TIMEFRAMES:
            raise Refused("TOO_MANY", f"at most {MAX_TIMEFRAMES} timeframes on one socket")
        self._timeframes.add(timeframe)
        await hub().join(candle_group(self.account.pk, self.symbol, timeframe), self)
        interest().want(Stream(self.account.pk, self.symbol, timeframe), self)
        self._fetch(self._send_last_bars(self.account, timeframe))

    async def _unsubscribe(self, timeframe: str) -> asyncio.Task[None] | None:
        if self.account is None:
            return None
        self._timeframes.discard(timeframe)
        group = candle_group(self.account.pk, self.symbol, timeframe)
        await hub().leave(group, self)
        self.outbox.forget(group)
        return interest().unwant(Stream(self.account.pk, self.symbol, timeframe), self)

    def _fetch(self, snapshot: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(snapshot)
        self._snapshots.add(task)
        task.add_done_callback(self._snapshots.discard)

    async def _send_last_price(self, account: TradingAccount) -> None:
        """The price as the venue has it now, unless a live one is there first: no new tab stays empty."""
        group = price_group(account.pk, self.symbol)
        place = (group, PRICE)
        try:
            price = await in_http_thread(_read_price, account, self.symbol)
        except ConnectorError as error:
            # The subscription fails for the same reason, and that reaches the browser.
            logger.info("no last price of %s: %s", self.symbol, error.message)
            if (stale_text := hub().stale_text(group)) is not None:
                self.outbox.offer_first(place, stale_text)
            return
        age_s = time.time() - price.time.timestamp()
        # The price may be young and its stream silent all the same: then no younger one will follow it.
        stale = age_s > get_settings().stale_after_s or hub().stale_text(group) is not None
        content = price_content(price.symbol, float(price.bid), float(price.ask), price.time, age_s, stale=stale)
        self.outbox.offer_first(place, make("price_tick", content)["text"])

    async def _send_last_bars(self, account: TradingAccount, timeframe: str) -> None:
        """The newest bars as the venue has them now, each unless a live state of it is there first."""
        try:
            bars = await in_http_thread(_read_bars, account, self.symbol, timeframe)
        except ConnectorError as error:
            logger.info("no last bars of %s %s: %s", self.symbol, timeframe, error.message)
            return
        if timeframe not in self._timeframes:
            return
        group = candle_group(account.pk, self.symbol, timeframe)
        for bar in bars[-FIRST_BARS:]:
            prices = (float(bar.open), float(bar.high), float(bar.low), float(bar.close))
            content = candle_content(self.symbol, timeframe, bar.time_s, prices, float(bar.volume))
            message = make("candle_update", content)
            self.outbox.offer_first((group, conflation_key(message)), message["text"])


def _read_bars(account: TradingAccount, symbol: str, timeframe: str) -> tuple[CandleFact, ...]:
    return gateway.client().candles(gateway.ref_of(account), symbol, timeframe, count=FIRST_BARS)


def _read_price(account: TradingAccount, symbol: str) -> PriceFact:
    return gateway.client().price(gateway.ref_of(account), symbol)


def _timeframe(message: dict[str, Any]) -> str:
    value = message.get("timeframe")
    timeframe = normal_timeframe(value) if isinstance(value, str) else ""
    if _TIMEFRAME.fullmatch(timeframe) is None:
        raise Refused("INVALID_TIMEFRAME", "timeframe must be a name such as M1")
    return timeframe
