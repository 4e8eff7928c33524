"""The bodies that the API takes and gives, as types: the same ones decode requests and describe the OpenAPI document.

Volumes are lots, prices plain prices, money is in the account's currency. Numbers may be sent as JSON numbers or as
text; both are read exactly.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from connectors.base import Mt5Dict

Exact = Decimal
"""Read exactly from a JSON number or from text; the OpenAPI document says both."""

_SymbolHint = Annotated[
    str, Meta(max_length=64, description="Optional: cTrader finds it by the position; other platforms may need it.")
]


class PlaceTrade(Struct, forbid_unknown_fields=True, kw_only=True):
    """An order that opens a position. ``lot_size`` and ``volume`` are two names of one thing: give one of them."""

    symbol: Annotated[str, Meta(min_length=1, max_length=64, examples=["EURUSD"])]
    direction: Annotated[str, Meta(max_length=8, description="BUY or SELL.", examples=["BUY"])]
    lot_size: Annotated[Exact | UnsetType, Meta(description="Lots.")] = UNSET
    volume: Annotated[Exact | UnsetType, Meta(description="Lots; another name of lot_size.")] = UNSET
    order_type: Annotated[str, Meta(max_length=8, description="MARKET, LIMIT or STOP.")] = "MARKET"
    limit_price: Annotated[
        Exact | None, Meta(description="The price of a LIMIT order, the trigger of a STOP order; none for MARKET.")
    ] = None
    stop_loss: Annotated[Exact | None, Meta(description="A price.")] = None
    take_profit: Annotated[Exact | None, Meta(description="A price.")] = None
    sl_distance: Annotated[Exact | None, Meta(description="Price units from the fill; instead of stop_loss.")] = None
    tp_distance: Annotated[Exact | None, Meta(description="Price units from the fill; instead of take_profit.")] = None
    label: Annotated[str, Meta(max_length=100)] = ""
    comment: Annotated[str, Meta(max_length=512)] = ""
    ttl: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="Seconds; an order older than this is never sent.")
    ] = None


class ClosePosition(Struct, forbid_unknown_fields=True, kw_only=True):
    """How much of a position to close."""

    volume: Annotated[Exact | None, Meta(description="Lots; absent or null closes all that is open.")] = None
    symbol: _SymbolHint = ""


class ModifyProtection(Struct, forbid_unknown_fields=True, kw_only=True):
    """New levels: an absent one is kept, null or 0 removes it."""

    stop_loss: Annotated[Exact | UnsetType | None, Meta(description="A price; null or 0 removes it.")] = UNSET
    take_profit: Annotated[Exact | UnsetType | None, Meta(description="A price; null or 0 removes it.")] = UNSET
    symbol: _SymbolHint = ""


class ErrorDetail(Struct):
    """``code`` is stable and meant for programs, ``message`` for people."""

    code: str
    message: str
    details: Mt5Dict | UnsetType = UNSET


class ErrorBody(Struct):
    """Any answer that is not a success, but for the 422 that carries an operation."""

    error: ErrorDetail


class OperationError(Struct):
    """Why an operation did not succeed (yet)."""

    code: str
    message: str


class OperationBody(Struct):
    """A write that was recorded: its state, and its MT5-shaped result once succeeded.

    ``in_doubt`` means that it left and its outcome is not known yet: it is being settled by evidence. Do not repeat it.
    """

    id: str
    account_id: str
    kind: Literal["place", "close", "modify", "cancel"]
    state: Literal["queued", "sending", "in_doubt", "succeeded", "refused", "expired", "failed"]
    idempotency_key: str
    client_order_id: str
    parameters: Mt5Dict
    attempts: int
    created_at: datetime | None
    finished_at: datetime | None
    result: Mt5Dict | None
    error: OperationError | None


class AccountBody(Struct):
    """One account. The figures are the last ones seen; ``null`` when none has been seen yet."""

    id: str
    name: str
    platform: str
    environment: str
    broker_login: str
    trading_enabled: bool
    currency: str
    balance: float | None
    equity: float | None
    figures_at: datetime | None


class AccountInfoBody(Struct):
    """The account's figures, read now. ``margin_level`` in percent, null without open margin."""

    balance: float
    equity: float
    margin: float
    free_margin: float
    margin_level: float | None
    currency: str


class PositionBody(Struct):
    """An open position, read now. Costs are negative."""

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
    open_time: str | None


class PriceBody(Struct):
    """A quote; ``timestamp`` is the venue's own time, ISO-8601 UTC."""

    symbol: str
    bid: float
    ask: float
    timestamp: str


class CandleBody(Struct):
    """A bar; ``timestamp`` is its opening, ISO-8601 UTC."""

    symbol: str
    timeframe: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    timestamp: str


class SymbolBody(Struct):
    """How a symbol trades; more fields may follow."""

    symbol: str
    digits: int
    tick_size: float
    pip_size: float
    contract_size: float
    lot_step: float
    min_lot: float
    max_lot: float


class TicketBody(Struct):
    """Opens one WebSocket, once, as ``?ticket=``, within ``expires_in`` seconds."""

    ticket: str
    expires_in: int


Mt5Row = Annotated[Mt5Dict, Meta(description="An MT5-shaped row.")]
