"""``ws/prices/{account_id}/{symbol}/``: live prices of one symbol, and bars of the timeframes that are asked for.

In: ``{"type" or "action": "subscribe" or "unsubscribe", "timeframe": "M1"}``; unsubscribe without a timeframe ends all.
Out: ``{"type": "live_price", "data"}``, ``{"type": "new_candle", "data"}``, ``{"type": "error", "code", "message"}``.
"""

import asyncio
import logging
import re
from typing import Any

from connectors.errors import ConnectorError
from ctrader_app.broadcast.groups import candle_group, normal_timeframe, price_group
from ctrader_app.broadcast.messages import make, price_content
from ctrader_app.consumers.sockets.base import NOT_YOURS, Refusal, Socket
from ctrader_app.consumers.sockets.hub import hub
from ctrader_app.consumers.sockets.inbound import Refused
from ctrader_app.consumers.sockets.interest import interest
from ctrader_app.consumers.sockets.threads import in_http_thread
from ctrader_app.domain.facts import PriceFact
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import TradingAccount
from ctrader_app.operations import gateway

logger = logging.getLogger(__name__)

MAX_SYMBOL_CHARS = 64
MAX_TIMEFRAMES = 16
SETTLE_WAIT_S = 5.0
"""How long the end of a socket waits for its streams to be given up; they are in any case."""

_TIMEFRAME = re.compile(r"[A-Z0-9]{1,8}")


class PriceSocket(Socket):
    """One symbol of one account."""

    account: TradingAccount | None = None
    symbol = ""
    _snapshot: asyncio.Task[None] | None = None

    async def opened(self, account: TradingAccount) -> None:
        """Join the symbol's prices, have them produced, and fetch the last one."""
        symbol = self.arguments["symbol"].strip()
        if not symbol or len(symbol) > MAX_SYMBOL_CHARS or not symbol.isprintable():
            raise Refusal(NOT_YOURS)
        self.account, self.symbol, self._timeframes = account, symbol, set[str]()
        await hub().join(price_group(account.pk, symbol), self)
        interest().want(Stream(account.pk, symbol, ""), self)
        self._snapshot = asyncio.create_task(self._send_last_price(account))

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

    async def closed(self) -> None:
        """Leave the groups, then give up the streams; the others go on."""
        if self.account is None:
            return
        if self._snapshot is not None:
            self._snapshot.cancel()
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

    async def _unsubscribe(self, timeframe: str) -> asyncio.Task[None] | None:
        if self.account is None:
            return None
        self._timeframes.discard(timeframe)
        await hub().leave(candle_group(self.account.pk, self.symbol, timeframe), self)
        return interest().unwant(Stream(self.account.pk, self.symbol, timeframe), self)

    async def _send_last_price(self, account: TradingAccount) -> None:
        """The price as the venue has it now, unless a live one is there first: no new tab stays empty."""
        try:
            price = await in_http_thread(_read_price, account, self.symbol)
        except ConnectorError as error:
            # The subscription fails for the same reason, and that reaches the browser.
            logger.info("no last price of %s: %s", self.symbol, error.message)
            return
        message = make("price_tick", price_content(price.symbol, float(price.bid), float(price.ask), price.time))
        self.outbox.offer_first((price_group(account.pk, self.symbol), "price_tick"), message["text"])


def _read_price(account: TradingAccount, symbol: str) -> PriceFact:
    return gateway.client().price(gateway.ref_of(account), symbol)


def _timeframe(message: dict[str, Any]) -> str:
    value = message.get("timeframe")
    timeframe = normal_timeframe(value) if isinstance(value, str) else ""
    if _TIMEFRAME.fullmatch(timeframe) is None:
        raise Refused("INVALID_TIMEFRAME", "timeframe must be a name such as M1")
    return timeframe
