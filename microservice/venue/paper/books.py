"""What the venue holds in memory: accounts, open positions, waiting orders. SQLite holds the same, and the past."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from microservice.clock import utc
from microservice.venue.model import Direction, OrderRow, OrderType, TimeInForce

ZERO = Decimal(0)


class OrderStatus(StrEnum):
    """Where an order stands in the ledger."""

    PENDING = "pending"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


@dataclass(slots=True)
class Position:
    """An open position. ``commission`` and ``swap`` belong to what is still open, ``booked_*`` to what was closed."""

    id: int
    account_id: str
    symbol: str
    direction: Direction
    opened_lots: Decimal
    lots: Decimal
    open_price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    commission: Decimal
    opened_ms: int
    client_order_id: str | None
    label: str | None
    comment: str | None
    swap: Decimal = ZERO
    booked_profit: Decimal = ZERO
    booked_swap: Decimal = ZERO
    booked_commission: Decimal = ZERO


@dataclass(slots=True)
class PendingOrder:
    """An order that waits. ``price`` is its limit or its stop."""

    id: int
    account_id: str
    symbol: str
    direction: Direction
    order_type: OrderType
    lots: Decimal
    price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    sl_distance: Decimal | None
    tp_distance: Decimal | None
    time_in_force: TimeInForce
    good_till_ms: int | None
    created_ms: int
    client_order_id: str | None
    label: str | None
    comment: str | None

    def row(self) -> OrderRow:
        """Return the order as callers see it."""
        return OrderRow(
            order_id=str(self.id),
            symbol=self.symbol,
            direction=self.direction,
            order_type=self.order_type,
            volume=self.lots,
            price=self.price,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            created_at=utc(self.created_ms),
            time_in_force=self.time_in_force,
            client_order_id=self.client_order_id,
            label=self.label,
            comment=self.comment,
        )


@dataclass(slots=True)
class Account:
    """A hedged account: every entry is its own position."""

    account_id: str
    internal_account_id: str | None
    broker_login: str | None
    currency: str
    leverage: int
    balance: Decimal
    connected: bool
    positions: dict[int, Position] = field(default_factory=dict)
    orders: dict[int, PendingOrder] = field(default_factory=dict)


class Books:
    """Accounts, with positions and orders also found by symbol."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._positions: dict[str, dict[int, Position]] = defaultdict(dict)
        self._orders: dict[str, dict[int, PendingOrder]] = defaultdict(dict)

    def add_account(self, account: Account) -> None:
        """Take an account in."""
        self.accounts[account.account_id] = account

    def add_position(self, position: Position) -> None:
        """Take an open position in."""
        self.accounts[position.account_id].positions[position.id] = position
        self._positions[position.symbol][position.id] = position

    def drop_position(self, position: Position) -> None:
        """Let a closed position go."""
        del self.accounts[position.account_id].positions[position.id]
        del self._positions[position.symbol][position.id]

    def add_order(self, order: PendingOrder) -> None:
        """Take a waiting order in."""
        self.accounts[order.account_id].orders[order.id] = order
        self._orders[order.symbol][order.id] = order

    def drop_order(self, order: PendingOrder) -> None:
        """Let a finished order go."""
        del self.accounts[order.account_id].orders[order.id]
        del self._orders[order.symbol][order.id]

    def positions_in(self, symbol: str) -> list[Position]:
        """Return the open positions of a symbol, oldest first; a copy, safe to close from."""
        return list(self._positions[symbol].values())

    def orders_in(self, symbol: str) -> list[PendingOrder]:
        """Return the waiting orders of a symbol, oldest first; a copy, safe to fill from."""
        return list(self._orders[symbol].values())

    def orders(self) -> Iterator[PendingOrder]:
        """Return every waiting order."""
        for account in self.accounts.values():
            yield from account.orders.values()
