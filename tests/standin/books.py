"""What the stand-in keeps: instruments, positions, working orders, deals, and what was really done."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

COMMISSION_PER_LOT = Decimal("-3.5")

Body = Mapping[str, Any]


class RefusedError(Exception):
    """The venue does not do it. Status 200 is a broker's rejection inside a good answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class Instrument:
    """A symbol and its price."""

    name: str
    digits: int
    contract_size: int
    bid: Decimal
    spread: Decimal
    lot_step: Decimal = Decimal("0.01")
    min_lot: Decimal = Decimal("0.01")
    max_lot: Decimal = Decimal(50)

    @property
    def ask(self) -> Decimal:
        """What a buyer pays."""
        return self.bid + self.spread

    @property
    def tick_size(self) -> Decimal:
        """One point."""
        return Decimal(1).scaleb(-self.digits)

    def entry(self, direction: str) -> Decimal:
        """The price at which this direction opens."""
        return self.ask if direction == "BUY" else self.bid

    def exit(self, direction: str) -> Decimal:
        """The price at which this direction closes."""
        return self.bid if direction == "BUY" else self.ask


@dataclass
class Position:
    """An open position."""

    number: int
    account: str
    symbol: str
    direction: str
    volume: Decimal
    open_price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    client_order_id: str
    label: str
    comment: str
    opened_s: float = field(default_factory=time.time)


@dataclass
class Order:
    """A working order."""

    number: int
    account: str
    symbol: str
    direction: str
    order_type: str
    volume: Decimal
    price: Decimal
    body: Body
    created_s: float = field(default_factory=time.time)


@dataclass
class Deal:
    """One execution."""

    number: int
    order: int
    position: Position
    direction: str
    is_entry: bool
    volume: Decimal
    price: Decimal
    profit: Decimal
    reason: int
    time_s: float = field(default_factory=time.time)

    @property
    def commission(self) -> Decimal:
        """Costs are negative."""
        return self.volume * COMMISSION_PER_LOT


@dataclass(frozen=True)
class Effect:
    """Something that really happened because somebody asked for it."""

    kind: str
    account: str
    subject: str
    """The client order id of a place, the position or the order of all else."""
