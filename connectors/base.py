"""The platform protocol: value types, errors, and what a platform has to offer to be traded through.

Units: volumes are lots, prices are plain prices, money is in the account's currency, timestamps say themselves
whether they are epoch seconds or ISO-8601. The value types and dicts here carry floats because they are the
MT5-shaped edge that callers already compute with; inside a platform everything is :class:`decimal.Decimal`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from connectors.errors import (
    AuthenticationError,
    ConnectionError,  # noqa: A004 - the name callers already catch
    ConnectorError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    OperationExpiredError,
    OperationFailedError,
    OrderRefusedError,
    RequestRefusedError,
    TransactionOpenError,
    UnknownOutcomeError,
    UnsupportedOperationError,
    WaitTimeoutError,
    WriteError,
)

__all__ = [
    "Account",
    "AccountInfo",
    "AuthenticationError",
    "CandleData",
    "ConnectionError",
    "ConnectorError",
    "IdempotencyKeyReusedError",
    "InvalidRequestError",
    "Mt5Dict",
    "Number",
    "OperationExpiredError",
    "OperationFailedError",
    "OperationHandle",
    "OrderRefusedError",
    "PlatformConnector",
    "PositionInfo",
    "PriceData",
    "RequestRefusedError",
    "StreamCallback",
    "TradeRequest",
    "TransactionOpenError",
    "UnknownOutcomeError",
    "UnsupportedOperationError",
    "WaitTimeoutError",
    "WriteError",
]

Number = int | float | Decimal | str
"""What callers may give for a volume or a price. Floats are read at 8 decimals, the rest exactly."""

Mt5Dict = dict[str, Any]
"""An MT5-shaped result: string keys, JSON values (ints for numeric ids, floats for money and prices)."""

StreamCallback = Callable[[Mt5Dict], object]


class Account(Protocol):
    """What TradingService needs of an account: anything with these two attributes."""

    @property
    def id(self) -> object: ...

    @property
    def platform(self) -> str: ...


@dataclass(frozen=True, slots=True)
class TradeRequest:
    """An order to open a position. ``lot_size`` in lots.

    ``limit_price`` is the price of a LIMIT order and the trigger of a STOP order; a MARKET order has none.
    ``stop_loss``/``take_profit`` are prices, ``sl_distance``/``tp_distance`` are distances in price units from
    the fill. ``label`` (at most 100 characters) and ``comment`` (at most 512) are shown on the platform.
    """

    symbol: str
    lot_size: Number
    direction: str
    stop_loss: Number | None = None
    take_profit: Number | None = None
    order_type: str = "MARKET"
    limit_price: Number | None = None
    sl_distance: Number | None = None
    tp_distance: Number | None = None
    label: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class PositionInfo:
    """An open position. ``volume`` in lots, ``stop_loss``/``take_profit`` None when not set, costs negative."""

    position_id: str
    symbol: str
    direction: str
    volume: float
    open_price: float
    current_price: float | None
    stop_loss: float | None
    take_profit: float | None
    profit: float
    swap: float
    commission: float
    open_time: str | None = None


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """The account's figures in its own ``currency``. ``margin_level`` in percent, None without open margin."""

    balance: float
    equity: float
    margin: float
    free_margin: float
    margin_level: float | None
    currency: str


@dataclass(frozen=True, slots=True)
class PriceData:
    """A quote. ``timestamp`` is ISO-8601 UTC, the venue's own time of the quote."""

    symbol: str
    bid: float
    ask: float
    timestamp: str


@dataclass(frozen=True, slots=True)
class CandleData:
    """A bar. ``timestamp`` is its opening time, ISO-8601 UTC; ``volume`` counts ticks."""

    symbol: str
    timeframe: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    timestamp: str


class OperationHandle(Protocol):
    """A write that was recorded and leaves with the caller's commit."""

    @property
    def operation_id(self) -> str: ...

    @property
    def state(self) -> str:
        """queued, sending, in_doubt, succeeded, refused, expired or failed; read anew at each access."""

    @property
    def result(self) -> Mt5Dict | None:
        """The MT5-shaped result once succeeded, else None."""

    def wait(self, timeout: float | None = None) -> Mt5Dict:
        """Block for at most ``timeout`` seconds (None: the platform's default) and return the result.

        Raises the :class:`WriteError` that tells what is known when it did not succeed in time.
        """

    async def wait_async(self, timeout: float | None = None) -> Mt5Dict:
        """:meth:`wait` without blocking the event loop."""


class PlatformConnector(Protocol):
    """One account on one platform. All methods block; TradingService makes the async twins.

    Reads raise instead of answering with something empty. Writes return at once with a handle.
    """

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...

    def release(self) -> None:
        """Give back what belongs to this thread: called after each call that was made in a borrowed one."""

    def submit_place(
        self, request: TradeRequest, *, idempotency_key: str | None, ttl_s: float | None
    ) -> OperationHandle: ...
    def submit_close(
        self, position_id: str, volume: Number | None, symbol: str, *, idempotency_key: str | None
    ) -> OperationHandle: ...
    def submit_modify(
        self,
        position_id: str,
        symbol: str,
        stop_loss: Number | None,
        take_profit: Number | None,
        *,
        idempotency_key: str | None,
    ) -> OperationHandle: ...
    def submit_cancel(self, order_id: str, *, idempotency_key: str | None) -> OperationHandle: ...

    def assert_can_wait(self) -> None:
        """Raise :class:`TransactionOpenError` where waiting for an outcome could never end."""

    def get_account_info(self) -> AccountInfo: ...
    def get_open_positions(self) -> list[PositionInfo]: ...
    def get_position_details(self, position_id: str) -> PositionInfo: ...
    def get_pending_orders(self) -> list[Mt5Dict]: ...
    def get_raw_open_positions(self) -> Mt5Dict: ...
    def fetch_trade_sync_data(self, position_id: str, symbol: str) -> Mt5Dict: ...
    def get_live_price(self, symbol: str) -> Mt5Dict: ...
    def get_symbol_info(self, symbol: str) -> Mt5Dict: ...
    def get_historical_candles(
        self,
        symbol: str,
        timeframe: str,
        count: int | None,
        start_time: object,
        end_time: object,
    ) -> list[Mt5Dict]: ...

    def subscribe_price(self, symbol: str) -> None: ...
    def unsubscribe_price(self, symbol: str) -> None: ...
    def subscribe_candles(self, symbol: str, timeframe: str) -> None: ...
    def unsubscribe_candles(self, symbol: str, timeframe: str) -> None: ...
