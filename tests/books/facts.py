"""Facts and a scripted venue for the tests of the books."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from ctrader_app.connector import AccountRef
from ctrader_app.domain.facts import (
    AccountFigures,
    DealFact,
    DealReason,
    Direction,
    OpenBook,
    OrderFact,
    OrderType,
    PositionFact,
    SyncFact,
)

T = TypeVar("T")

OPENED_AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def position(position_id: str = "1", **changes: Any) -> PositionFact:
    values: dict[str, Any] = {
        "position_id": position_id,
        "symbol": "EURUSD",
        "direction": Direction.BUY,
        "volume_lots": Decimal("0.10"),
        "open_price": Decimal("1.10000"),
        "current_price": Decimal("1.10050"),
        "stop_loss": None,
        "take_profit": None,
        "profit": Decimal("5.00"),
        "swap": Decimal("-0.10"),
        "commission": Decimal("-0.70"),
        "open_time": OPENED_AT,
        "client_order_id": f"cid-{position_id}",
    }
    return PositionFact(**(values | changes))


def order(order_id: str = "o1", **changes: Any) -> OrderFact:
    values: dict[str, Any] = {
        "order_id": order_id,
        "symbol": "EURUSD",
        "direction": Direction.SELL,
        "order_type": OrderType.LIMIT,
        "volume_lots": Decimal("0.20"),
        "price": Decimal("1.20000"),
        "stop_loss": None,
        "take_profit": None,
        "created_at": OPENED_AT,
    }
    return OrderFact(**(values | changes))


def deal(ticket: str, position_id: str = "1", **changes: Any) -> DealFact:
    values: dict[str, Any] = {
        "ticket": ticket,
        "order_id": "",
        "position_id": position_id,
        "symbol": "EURUSD",
        "direction": Direction.BUY,
        "is_entry": True,
        "reason": DealReason.EXPERT,
        "volume_lots": Decimal("0.10"),
        "price": Decimal("1.10000"),
        "profit": Decimal(0),
        "commission": Decimal("-0.35"),
        "swap": Decimal(0),
        "time_ms": 1_767_603_600_000,
    }
    return DealFact(**(values | changes))


def closed_life(position_id: str = "1", /, **changes: Any) -> SyncFact:
    """A position that its stop closed at 1.09500 with a loss of 50."""
    exit_deal = deal(
        f"{position_id}-out",
        position_id,
        direction=Direction.SELL,
        is_entry=False,
        reason=DealReason.STOP_LOSS,
        price=Decimal("1.09500"),
        profit=Decimal("-50.00"),
        swap=Decimal("-0.10"),
        time_ms=1_767_607_200_250,
    )
    values: dict[str, Any] = {
        "deals": (deal(f"{position_id}-in", position_id), exit_deal),
        "is_closed": True,
        "remaining_lots": Decimal(0),
        "latest_deal_time_s": 1_767_607_200,
        "last_deal_price": Decimal("1.09500"),
        "final_profit": Decimal("-50.00"),
        "final_commission": Decimal("-0.70"),
        "final_swap": Decimal("-0.10"),
    }
    return SyncFact(**(values | changes))


def open_life(position_id: str = "1") -> SyncFact:
    return SyncFact(
        deals=(deal(f"{position_id}-in", position_id),),
        is_closed=False,
        remaining_lots=Decimal("0.10"),
        latest_deal_time_s=1_767_603_600,
        last_deal_price=Decimal("1.10000"),
        final_profit=None,
        final_commission=None,
        final_swap=None,
    )


def figures(balance: str = "1000") -> AccountFigures:
    return AccountFigures(
        balance=Decimal(balance),
        equity=Decimal("1001.50"),
        margin=Decimal("110"),
        free_margin=Decimal("891.50"),
        margin_level=Decimal("910.45"),
        currency="EUR",
    )


class ScriptedVenue:
    """Answers reads from what a test put in; an exception there is raised. ``on_book`` runs after a book was taken."""

    def __init__(self, *positions: PositionFact, orders: tuple[OrderFact, ...] | None = ()) -> None:
        self.book: OpenBook | Exception = OpenBook(positions, orders)
        self.figures: AccountFigures | Exception = figures()
        self.lives: dict[str, SyncFact | Exception] = {}
        self.on_book: Callable[[], object] = lambda: None
        self.books_read = 0
        self.lives_read: list[tuple[str, str]] = []
        self.accounts: set[str] = set()

    def open_book(self, ref: AccountRef) -> OpenBook:
        self.accounts.add(ref.wire_id)
        self.books_read += 1
        taken = self.book
        self.on_book()
        return _said(taken)

    def account_info(self, ref: AccountRef) -> AccountFigures:
        self.accounts.add(ref.wire_id)
        return _said(self.figures)

    def sync_data(self, ref: AccountRef, position_id: str, symbol: str) -> SyncFact:
        self.accounts.add(ref.wire_id)
        self.lives_read.append((position_id, symbol))
        return _said(self.lives.get(position_id) or open_life(position_id))


def _said(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer
