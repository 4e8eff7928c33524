"""What a venue tells us, as frozen values.

Units: ``_lots`` are lots, prices are plain, money is in the account's currency with costs negative, datetimes are
aware and UTC. None means that the venue did not say, never zero.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Direction(StrEnum):
    """Which side of the market."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """How an order is to be filled."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"


class DealReason(StrEnum):
    """What caused a deal."""

    EXPERT = "expert"
    STOP_LOSS = "sl"
    TAKE_PROFIT = "tp"
    STOP_OUT = "so"


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """``margin_level`` in percent; None while no margin is used."""

    balance: Decimal
    equity: Decimal
    margin: Decimal
    free_margin: Decimal
    margin_level: Decimal | None
    currency: str
    leverage: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PositionFact:
    """One open position."""

    position_id: str
    symbol: str
    direction: Direction
    volume_lots: Decimal
    open_price: Decimal
    current_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    profit: Decimal
    swap: Decimal
    commission: Decimal
    open_time: datetime | None
    client_order_id: str = ""
    label: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class OrderFact:
    """One working order."""

    order_id: str
    symbol: str
    direction: Direction
    order_type: OrderType
    volume_lots: Decimal
    price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    created_at: datetime | None
    client_order_id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class OpenBook:
    """What is open on an account. ``orders`` None: the service did not say, so nothing is known of them."""

    positions: tuple[PositionFact, ...]
    orders: tuple[OrderFact, ...] | None


@dataclass(frozen=True, slots=True)
class DealFact:
    """One execution. ``is_entry`` tells opening from closing deals; ``time_ms`` is epoch milliseconds."""

    ticket: str
    order_id: str
    position_id: str
    symbol: str
    direction: Direction
    is_entry: bool
    reason: DealReason
    volume_lots: Decimal
    price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    time_ms: int
    comment: str = ""
    magic: int = 0
    client_order_id: str = ""


@dataclass(frozen=True, slots=True)
class SyncFact:
    """The life of one position. The ``final_*`` figures are None while it is open."""

    deals: tuple[DealFact, ...]
    is_closed: bool
    remaining_lots: Decimal | None
    latest_deal_time_s: int | None
    last_deal_price: Decimal | None
    final_profit: Decimal | None
    final_commission: Decimal | None
    final_swap: Decimal | None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class OrderTrace:
    """An order as the service's history remembers it. ``status`` is the service's own word, lower case."""

    order_id: str
    status: str
    client_order_id: str
    volume_lots: Decimal
    position_id: str | None = None
    deal_id: str | None = None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SymbolFact:
    """How a symbol trades. ``extra`` keeps what else the service said (currencies, trading hours), JSON values."""

    symbol: str
    digits: int
    tick_size: Decimal
    pip_size: Decimal
    contract_size: Decimal
    lot_step: Decimal
    min_lot: Decimal
    max_lot: Decimal
    extra: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CandleFact:
    """One bar; ``time_s`` is its opening in epoch seconds, ``volume`` counts ticks."""

    time_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class PriceFact:
    """A quote with the venue's own time."""

    symbol: str
    bid: Decimal
    ask: Decimal
    time: datetime


class PlaceStatus(StrEnum):
    """What became of an order that the venue took."""

    FILLED = "filled"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that the venue took."""

    order_id: str
    status: PlaceStatus
    volume_lots: Decimal
    client_order_id: str
    position_id: str | None = None
    deal_id: str | None = None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """A position closed, wholly or in part."""

    order_id: str
    deal_id: str
    close_price: Decimal | None
    closed_lots: Decimal
    remaining_lots: Decimal


@dataclass(frozen=True, slots=True)
class Protected:
    """The protection that a position now has."""

    position_id: str
    stop_loss: Decimal | None
    take_profit: Decimal | None


class CancelStatus(StrEnum):
    """How a working order ended."""

    CANCELLED = "cancelled"
    FILLED = "filled"


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The venue's answer to a cancellation: it may be that the order had filled."""

    order_id: str
    status: CancelStatus


WriteAnswer = Placed | Closed | Protected | Cancelled
