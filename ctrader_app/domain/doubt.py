"""What a reading of the venue proves about a write whose answer was lost.

Orders are found by their client order id (or a label or comment that carries it). Close and modify are target
states, "leave V1 of V0" and "these two levels": reading the position settles them. A cancellation is settled by what
became of the order. Anything that the reading does not prove is Inconclusive, and a person may have to look; nothing
here depends on how old the doubt is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from ctrader_app.domain.facts import (
    Cancelled,
    CancelStatus,
    Closed,
    OpenBook,
    OrderTrace,
    Placed,
    PlaceStatus,
    PositionFact,
    Protected,
    SyncFact,
    WriteAnswer,
)

ABSENCES_NEEDED = 2
"""How often an effect must be authoritatively absent before the write counts as without effect; and how often a state
must be seen unchanged."""


@dataclass(frozen=True, slots=True)
class Happened:
    """The effect is there."""

    answer: WriteAnswer
    reason: str


@dataclass(frozen=True, slots=True)
class Refuted:
    """The intent cannot have its effect, and did not."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Absent:
    """A complete reading shows the state from before the write."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A complete reading shows the state from before the write, which is the intended one: whether the write arrived
    cannot be seen, and makes no difference once it can no longer arrive."""

    answer: WriteAnswer
    reason: str


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """The reading proves nothing."""

    reason: str


Reading = Happened | Refuted | Absent | Unchanged | Inconclusive


def read_place(
    client_order_id: str, book: OpenBook, history: tuple[OrderTrace, ...] | None = None, *, is_market: bool = False
) -> Reading:
    """Look for an order's traces among positions, working orders and, where the service keeps one, its history.

    ``history`` holds every order under this id, or is None where the service has none to show. Without it absence
    proves nothing: an order may have opened and closed. An id that stands for several orders is for a person.
    """
    traces = history or ()
    if len(traces) > 1:
        return Inconclusive(f"{len(traces)} orders carry {client_order_id}: {', '.join(t.order_id for t in traces)}")
    found = _in_book(client_order_id, book)
    if traces:
        return _of_trace(traces[0], found, is_market=is_market)
    if found is not None:
        return found
    if history is None or book.orders is None:
        return Inconclusive("neither a position nor a working order carries the client order id")
    return Absent("no position, no working order and no order of the history carries the client order id")


def _in_book(client_order_id: str, book: OpenBook) -> Happened | None:
    for position in book.positions:
        if carries(position, client_order_id):
            placed = Placed(
                # The row names the position, not the order that opened it.
                order_id="",
                status=PlaceStatus.FILLED,
                volume_lots=position.volume_lots,
                client_order_id=client_order_id,
                position_id=position.position_id,
                price=position.open_price,
            )
            return Happened(placed, f"position {position.position_id} carries {client_order_id}")
    for order in book.orders or ():
        if client_order_id in (order.client_order_id, order.label):
            placed = Placed(
                order_id=order.order_id,
                status=PlaceStatus.PENDING,
                volume_lots=order.volume_lots,
                client_order_id=client_order_id,
                price=order.price,
            )
            return Happened(placed, f"working order {order.order_id} carries {client_order_id}")
    return None


def _of_trace(trace: OrderTrace, found: Happened | None, *, is_market: bool) -> Reading:
    if trace.status == "filled":
        position_id = trace.position_id or _position_found(found)
        return Happened(_placed(trace, PlaceStatus.FILLED, position_id), _seen(trace))
    if trace.status in _TAKEN and not is_market:
        return Happened(_placed(trace, PlaceStatus.PENDING, None), _seen(trace))
    if trace.status == "rejected" or (is_market and trace.status in _ENDED_UNFILLED and trace.deal_id is None):
        return Refuted(f"ORDER_{trace.status.upper()}", _seen(trace))
    return Inconclusive(_seen(trace))


_CANCELLED = frozenset({"cancelled", "canceled"})
_WORKING = frozenset({"pending", "accepted", "working"})
_ENDED_UNFILLED = _CANCELLED | {"expired"}
_TAKEN = _ENDED_UNFILLED | _WORKING
"""What became of a working order later does not change that it was placed."""


def _seen(trace: OrderTrace) -> str:
    with_deal = "" if trace.deal_id is None else f", with deal {trace.deal_id}"
    return f"order {trace.order_id} of the history is {trace.status}{with_deal}"


