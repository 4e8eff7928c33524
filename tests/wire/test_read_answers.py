"""What reads are answered with."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ctrader_app.domain.facts import DealReason, Direction, OpenBook, OrderType, SyncFact
from ctrader_app.wire import answers
from ctrader_app.wire.answers import BrokerRejection
from ctrader_app.wire.errors import UnreadableAnswer
from tests.wire.samples import (
    ACCOUNT,
    BOOK,
    CANDLE,
    CANDLES,
    DEAL,
    ORDER,
    POSITION,
    PRICE,
    SYMBOL,
    SYNC,
    Json,
    changed,
    encoded,
    without,
)

READS: dict[str, tuple[Callable[[bytes], object], Json, tuple[str, ...]]] = {
    "account": (answers.parse_account, ACCOUNT, ("balance", "equity", "margin", "free_margin", "currency")),
    "book": (answers.parse_book, BOOK, ("open_positions",)),
    "price": (lambda data: answers.parse_price(data, "EURUSD"), PRICE, ("symbol", "bid", "ask", "time")),
    "candles": (answers.parse_candles, CANDLES, ("candles",)),
    "symbol": (
        lambda data: answers.parse_symbol(data, "EURUSD"),
        SYMBOL,
        ("symbol", "digits", "tick_size", "pip_size", "contract_size", "lot_step", "min_lot", "max_lot"),
    ),
    "sync": (lambda data: answers.parse_sync(data, "101", "EURUSD"), SYNC, ("deals", "is_closed_on_platform")),
}


def book(data: bytes) -> OpenBook:
    answer = answers.parse_book(data)
    assert isinstance(answer, OpenBook)
    return answer


def sync(data: bytes) -> SyncFact:
    answer = answers.parse_sync(data, "101", "EURUSD")
    assert isinstance(answer, SyncFact)
    return answer


@pytest.mark.parametrize("name", READS)
def test_an_answer_that_lacks_a_required_field_is_unreadable(name: str) -> None:
    parse, sample, required = READS[name]
    parse(encoded(sample))
    for field in required:
        with pytest.raises(UnreadableAnswer):
            parse(without(sample, field))
        with pytest.raises(UnreadableAnswer):
            parse(changed(sample, **{field: None}))


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"0", b'"ok"', b"<html>busy</html>", b'{"ok": true}'])
def test_nothing_is_made_of_an_empty_or_foreign_body(name: str, data: bytes) -> None:
    parse = READS[name][0]
    if (name, data) == ("candles", b"[]"):
        assert parse(data) == ()  # a bare list of bars is a spelling that services use
        return
    with pytest.raises(UnreadableAnswer):
        parse(data)


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "UNKNOWN_SYMBOL", "message": "no such symbol"}}, "UNKNOWN_SYMBOL"),
        ({"errorCode": "UNKNOWN_SYMBOL", "description": "no such symbol"}, "UNKNOWN_SYMBOL"),
        ({"error_code": 12, "message": "no such symbol"}, "12"),
        ({"error": "no such symbol"}, "REJECTED"),
        ({"status": "Rejected", "message": "no such symbol"}, "REJECTED"),
    ],
)
def test_an_error_inside_a_200_is_the_brokers_no(name: str, body: Json, code: str) -> None:
    assert READS[name][0](encoded(body)) == BrokerRejection(code, "no such symbol")


@pytest.mark.parametrize(
    "nothing", [{"error": None}, {"error": ""}, {"error": {}}, {"errorCode": 0}, {"errorCode": ""}]
)
def test_an_empty_error_is_none(nothing: Json) -> None:
    assert answers.parse_account(changed(ACCOUNT, **nothing)) == answers.parse_account(encoded(ACCOUNT))


def test_account_figures_under_every_spelling() -> None:
    plain = answers.parse_account(encoded(ACCOUNT))
    other = {**ACCOUNT, "freeMargin": "910.00", "marginLevel": 1010}
    del other["free_margin"], other["margin_level"]
    assert answers.parse_account(encoded(other)) == plain
    other["margin_free"] = other.pop("freeMargin")
    assert answers.parse_account(encoded(other)) == plain


def test_without_margin_there_is_no_margin_level() -> None:
    answer = answers.parse_account(changed(ACCOUNT, margin=0, margin_level=0))
    assert not isinstance(answer, BrokerRejection)
    assert answer.margin_level is None


def test_a_position_row() -> None:
    position = book(encoded(BOOK)).positions[0]
    assert position.position_id == "101"
    assert position.direction is Direction.BUY
    assert position.volume_lots == Decimal("0.1")
    assert position.stop_loss == Decimal("1.09")
    assert position.take_profit is None
    assert position.open_time == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert (position.client_order_id, position.label, position.comment) == ("c-1", "alpha", "first")


@pytest.mark.parametrize(
    "row",
    [
        {**POSITION, "position_id": None, "positionId": 101},
        {**POSITION, "position_id": None, "ticket": 101},
        {**POSITION, "position_id": None, "id": "101"},
        {**POSITION, "direction": None, "side": "buy"},
        {**POSITION, "direction": None, "type": 0},
        {**POSITION, "open_price": None, "openPrice": "1.1"},
        {**POSITION, "open_price": None, "price_open": 1.1},
        {**POSITION, "current_price": None, "currentPrice": 1.1012},
        {**POSITION, "current_price": None, "price": 1.1012},
        {**POSITION, "stop_loss": None, "sl": 1.09},
        {**POSITION, "take_profit": 0},
        {**POSITION, "tp": 0, "something_else": {"nested": [1]}},
        {**POSITION, "open_time": None, "time": 1_772_359_200},
        {**POSITION, "open_time": None, "timestamp": 1_772_359_200_000},
        {**POSITION, "open_time": "2026-03-01T10:00:00"},
        {**POSITION, "open_time": "2026-03-01T12:00:00+02:00"},
    ],
)
def test_a_position_row_under_every_spelling(row: Json) -> None:
    assert book(encoded({"open_positions": [row]})).positions == book(encoded(BOOK)).positions


@pytest.mark.parametrize(
    "change",
    [
        {"position_id": None}, {"position_id": 1.5}, {"position_id": True}, {"symbol": ""}, {"direction": "HOLD"},
        {"volume": 0}, {"volume": -1}, {"volume": "NaN"}, {"volume": 1e20}, {"open_price": None}, {"open_price": 0},
        {"profit": None}, {"swap": "x"}, {"commission": None}, {"stop_loss": -1}, {"open_time": "yesterday"},
    ],
)  # fmt: skip
def test_one_unreadable_row_makes_the_whole_read_unreadable(change: Json) -> None:
    with pytest.raises(UnreadableAnswer):
        answers.parse_book(encoded({"open_positions": [POSITION, {**POSITION, "position_id": "102", **change}]}))


def test_a_position_listed_twice_is_unreadable() -> None:
    with pytest.raises(UnreadableAnswer):
        answers.parse_book(encoded({"open_positions": [POSITION, {**POSITION, "position_id": 101}]}))


def test_orders_that_nobody_mentions_are_unknown_not_absent() -> None:
    assert book(encoded({"open_positions": []})) == OpenBook((), None)
    assert book(encoded({"open_positions": [], "pending_orders": None})) == OpenBook((), None)
    assert book(encoded({"open_positions": [], "pending_orders": []})) == OpenBook((), ())
    with pytest.raises(UnreadableAnswer):
        answers.parse_book(encoded({"open_positions": [], "pending_orders": {}}))


def test_an_order_row_under_every_spelling() -> None:
    (order,) = book(encoded(BOOK)).orders or ()
    assert (order.order_id, order.order_type, order.direction) == ("202", OrderType.LIMIT, Direction.SELL)
    other = {**ORDER, "orderId": 202, "orderType": "limit", "limit_price": "1.20", "createdAt": 1_772_359_200_000}
    for name in ("order_id", "order_type", "price", "created_at"):
        del other[name]
    assert book(encoded({"open_positions": [], "pendingOrders": [other]})).orders == (order,)


def test_a_pending_row_among_the_positions_is_an_order() -> None:
    row = {**ORDER, "type": "pending_order"}
    answer = book(encoded({"open_positions": [POSITION, row]}))
    assert [position.position_id for position in answer.positions] == ["101"]
    assert answer.orders == book(encoded(BOOK)).orders


def test_a_quote_of_another_symbol_is_unreadable() -> None:
    answers.parse_price(changed(PRICE, symbol="eurusd"), "EURUSD")
    with pytest.raises(UnreadableAnswer):
        answers.parse_price(changed(PRICE, symbol="GBPUSD"), "EURUSD")
    with pytest.raises(UnreadableAnswer):
        answers.parse_symbol(changed(SYMBOL, symbol="GBPUSD"), "EURUSD")


@pytest.mark.parametrize("change", [{"bid": 0}, {"ask": -1}, {"bid": "NaN"}, {"time": 0}, {"time": "now"}])
def test_a_quote_that_cannot_be(change: Json) -> None:
    with pytest.raises(UnreadableAnswer):
        answers.parse_price(changed(PRICE, **change), "EURUSD")


def test_bars_come_oldest_first_with_their_opening_in_seconds() -> None:
    later = {**CANDLE, "time": "2026-03-01T10:01:00Z"}
    earliest = {**CANDLE, "time": 1_772_359_140_000, "tick_volume": 9}
    del earliest["volume"]
    bars = answers.parse_candles(encoded({"candles": [later, CANDLE, earliest]}))
    assert not isinstance(bars, BrokerRejection)
    assert [bar.time_s for bar in bars] == [1_772_359_140, 1_772_359_200, 1_772_359_260]
    assert bars[0].volume == 9
    assert answers.parse_candles(encoded([later, CANDLE, earliest])) == bars
    assert answers.parse_candles(encoded({"candles": []})) == ()


def test_what_else_a_symbol_says_is_kept() -> None:
    symbol = answers.parse_symbol(changed(SYMBOL, trading_hours={"from": 1.5}), "EURUSD")
    assert not isinstance(symbol, BrokerRejection)
    assert symbol.digits == 5
    assert symbol.tick_size == Decimal("0.00001")
    assert symbol.extra == {"quote_currency": "USD", "trading_hours": {"from": 1.5}}
    for digits in (2.5, -1, 99):
        with pytest.raises(UnreadableAnswer):
            answers.parse_symbol(changed(SYMBOL, digits=digits), "EURUSD")


PLAIN_DEAL: Json = {
    **{name: DEAL[name] for name in ("volume", "price", "profit", "commission", "swap", "symbol", "comment", "magic")},
    "deal_id": "303",
    "order_id": "202",
    "position_id": "101",
    "direction": "BUY",
    "entry": "in",
    "reason": "expert",
    "timestamp": "2026-03-01T10:00:00.123Z",
}


def test_deals_under_mt5_keys_and_plain_ones_are_the_same() -> None:
    (deal,) = sync(encoded(SYNC)).deals
    assert (deal.ticket, deal.order_id, deal.position_id, deal.is_entry) == ("303", "202", "101", True)
    assert (deal.direction, deal.reason, deal.time_ms, deal.magic) == (
        Direction.BUY,
        DealReason.EXPERT,
        1_772_359_200_123,
        7,
    )
    assert sync(changed(SYNC, deals=[PLAIN_DEAL])).deals == (deal,)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (3, "expert"), (4, "sl"), (5, "tp"), (6, "so"), ("SL", "sl"), ("take_profit", "tp"), ("stop_out", "so"),
        ("4", "sl"), (0, "expert"), ("client", "expert"), (None, "expert"),
    ],
)  # fmt: skip
def test_deal_reasons(written: object, read: str) -> None:
    assert sync(changed(SYNC, deals=[{**DEAL, "reason": written}])).deals[0].reason is DealReason(read)


@pytest.mark.parametrize(("written", "entry"), [(0, True), (1, False), (3, False), ("in", True), ("OUT", False)])
def test_deal_entries(written: object, entry: bool) -> None:
    assert sync(changed(SYNC, deals=[{**DEAL, "entry": written}])).deals[0].is_entry is entry


@pytest.mark.parametrize(
    "change",
    [
        {"entry": 2},
        {"entry": None},
        {"entry": True},
        {"ticket": None},
        {"time_msc": "x"},
        {"type": 2},
        {"profit": None},
    ],
)
def test_one_unreadable_deal_makes_the_answer_unreadable(change: Json) -> None:
    with pytest.raises(UnreadableAnswer):
        answers.parse_sync(changed(SYNC, deals=[DEAL, {**DEAL, **change}]), "101", "EURUSD")


def test_sync_data_about_another_position_is_unreadable() -> None:
    with pytest.raises(UnreadableAnswer):
        answers.parse_sync(changed(SYNC, position_id="999"), "101", "EURUSD")
    with pytest.raises(UnreadableAnswer):
        answers.parse_sync(changed(SYNC, deals=[{**DEAL, "position_id": 999}]), "101", "EURUSD")


def test_a_closed_position_has_nothing_left() -> None:
    closed = {
        "is_closed_on_platform": True,
        "platform_remaining_size": 0,
        "final_profit": "12.5",
        "final_commission": -0.7,
        "final_swap": 0,
        "latest_deal_timestamp": "2026-03-01T10:00:00Z",
    }
    answer = sync(changed(SYNC, **closed))
    assert (answer.is_closed, answer.remaining_lots, answer.final_profit) == (True, Decimal(0), Decimal("12.5"))
    assert (answer.final_commission, answer.final_swap) == (Decimal("-0.7"), Decimal(0))
    assert answer.latest_deal_time_s == 1_772_359_200
    with pytest.raises(UnreadableAnswer):
        answers.parse_sync(changed(SYNC, **closed | {"platform_remaining_size": 0.1}), "101", "EURUSD")


def test_what_sync_data_leave_unsaid_is_none() -> None:
    answer = sync(changed(SYNC, deals=[], platform_remaining_size=None, latest_deal_timestamp=0, last_deal_price=0))
    assert (answer.deals, answer.remaining_lots, answer.latest_deal_time_s, answer.last_deal_price) == (
        (), None, None, None,
    )  # fmt: skip


def test_sessions_and_acknowledgements() -> None:
    assert answers.parse_session(encoded({"status": "connected", "session_id": "s-1"})) == "s-1"
    assert answers.parse_session(encoded({"status": "connected"})) == ""
    assert answers.parse_done(encoded({"status": "ok"})) is None
    for parse in (answers.parse_session, answers.parse_done):
        assert parse(encoded({"status": "error", "message": "no"})) == BrokerRejection("REJECTED", "no")
        with pytest.raises(UnreadableAnswer):
            parse(b"<html>")
