"""What has to change in the books so that they say what the venue says.

Pure: the known rows and the venue's statement in, the changes out. Ids are compared as text and numbers as decimals
(the wire rounds them to what the books keep), so a second comparison with the same statement finds nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from ctrader_app.domain.facts import OpenBook, OrderFact, PositionFact


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
    listed = {fact.position_id: fact for fact in book.positions}
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
    listed = {fact.order_id: fact for fact in stated}
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


def _filled_in(fact: PositionFact, known: PositionFact) -> PositionFact:
    # What a statement leaves out did not go away. Most say what is known, and ten thousand copies take their time.
    if fact == known:
        return fact
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
