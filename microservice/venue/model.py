"""What goes into a venue and comes out of it: commands, answers, rows.

Volumes are lots, money and prices are Decimal, times are aware UTC datetimes unless a name ends in ``_s`` or
``_ms``. Identifiers are numeric strings. The structs are the JSON bodies, too.
"""

from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

import msgspec


class Direction(StrEnum):
    """The side of an order or a position."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Direction":
        """Return the side that closes this one."""
        return Direction.SELL if self is Direction.BUY else Direction.BUY


class OrderType(StrEnum):
    """How an order finds its price."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"


class TimeInForce(StrEnum):
    """How long an order may wait."""

    GTC = "GTC"
    GTD = "GTD"
    IOC = "IOC"
    FOK = "FOK"


class Timeframe(StrEnum):
    """The bar lengths served."""

    M1 = "M1"
    M5 = "M5"
    M15 = "M15"
    M30 = "M30"
    H1 = "H1"
    H4 = "H4"
    D1 = "D1"


class DealReason(IntEnum):
    """Why a deal was made; the numbers are MetaTrader 5's ENUM_DEAL_REASON."""

    EXPERT = 3
    SL = 4
    TP = 5
    SO = 6


# --- commands ---------------------------------------------------------------------------------------------


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Open a position now (MARKET) or leave an order waiting (LIMIT, STOP).

    ``sl_distance`` and ``tp_distance`` are price units measured from the fill. ``expires_at_ms`` is the
    deadline of the request: past it nothing is executed. ``good_till_ms`` is the deadline of a GTD order.
    """

    account_id: str
    symbol: str
    direction: Direction
    volume: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    sl_distance: Decimal | None = None
    tp_distance: Decimal | None = None
    time_in_force: TimeInForce | None = None
    good_till_ms: int | None = None
    expires_at_ms: int | None = None
    client_order_id: str | None = None
    label: str | None = None
    comment: str | None = None


class ClosePosition(msgspec.Struct, frozen=True, kw_only=True):
    """Close ``volume`` lots of a position; never more than it has."""

    account_id: str
    position_id: str
    volume: Decimal
    symbol: str | None = None
    client_order_id: str | None = None


class ModifyProtection(msgspec.Struct, frozen=True, kw_only=True):
    """Set both protection levels; None removes a level."""

    account_id: str
    position_id: str
    stop_loss: Decimal | None
    take_profit: Decimal | None
    symbol: str | None = None


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Take a pending order back."""

    account_id: str
    order_id: str


Command = PlaceOrder | ClosePosition | ModifyProtection | CancelOrder


# --- answers ----------------------------------------------------------------------------------------------


class AnswerError(msgspec.Struct, frozen=True):
    """Why an order was rejected although the request itself was answered."""

    code: str
    message: str


class PlaceAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``status`` is filled, pending or rejected."""

    order_id: str
    status: str
    symbol: str
    direction: Direction
    volume: Decimal
    client_order_id: str | None = None
    position_id: str | None = None
    deal_id: str | None = None
    price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    error: AnswerError | None = None


class CloseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was closed and what is left, in lots; money in the account's currency."""

    order_id: str
    deal_id: str
    position_id: str
    close_price: Decimal
    closed_volume: Decimal
    remaining_volume: Decimal
    profit: Decimal
    client_order_id: str | None = None


class ModifyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The levels as they now stand."""

    position_id: str
    stop_loss: Decimal | None
    take_profit: Decimal | None


class CancelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """``status`` is cancelled, or filled when the order was executed before it could be taken back."""

    order_id: str
    status: str


Answer = PlaceAnswer | CloseAnswer | ModifyAnswer | CancelAnswer


class AccountInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of an account, in its currency; margin_level in percent, 0 while no margin is used."""

    account_id: str
    balance: Decimal
    equity: Decimal
    margin: Decimal
    free_margin: Decimal
    margin_level: Decimal
    currency: str
    leverage: int


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    """An open position; costs are negative, profit is gross, in the account's currency."""

    position_id: str
    symbol: str
    direction: Direction
    volume: Decimal
    open_price: Decimal
    current_price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    profit: Decimal
    swap: Decimal
    commission: Decimal
    open_time: datetime
    client_order_id: str | None = None
    label: str | None = None
    comment: str | None = None


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waits for its price."""

    order_id: str
    symbol: str
    direction: Direction
    order_type: OrderType
    volume: Decimal
    price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    created_at: datetime
    time_in_force: TimeInForce
    client_order_id: str | None = None
    label: str | None = None
    comment: str | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything open and waiting on one account."""

    open_positions: list[PositionRow]
    pending_orders: list[OrderRow]


class TradingHours(msgspec.Struct, frozen=True, kw_only=True):
    """When a symbol trades."""

    timezone: str
    always_open: bool


class SymbolInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument. ``contract_size`` is units of the base asset in one lot."""

    symbol: str
    description: str
    digits: int
    tick_size: Decimal
    pip_size: Decimal
    contract_size: Decimal
    lot_step: Decimal
    min_lot: Decimal
    max_lot: Decimal
    currency: str
    base_currency: str
    quote_currency: str
    profit_currency: str
    margin_currency: str
    spread_points: int
    commission_per_lot_per_side: Decimal
    swap_long_points: Decimal
    swap_short_points: Decimal
    trading_hours: TradingHours


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The market in one symbol."""

    symbol: str
    bid: Decimal
    ask: Decimal
    time: datetime


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One bar of bid prices; ``time`` is its opening in epoch seconds, the volume counts its ticks."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    tick_volume: int


class DealRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, under MetaTrader 5's keys (type 0 BUY/1 SELL of the deal, entry 0 in/1 out) plus names."""

    ticket: int
    deal_id: str
    order: int
    order_id: str
    position_id: str
    time: int
    time_msc: int
    type: int
    direction: Direction
    entry: int
    reason: int
    reason_name: str
    volume: Decimal
    price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    symbol: str
    comment: str
    client_order_id: str | None
    magic: int = 0


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An order as history remembers it; ``status`` is pending, filled, cancelled, expired or rejected."""

    order_id: str
    status: str
    symbol: str
    direction: Direction
    order_type: OrderType
    volume: Decimal
    price: Decimal | None
    position_id: str | None
    deal_id: str | None
    closing: bool
    created_at: datetime
    finished_at: datetime | None
    client_order_id: str | None
    label: str | None
    comment: str | None


class SyncData(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to know of one position; the finals are None while it is open."""

    position_id: str
    symbol: str
    deals: list[DealRow]
    is_closed_on_platform: bool
    platform_remaining_size: Decimal
    latest_deal_timestamp: int
    last_deal_price: Decimal
    final_profit: Decimal | None
    final_commission: Decimal | None
    final_swap: Decimal | None
    error_message: str | None = None


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of ``position.closed``: totals over the life of the position.

    ``volume`` is what was opened, ``close_price`` the price of the last deal.
    """

    position_id: str
    symbol: str
    direction: Direction
    volume: Decimal
    open_time: datetime
    open_price: Decimal
    close_time: datetime
    close_price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    broker_deal_id: str
    reason: str
    client_order_id: str | None
    label: str | None


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The names of one account: ``account_id`` as it was on the wire when it connected."""

    account_id: str
    broker_login: str | None
    internal_account_id: str | None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a connect; ``session_id`` changes when the microservice restarts."""

    status: str
    session_id: str
