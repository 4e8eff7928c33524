"""What has to change in the books so that they say what the venue says.

Pure: the known rows and the venue's statement in, the changes out. Ids are compared as text, numbers as decimals at
the precision that the books keep, so that a second comparison with the same statement finds nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal
from typing import overload

from ctrader_app.domain.facts import Direction, OpenBook, OrderFact, PositionFact
from ctrader_app.domain.numbers import MAX_DECIMALS

LABEL_CHARS = 128
COMMENT_CHARS = 512
CLIENT_ID_CHARS = 64
"""What the books keep of free text; a venue that says more must not be able to stop a reconciliation."""

_QUANTUM = Decimal(1).scaleb(-MAX_DECIMALS)
_WIDE = Context(prec=60)  # the default of 28 digits is less than a column holds


@dataclass(frozen=True, slots=True)
class ClosureFact:
    """The venue's announcement that a position closed: the payload of ``position.closed``.

    ``volume_lots`` is what was closed. None means that the announcement did not say.
    """

    position_id: str
    symbol: str
    direction: Direction
    volume_lots: Decimal
    open_price: Decimal
    open_time: datetime | None = None
    close_time: datetime | None = None
    close_price: Decimal | None = None
    profit: Decimal | None = None
    commission: Decimal | None = None
    swap: Decimal | None = None
    deal_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class KnownPosition:
    """A position as the books have it. ``observed_at``: when the statement behind the row was asked for or made."""

    fact: PositionFact
    observed_at: datetime
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """A working order as the books have it."""

    fact: OrderFact
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class PositionChange:
    """A known position that the venue states differently."""

    before: KnownPosition
    after: PositionFact

    @property
    def is_material(self) -> bool:
        """Whether its volume, its protection or its being open changed, and not its running figures alone."""
        old, new = self.before.fact, self.after
        return not self.before.is_open or (old.volume_lots, old.stop_loss, old.take_profit) != (
            new.volume_lots,
            new.stop_loss,
            new.take_profit,
        )


@dataclass(frozen=True, slots=True)
class BookDiff:
    """The changes. ``vanished`` positions are no longer listed: what became of them has to be asked for."""

    opened: tuple[PositionFact, ...]
    changed: tuple[PositionChange, ...]
    vanished: tuple[KnownPosition, ...]
    orders_opened: tuple[OrderFact, ...]
    orders_changed: tuple[OrderFact, ...]
    orders_gone: tuple[KnownOrder, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the books already say what the venue says."""
        return not (
            self.opened
            or self.changed
            or self.vanished
            or self.orders_opened
            or self.orders_changed
            or self.orders_gone
        )


def compare(
    positions: Collection[KnownPosition],
    orders: Collection[KnownOrder],
    book: OpenBook,
    asked_at: datetime,
) -> BookDiff:
    """How the books differ from ``book``, which was asked for at ``asked_at``.

    ``positions`` are the open ones of the books and any closed one that ``book`` lists; ``orders`` are all. A row
    observed after ``asked_at`` is left alone: the statement is older than it. ``book.orders`` None leaves every
    order alone.
    """
    opened: list[PositionFact] = []
    changed: list[PositionChange] = []
    known = {row.fact.position_id: row for row in positions}
    listed = {fact.position_id: stored_position(fact) for fact in book.positions}
    for position_id, fact in listed.items():
        row = known.get(position_id)
        if row is None:
            opened.append(fact)
        elif row.observed_at <= asked_at:
            after = _filled_in(fact, row.fact)
            if not row.is_open or after != row.fact:
                changed.append(PositionChange(row, after))
    vanished = tuple(
        row
        for row in known.values()
        if row.is_open and row.fact.position_id not in listed and row.observed_at <= asked_at
    )
    return BookDiff(tuple(opened), tuple(changed), vanished, *_compare_orders(orders, book.orders, asked_at))


def _compare_orders(
    orders: Collection[KnownOrder], stated: tuple[OrderFact, ...] | None, asked_at: datetime
) -> tuple[tuple[OrderFact, ...], tuple[OrderFact, ...], tuple[KnownOrder, ...]]:
    if stated is None:
        return (), (), ()
    known = {row.fact.order_id: row for row in orders}
    listed = {fact.order_id: stored_order(fact) for fact in stated}
    opened: list[OrderFact] = []
    changed: list[OrderFact] = []
    for order_id, fact in listed.items():
        row = known.get(order_id)
        if row is None:
            opened.append(fact)
        elif row.observed_at <= asked_at:
            after = _order_filled_in(fact, row.fact)
            if after != row.fact:
                changed.append(after)
    gone = tuple(row for row in known.values() if row.fact.order_id not in listed and row.observed_at <= asked_at)
    return tuple(opened), tuple(changed), gone


def stored_position(fact: PositionFact) -> PositionFact:
    """``fact`` as the books can keep it: bounded text, numbers at the books' precision."""
    return replace(
        fact,
        volume_lots=stored_number(fact.volume_lots),
        open_price=stored_number(fact.open_price),
        current_price=stored_number(fact.current_price),
        stop_loss=stored_number(fact.stop_loss),
        take_profit=stored_number(fact.take_profit),
        profit=stored_number(fact.profit),
        swap=stored_number(fact.swap),
        commission=stored_number(fact.commission),
        client_order_id=stored_text(fact.client_order_id, CLIENT_ID_CHARS),
        label=stored_text(fact.label, LABEL_CHARS),
        comment=stored_text(fact.comment, COMMENT_CHARS),
    )


def stored_order(fact: OrderFact) -> OrderFact:
    """:func:`stored_position` for a working order."""
    return replace(
        fact,
        volume_lots=stored_number(fact.volume_lots),
        price=stored_number(fact.price),
        stop_loss=stored_number(fact.stop_loss),
        take_profit=stored_number(fact.take_profit),
        client_order_id=stored_text(fact.client_order_id, CLIENT_ID_CHARS),
        label=stored_text(fact.label, LABEL_CHARS),
    )


@overload
def stored_number(number: Decimal) -> Decimal: ...
@overload
def stored_number(number: Decimal | None) -> Decimal | None: ...
def stored_number(number: Decimal | None) -> Decimal | None:
    """``number`` at the precision of the books' columns."""
    return None if number is None else number.quantize(_QUANTUM, context=_WIDE)


def stored_text(text: str, limit: int) -> str:
    """``text`` without NUL, which PostgreSQL cannot keep, and cut at ``limit``."""
    return text.replace("\x00", "")[:limit]


def _filled_in(fact: PositionFact, known: PositionFact) -> PositionFact:
    # What a statement leaves out did not go away.
    return replace(
        fact,
        current_price=known.current_price if fact.current_price is None else fact.current_price,
        open_time=fact.open_time or known.open_time,
        client_order_id=fact.client_order_id or known.client_order_id,
        label=fact.label or known.label,
        comment=fact.comment or known.comment,
    )


def _order_filled_in(fact: OrderFact, known: OrderFact) -> OrderFact:
    return replace(
        fact,
        created_at=fact.created_at or known.created_at,
        client_order_id=fact.client_order_id or known.client_order_id,
        label=fact.label or known.label,
    )