def _placed(trace: OrderTrace, status: PlaceStatus, position_id: str | None) -> Placed:
    return Placed(
        order_id=trace.order_id,
        status=status,
        volume_lots=trace.volume_lots,
        client_order_id=trace.client_order_id,
        position_id=position_id,
        deal_id=trace.deal_id,
        price=trace.price,
    )


def _position_found(found: Happened | None) -> str | None:
    return found.answer.position_id if found is not None and isinstance(found.answer, Placed) else None


def carries(position: PositionFact, client_order_id: str) -> bool:
    """Whether the position came of this order. cTrader's positions carry no client order id, only label and comment."""
    return client_order_id in (position.client_order_id, position.label, position.comment)


def position_of(book: OpenBook, position_id: str) -> PositionFact | None:
    """The position in the book, if it is open."""
    return next((row for row in book.positions if row.position_id == position_id), None)


def read_close(
    position_id: str, volume_before: Decimal, volume_lots: Decimal, book: OpenBook, sync: SyncFact | None
) -> Reading:
    """Compare what is left with "leave V1 of V0". ``sync`` is the position's history, read when it is not open."""
    target = volume_before - volume_lots
    position = position_of(book, position_id)
    left = position.volume_lots if position is not None else Decimal(0)
    if position is None and (sync is None or not sync.is_closed):
        return Inconclusive("the position is not listed, and its history does not say that it is closed")
    if left == target:
        deal = _closing_deal(sync)
        answer = Closed(
            order_id=deal[0], deal_id=deal[1], close_price=deal[2], closed_lots=volume_lots, remaining_lots=left
        )
        return Happened(answer, f"{left.normalize():f} lots are left, as intended")
    if left == volume_before:
        return Absent(f"all {left.normalize():f} lots are still open")
    return Inconclusive(f"{left.normalize():f} lots are left, neither what was nor what was intended")


def _closing_deal(sync: SyncFact | None) -> tuple[str, str, Decimal | None]:
    exits = [deal for deal in sync.deals if not deal.is_entry] if sync is not None else []
    if not exits:
        return "", "", None
    last = max(exits, key=lambda deal: deal.time_ms)
    return last.order_id, last.ticket, last.price


def read_modify(
    position_id: str,
    before: tuple[Decimal | None, Decimal | None],
    target: tuple[Decimal | None, Decimal | None],
    book: OpenBook,
) -> Reading:
    """Compare the position's levels (stop loss, take profit) with the intended ones."""
    position = position_of(book, position_id)
    if position is None:
        return Inconclusive("the position is no longer open: whether it was modified before cannot be seen")
    levels = (position.stop_loss, position.take_profit)
    if levels == target == before:
        return Unchanged(Protected(position_id, *levels), "the position has the intended levels, as it had before")
    if levels == target:
        return Happened(Protected(position_id, *levels), "the position has the intended levels")
    if levels == before:
        return Absent("the position has the levels from before")
    return Inconclusive("the position has neither the old nor the intended levels")


def read_cancel(
    order_id: str,
    book: OpenBook,
    filled_positions: Iterable[str],
    trace: OrderTrace | None = None,
    *,
    was_gone: bool = False,
) -> Reading:
    """Look for the working order, and at what the order history tells of it.

    ``filled_positions`` are positions known to come from it, ``trace`` is the order in the history, None where there
    is none to see. ``was_gone``: an earlier cancellation had taken it back before this one was sent.
    """
    if was_gone:
        return Refuted("ORDER_NOT_FOUND", "an earlier cancellation had taken the order back")
    if trace is not None and trace.status not in _WORKING:
        return _of_ended(trace)
    if any(order.order_id == order_id for order in book.orders or ()):
        return Absent("the order is still working")
    opened = next(iter(filled_positions), None)
    if opened is not None:
        return Refuted("ORDER_FILLED", f"the order had filled as position {opened}")
    if book.orders is not None:
        return Inconclusive("the order is gone, which a fill and a cancellation have in common")
    if trace is not None:
        return Absent(_seen(trace))
    return Inconclusive("the service does not list working orders")


def _of_ended(trace: OrderTrace) -> Reading:
    if trace.status in _CANCELLED and trace.deal_id is None:
        return Happened(Cancelled(trace.order_id, CancelStatus.CANCELLED), _seen(trace))
    if trace.status in ("filled", "expired", "rejected"):
        return Refuted(f"ORDER_{trace.status.upper()}", _seen(trace))
    return Inconclusive(_seen(trace))
