"""The comparison of the books with the venue's statement, over any books and any statement."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ctrader_app.domain.diff import BookDiff, KnownOrder, KnownPosition, compare
from ctrader_app.domain.facts import Direction, OpenBook, OrderFact, OrderType, PositionFact
from tests.books.facts import order, position

ASKED_AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
BEFORE = ASKED_AT - timedelta(seconds=1)
AFTER = ASKED_AT + timedelta(microseconds=1)

amounts = st.decimals(min_value=-100_000, max_value=100_000, places=5)
prices = st.decimals(min_value=Decimal("0.00001"), max_value=100_000, places=5)
levels = st.none() | prices
ids = st.sampled_from([str(number) for number in range(8)])
positions = st.builds(
    PositionFact,
    position_id=ids,
    symbol=st.sampled_from(["EURUSD", "US500.cash"]),
    direction=st.sampled_from(Direction),
    volume_lots=st.decimals(min_value=Decimal("0.01"), max_value=100, places=2),
    open_price=prices,
    current_price=prices,
    stop_loss=levels,
    take_profit=levels,
    profit=amounts,
    swap=amounts,
    commission=amounts,
    open_time=st.just(BEFORE),
    client_order_id=st.sampled_from(["a", "b"]),
    label=st.just("label"),
    comment=st.just("comment"),
)
orders = st.builds(
    OrderFact,
    order_id=ids,
    symbol=st.just("EURUSD"),
    direction=st.sampled_from(Direction),
    order_type=st.sampled_from([OrderType.LIMIT, OrderType.STOP]),
    volume_lots=st.just(Decimal("0.1")),
    price=prices,
    stop_loss=levels,
    take_profit=levels,
    created_at=st.just(BEFORE),
    client_order_id=st.just("c"),
    label=st.just("label"),
)
position_lists = st.lists(positions, unique_by=lambda fact: fact.position_id, max_size=8)
order_lists = st.lists(orders, unique_by=lambda fact: fact.order_id, max_size=8)


def known(facts: Sequence[PositionFact]) -> list[KnownPosition]:
    return [KnownPosition(fact, BEFORE) for fact in facts]


def known_orders(facts: Sequence[OrderFact]) -> list[KnownOrder]:
    return [KnownOrder(fact, BEFORE) for fact in facts]


def applied(facts: Sequence[PositionFact], diff: BookDiff) -> dict[str, PositionFact]:
    rows = {fact.position_id: fact for fact in facts}
    rows |= {fact.position_id: fact for fact in diff.opened}
    rows |= {change.after.position_id: change.after for change in diff.changed}
    for gone in diff.vanished:
        del rows[gone.fact.position_id]
    return rows


def applied_orders(facts: Sequence[OrderFact], diff: BookDiff) -> dict[str, OrderFact]:
    rows = {fact.order_id: fact for fact in facts}
    rows |= {fact.order_id: fact for fact in (*diff.orders_opened, *diff.orders_changed)}
    for gone in diff.orders_gone:
        del rows[gone.fact.order_id]
    return rows


@given(position_lists, order_lists, position_lists, order_lists, st.randoms(use_true_random=False))
def test_applying_the_difference_gives_the_venues_book_and_a_second_one_is_empty(
    ours: list[PositionFact],
    our_orders: list[OrderFact],
    theirs: list[PositionFact],
    their_orders: list[OrderFact],
    chance: object,
) -> None:
    # Listed twice and in any order, it is still the same statement.
    listed = [*theirs, *theirs]
    chance.shuffle(listed)  # type: ignore[attr-defined]
    book = OpenBook(tuple(listed), tuple(reversed(their_orders)))
    diff = compare(known(ours), known_orders(our_orders), book, ASKED_AT)
    after, orders_after = applied(ours, diff), applied_orders(our_orders, diff)
    assert after == {fact.position_id: fact for fact in theirs}
    assert orders_after == {fact.order_id: fact for fact in their_orders}
    again = compare(known(list(after.values())), known_orders(list(orders_after.values())), book, ASKED_AT)
    assert again.is_empty


@given(position_lists, order_lists, position_lists)
def test_a_statement_asked_for_before_our_last_write_overwrites_nothing(
    ours: list[PositionFact], our_orders: list[OrderFact], theirs: list[PositionFact]
) -> None:
    diff = compare(
        [KnownPosition(fact, AFTER) for fact in ours],
        [KnownOrder(fact, AFTER) for fact in our_orders],
        OpenBook(tuple(theirs), ()),
        ASKED_AT,
    )
    assert [*diff.changed, *diff.vanished, *diff.orders_changed, *diff.orders_gone] == []
    assert {fact.position_id for fact in diff.opened}.isdisjoint(fact.position_id for fact in ours)


@given(order_lists)
def test_orders_that_nobody_mentioned_are_left_alone(ours: list[OrderFact]) -> None:
    assert compare([], known_orders(ours), OpenBook((), None), ASKED_AT).is_empty
    assert len(compare([], known_orders(ours), OpenBook((), ()), ASKED_AT).orders_gone) == len(ours)


def test_equal_numbers_and_ids_written_otherwise_are_no_change() -> None:
    ours = position("7", volume_lots=Decimal("0.1000000000"), open_price=Decimal("1.1"), swap=Decimal("-0.1"))
    theirs = position("7", volume_lots=Decimal("0.1"), open_price=Decimal("1.10000"), swap=Decimal("-0.10"))
    assert compare(known([ours]), [], OpenBook((theirs,), None), ASKED_AT).is_empty


def test_what_a_statement_leaves_out_is_kept() -> None:
    ours = position("7", label="mine", comment="why")
    theirs = replace(ours, current_price=None, open_time=None, client_order_id="", label="", comment="")
    assert compare(known([ours]), [], OpenBook((theirs,), None), ASKED_AT).is_empty
    our_order = order("9", label="mine", client_order_id="c")
    their_order = replace(our_order, created_at=None, label="", client_order_id="")
    assert compare([], known_orders([our_order]), OpenBook((), (their_order,)), ASKED_AT).is_empty


def test_a_stop_that_was_removed_is_removed() -> None:
    ours = position("7", stop_loss=Decimal("1.09"))
    (change,) = compare(known([ours]), [], OpenBook((position("7"),), None), ASKED_AT).changed
    assert change.after.stop_loss is None
    assert change.is_material


def test_running_figures_alone_are_no_material_change() -> None:
    (change,) = compare(
        known([position("7")]), [], OpenBook((position("7", profit=Decimal(6)),), None), ASKED_AT
    ).changed
    assert not change.is_material


def test_a_position_closed_here_and_listed_by_a_newer_book_is_open_again() -> None:
    closed = KnownPosition(position("7", volume_lots=Decimal(0)), BEFORE, is_open=False)
    (change,) = compare([closed], [], OpenBook((position("7"),), None), ASKED_AT).changed
    assert change.is_material
    newer = replace(closed, observed_at=AFTER)
    assert compare([newer], [], OpenBook((position("7"),), None), ASKED_AT).is_empty
