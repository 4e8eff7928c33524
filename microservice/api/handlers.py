"""What each endpoint does, from request struct to answer struct."""

from collections.abc import Callable

import msgspec

from microservice.api.errors import bad_request
from microservice.api.requests import (
    AccountRequest,
    BarsRequest,
    CandlesQuery,
    ConnectRequest,
    DealsQuery,
    OrdersQuery,
    SymbolRequest,
    SyncQuery,
    time_ms,
    timeframe,
)
from microservice.streams import Streams
from microservice.venue.base import Refusal, RefusalKind, Venue
from microservice.venue.model import (
    AccountInfo,
    Candle,
    DealRow,
    OrderRecord,
    Quote,
    Session,
    Snapshot,
    SymbolInfo,
    SyncData,
    Timeframe,
)

_DEFAULT_BARS = 100
_END_OF_TIME_MS = 2**62


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a subscription or a disconnect came to."""

    status: str
    symbol: str | None = None
    timeframe: Timeframe | None = None


class Candles(msgspec.Struct, frozen=True, kw_only=True):
    """Bars, oldest first, the forming one last."""

    symbol: str
    timeframe: Timeframe
    candles: list[Candle]


class Deals(msgspec.Struct, frozen=True, kw_only=True):
    """Deals, oldest first; ``has_more`` tells that the limit cut them off."""

    deals: list[DealRow]
    has_more: bool


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders, newest first; ``has_more`` tells that the limit cut them off."""

    orders: list[OrderRecord]
    has_more: bool


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process lives; ``events`` is the publisher's connection, ``outbox`` counts the events that wait."""

    status: str
    venue: str
    events: str
    outbox: int


class Handlers:
    """Reads and subscriptions; writes go through ``Writes``."""

    def __init__(self, venue: Venue, streams: Streams, health: Callable[[], Health]) -> None:
        self._venue = venue
        self._streams = streams
        self._health = health

    async def health(self, _: msgspec.Struct) -> Health:
        """Tell that the process lives."""
        return self._health()

    async def connect(self, request: ConnectRequest) -> Session:
        """Open or resume an account."""
        internal = request.internal_account_id
        return await self._venue.connect(request.account, None if internal is None else str(internal))

    async def disconnect(self, request: AccountRequest) -> Status:
        """Let go of an account and stop its streams."""
        self._streams.drop_account(request.account)
        await self._venue.disconnect(request.account)
        return Status(status="disconnected")

    async def account_info(self, request: AccountRequest) -> AccountInfo:
        """Figures of an account."""
        return await self._venue.account_info(request.account)

    async def open_positions(self, request: AccountRequest) -> Snapshot:
        """What is open and what is waiting."""
        return await self._venue.snapshot(request.account)

    async def symbol_info(self, request: SymbolRequest) -> SymbolInfo:
        """One instrument."""
        return await self._venue.symbol_info(request.account, request.symbol)

    async def price(self, request: SymbolRequest) -> Quote:
        """The last quote."""
        return await self._venue.price(request.account, request.symbol)

    async def candles(self, request: CandlesQuery) -> Candles:
        """Bars of one symbol."""
        period = timeframe(request.timeframe)
        start_ms, end_ms = time_ms(request.start, "start"), time_ms(request.end, "end")
        if start_ms is not None and end_ms is not None and start_ms > end_ms:
            raise bad_request("start is after end", "INCORRECT_BOUNDARIES")
        count = request.count
        if count is None and start_ms is None:
            count = _DEFAULT_BARS
        bars = await self._venue.candles(
            request.account,
            request.symbol,
            period,
            count=count,
            start_s=None if start_ms is None else -(-start_ms // 1000),
            end_s=None if end_ms is None else end_ms // 1000,
        )
        return Candles(symbol=self._venue.symbol_name(request.symbol), timeframe=period, candles=bars)

    async def sync_data(self, request: SyncQuery) -> SyncData:
        """The story of one position."""
        return await self._venue.sync_data(request.account, str(request.position_id))

    async def deals(self, request: DealsQuery) -> Deals:
        """Deals of a time window."""
        since, until = time_ms(request.since, "from"), time_ms(request.until, "to")
        until = _END_OF_TIME_MS if until is None else until
        rows = await self._venue.deals(request.account, since or 0, until, request.limit + 1)
        return Deals(deals=rows[: request.limit], has_more=len(rows) > request.limit)

    async def orders(self, request: OrdersQuery) -> Orders:
        """Order history."""
        rows = await self._venue.orders(request.account, request.client_order_id, request.order_id, request.limit + 1)
        return Orders(orders=rows[: request.limit], has_more=len(rows) > request.limit)

    async def subscribe_price(self, request: SymbolRequest) -> Status:
        """Start a symbol's ticks."""
        quote = await self._venue.price(request.account, request.symbol)
        self._streams.subscribe_price(request.account, quote)
        return Status(status="subscribed", symbol=quote.symbol)

    async def unsubscribe_price(self, request: SymbolRequest) -> Status:
        """Stop a symbol's ticks."""
        self._check_connected(request.account)
        name = self._venue.symbol_name(request.symbol)
        self._streams.unsubscribe_price(request.account, name)
        return Status(status="unsubscribed", symbol=name)

    async def subscribe_candles(self, request: BarsRequest) -> Status:
        """Start a symbol's bars."""
        period = timeframe(request.timeframe)
        bars = await self._venue.candles(request.account, request.symbol, period, count=1, start_s=None, end_s=None)
        name = self._venue.symbol_name(request.symbol)
        self._streams.subscribe_bars(request.account, name, period, bars[-1] if bars else None)
        return Status(status="subscribed", symbol=name, timeframe=period)

    async def unsubscribe_candles(self, request: BarsRequest) -> Status:
        """Stop a symbol's bars."""
        self._check_connected(request.account)
        period, name = timeframe(request.timeframe), self._venue.symbol_name(request.symbol)
        self._streams.unsubscribe_bars(request.account, name, period)
        return Status(status="unsubscribed", symbol=name, timeframe=period)

    def _check_connected(self, account_id: str) -> None:
        if not self._venue.is_connected(account_id):
            raise Refusal("ACCOUNT_NOT_CONNECTED", f"account {account_id} is not connected", RefusalKind.NOT_CONNECTED)
