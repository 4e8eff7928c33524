"""What a reading proves of a lost cancellation, case by case."""

from decimal import Decimal

import pytest

from ctrader_app.domain.doubt import Absent, Happened, Inconclusive, Reading, Refuted, read_cancel
from ctrader_app.domain.facts import Cancelled, CancelStatus, Direction, OpenBook, OrderFact, OrderTrace, OrderType

LISTED = OpenBook(
    (),
    (OrderFact("7", "EURUSD", Direction.BUY, OrderType.LIMIT, Decimal("0.1"), Decimal("1.1"), None, None, None),),
)
GONE = OpenBook((), ())
UNLISTED = OpenBook((), None)
"""A service that lists no working orders."""


def trace(status: str, deal_id: str | None = None) -> OrderTrace:
    return OrderTrace("7", status, "ct-1", Decimal("0.1"), deal_id=deal_id)


@pytest.mark.parametrize("book", [LISTED, GONE, UNLISTED], ids=["listed late", "gone", "not listed"])
@pytest.mark.parametrize(
    ("seen", "proves", "code"),
    [
        (trace("cancelled"), Happened, ""),
        (trace("canceled"), Happened, ""),
        (trace("cancelled", "9"), Inconclusive, ""),
        (trace("filled", "9"), Refuted, "ORDER_FILLED"),
        (trace("expired"), Refuted, "ORDER_EXPIRED"),
        (trace("rejected"), Refuted, "ORDER_REJECTED"),
        (trace("partially_filled"), Inconclusive, ""),
        (trace("a word that nobody knows"), Inconclusive, ""),
    ],
    ids=lambda value: f"{value.status} {value.deal_id}" if isinstance(value, OrderTrace) else None,
)
def test_how_the_order_ended_is_the_history_s_word(
    book: OpenBook, seen: OrderTrace, proves: type[Reading], code: str
) -> None:
    """A book may list late: an order that has ended does not work again."""
    reading = read_cancel("7", book, (), seen)
    assert isinstance(reading, proves)
    if isinstance(reading, Refuted):
        assert reading.code == code
    if isinstance(reading, Happened):
        assert reading.answer == Cancelled("7", CancelStatus.CANCELLED)


@pytest.mark.parametrize(
    ("book", "seen", "proves"),
    [
        (LISTED, None, Absent),
        (LISTED, trace("pending"), Absent),
        (UNLISTED, trace("pending"), Absent),
        (UNLISTED, None, Inconclusive),
        (GONE, None, Inconclusive),
        (GONE, trace("pending"), Inconclusive),
    ],
)
def test_an_order_that_may_still_work(book: OpenBook, seen: OrderTrace | None, proves: type[Reading]) -> None:
    """The book and the history must not contradict each other."""
    assert isinstance(read_cancel("7", book, (), seen), proves)


def test_a_position_that_came_of_it_tells_of_the_fill() -> None:
    assert read_cancel("7", GONE, ["70"]) == Refuted("ORDER_FILLED", "the order had filled as position 70")


def test_an_earlier_cancellation_explains_what_the_history_tells() -> None:
    assert isinstance(read_cancel("7", GONE, (), trace("cancelled"), was_gone=True), Refuted)
