"""What writes are answered with."""

from decimal import Decimal

import pytest

from ctrader_app.domain.facts import (
    Cancelled,
    CancelStatus,
    Closed,
    Direction,
    OrderType,
    Placed,
    PlaceStatus,
    Protected,
)
from ctrader_app.wire.answers import (
    BrokerRejection,
    ErrorBody,
    parse_cancel,
    parse_close,
    parse_error,
    parse_modify,
    parse_place,
    parse_write,
)
from ctrader_app.wire.errors import UnreadableAnswer
from ctrader_app.wire.requests import CancelBody, CloseBody, ModifyProtectionBody, PlaceBody, WriteBody
from tests.wire.samples import CANCELLED, CLOSED, PLACED, PROTECTED, Json, changed, encoded, without

PLACE = PlaceBody(
    account_id="1",
    symbol="EURUSD",
    direction=Direction.BUY,
    volume=Decimal("0.1"),
    order_type=OrderType.MARKET,
    client_order_id="c-1",
)
CLOSE = CloseBody(account_id="1", position_id="101", symbol="EURUSD", volume=Decimal("0.1"), client_order_id="c-2")
MODIFY = ModifyProtectionBody(
    account_id="1", position_id="101", symbol="EURUSD", stop_loss=Decimal("1.09"), take_profit=None
)
CANCEL = CancelBody(account_id="1", order_id="202")

WRITES: list[tuple[WriteBody, Json]] = [(PLACE, PLACED), (CLOSE, CLOSED), (MODIFY, PROTECTED), (CANCEL, CANCELLED)]


def test_the_answers_of_the_contract() -> None:
    assert parse_place(encoded(PLACED), PLACE) == Placed(
        "202", PlaceStatus.FILLED, Decimal("0.1"), "c-1", "101", "303", Decimal("1.1")
    )
    assert parse_close(encoded(CLOSED), CLOSE) == Closed("203", "304", Decimal("1.2"), Decimal("0.1"), Decimal(0))
    assert parse_modify(encoded(PROTECTED), MODIFY) == Protected("101", Decimal("1.09"), None)
    assert parse_cancel(encoded(CANCELLED), CANCEL) == Cancelled("202", CancelStatus.CANCELLED)
    for sent, sample in WRITES:
        assert not isinstance(parse_write(encoded(sample), sent), BrokerRejection)


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"<html>", b'{"status": "ok"}', b'{"status": "failed"}'])
def test_nothing_is_made_of_an_empty_or_foreign_body(index: int, data: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        parse_write(data, WRITES[index][0])


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"status": "rejected"}, "REJECTED", "the broker rejected it"),
        ({"status": "REJECTED", "error": {"code": "NO_MONEY", "message": "too poor"}}, "NO_MONEY", "too poor"),
        ({"status": "rejected", "error": {}, "message": "why"}, "REJECTED", "why"),
        ({"errorCode": "MARKET_CLOSED", "description": "weekend"}, "MARKET_CLOSED", "weekend"),
        ({"error_code": "MARKET_CLOSED"}, "MARKET_CLOSED", "the broker rejected it"),
        ({"error": {"errorCode": "MARKET_CLOSED", "description": "weekend"}}, "MARKET_CLOSED", "weekend"),
        ({"error": "weekend"}, "REJECTED", "weekend"),
        ({"result": {"errorCode": "MARKET_CLOSED", "description": "weekend"}}, "MARKET_CLOSED", "weekend"),
        ({"success": False, "event": {"errorCode": "MARKET_CLOSED"}}, "MARKET_CLOSED", "the broker rejected it"),
    ],
)
def test_a_rejection_inside_a_200(index: int, body: Json, code: str, message: str) -> None:
    assert parse_write(encoded(body), WRITES[index][0]) == BrokerRejection(code, message)


def test_a_rejection_beside_an_effect_is_no_rejection_but_unreadable() -> None:
    error = {"error": {"code": "SL_REFUSED", "message": "the stop was not accepted"}}
    for sent, sample in (WRITES[0], WRITES[1], WRITES[3]):
        with pytest.raises(UnreadableAnswer):
            parse_write(changed(sample, **error), sent)
    with pytest.raises(UnreadableAnswer):
        parse_place(changed(PLACED, status="rejected"), PLACE)  # rejected, with a deal


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize(
    "body",
    [
        {"result": {"errorCode": "SL_REFUSED", "status": "filled"}},
        {"result": {"errorCode": "SL_REFUSED", "deal_id": "7"}},
        {"result": {"errorCode": None}},
        {"result": {"errorCode": "A"}, "other": {"errorCode": "B"}},
    ],
)
def test_a_wrapped_error_that_is_not_the_whole_story_is_unreadable(index: int, body: Json) -> None:
    with pytest.raises(UnreadableAnswer):
        parse_write(encoded(body), WRITES[index][0])


def test_a_rejected_order_may_have_an_id() -> None:
    body = {"order_id": "9", "status": "rejected", "volume": 0.1, "client_order_id": "c-1", "error": {"code": "X"}}
    assert parse_place(encoded(body), PLACE) == BrokerRejection("X", "the broker rejected it")


class TestPlace:
    @pytest.mark.parametrize("status", ["Filled", "PENDING", " filled "])
    def test_status_in_any_case(self, status: str) -> None:
        answer = parse_place(changed(PLACED, status=status), PLACE)
        assert isinstance(answer, Placed)
        assert answer.status == status.strip().lower()

    @pytest.mark.parametrize("status", [None, "", "accepted", "partially_filled", 1, True])
    def test_any_other_status_is_unreadable(self, status: object) -> None:
        with pytest.raises(UnreadableAnswer):
            parse_place(changed(PLACED, status=status), PLACE)

    def test_somebody_elses_order_is_unreadable(self) -> None:
        with pytest.raises(UnreadableAnswer):
            parse_place(changed(PLACED, client_order_id="c-9"), PLACE)
        with pytest.raises(UnreadableAnswer):
            parse_place(changed({"status": "rejected"}, client_order_id="c-9"), PLACE)
        assert parse_place(without(PLACED, "client_order_id"), PLACE) == parse_place(encoded(PLACED), PLACE)

    @pytest.mark.parametrize("order_id", [None, "", 0, 1.5, True])
    def test_an_order_without_an_id_is_unreadable(self, order_id: object) -> None:
        with pytest.raises(UnreadableAnswer):
            parse_place(changed(PLACED, order_id=order_id), PLACE)

    def test_the_volume_is_the_venues_where_it_says_one(self) -> None:
        partial = parse_place(changed(PLACED, volume="0.04"), PLACE)
        unsaid = parse_place(without(PLACED, "volume"), PLACE)
        assert isinstance(partial, Placed)
        assert isinstance(unsaid, Placed)
        assert (partial.volume_lots, unsaid.volume_lots) == (Decimal("0.04"), Decimal("0.1"))
        for volume in (0, -1, "x", 1e30):
            with pytest.raises(UnreadableAnswer):
                parse_place(changed(PLACED, volume=volume), PLACE)

    def test_ids_as_integers_and_zero_as_none(self) -> None:
        answer = parse_place(
            changed(PLACED, order_id=202, status="pending", position_id=0, deal_id=None, price=0), PLACE
        )
        assert answer == Placed("202", PlaceStatus.PENDING, Decimal("0.1"), "c-1", None, None, None)


class TestClose:
    def test_either_id_is_enough(self) -> None:
        for missing in ("order_id", "deal_id"):
            assert isinstance(parse_close(without(CLOSED, missing), CLOSE), Closed)
        with pytest.raises(UnreadableAnswer):
            parse_close(without(CLOSED, "order_id", "deal_id"), CLOSE)

    @pytest.mark.parametrize("missing", ["closed_volume", "remaining_volume"])
    def test_what_was_closed_and_what_is_left_must_be_said(self, missing: str) -> None:
        with pytest.raises(UnreadableAnswer):
            parse_close(without(CLOSED, missing), CLOSE)

    def test_another_position_is_unreadable(self) -> None:
        assert isinstance(parse_close(changed(CLOSED, position_id=101), CLOSE), Closed)
        with pytest.raises(UnreadableAnswer):
            parse_close(changed(CLOSED, position_id="999"), CLOSE)

    @pytest.mark.parametrize("change", [{"closed_volume": 0}, {"remaining_volume": -1}, {"close_price": -1}])
    def test_figures_that_cannot_be(self, change: Json) -> None:
        with pytest.raises(UnreadableAnswer):
            parse_close(changed(CLOSED, **change), CLOSE)


class TestModify:
    def test_another_position_is_unreadable(self) -> None:
        with pytest.raises(UnreadableAnswer):
            parse_modify(changed(PROTECTED, position_id="999"), MODIFY)

    def test_aliases_and_zero(self) -> None:
        assert parse_modify(encoded({"sl": "1.09", "tp": 0}), MODIFY) == Protected("101", Decimal("1.09"), None)

    def test_the_venues_own_level_is_believed(self) -> None:
        answer = parse_modify(changed(PROTECTED, stop_loss=1.0901), MODIFY)
        assert answer == Protected("101", Decimal("1.0901"), None)

    def test_a_level_may_be_left_out_only_where_none_was_asked_for(self) -> None:
        assert parse_modify(without(PROTECTED, "take_profit"), MODIFY) == Protected("101", Decimal("1.09"), None)
        for data in (without(PROTECTED, "stop_loss"), changed(PROTECTED, stop_loss=None)):
            with pytest.raises(UnreadableAnswer):
                parse_modify(data, MODIFY)


class TestCancel:
    @pytest.mark.parametrize(
        ("status", "read"), [("CANCELLED", "cancelled"), ("canceled", "cancelled"), ("Filled", "filled")]
    )
    def test_statuses(self, status: str, read: str) -> None:
        assert parse_cancel(changed(CANCELLED, status=status), CANCEL) == Cancelled("202", CancelStatus(read))

    @pytest.mark.parametrize("status", [None, "ok", "pending", "", 1])
    def test_any_other_status_is_unreadable(self, status: object) -> None:
        with pytest.raises(UnreadableAnswer):
            parse_cancel(changed(CANCELLED, status=status), CANCEL)

    def test_another_order_is_unreadable(self) -> None:
        assert isinstance(parse_cancel(without(CANCELLED, "order_id"), CANCEL), Cancelled)
        with pytest.raises(UnreadableAnswer):
            parse_cancel(changed(CANCELLED, order_id="999"), CANCEL)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"code": "NO_MONEY", "message": "too poor", "details": {"a": 1}}}, "NO_MONEY", "too poor"),
        ({"error": {"code": 132, "message": "too poor"}}, "132", "too poor"),
        ({"error": "too poor"}, "", "too poor"),
        ({"error": "NO_MONEY", "message": "too poor"}, "NO_MONEY", "too poor"),
        ({"error": "IDEMPOTENCY_IN_PROGRESS"}, "IDEMPOTENCY_IN_PROGRESS", ""),
        ({"detail": "IDEMPOTENCY_IN_PROGRESS"}, "IDEMPOTENCY_IN_PROGRESS", "IDEMPOTENCY_IN_PROGRESS"),
        ({"detail": "too poor"}, "", "too poor"),
        ({"detail": {"code": "NO_MONEY", "message": "too poor"}}, "NO_MONEY", "too poor"),
        ({"detail": {"error": {"code": "NO_MONEY", "message": "too poor"}}}, "NO_MONEY", "too poor"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "", "field required"),
        ({"code": "NO_MONEY", "message": "too poor"}, "NO_MONEY", "too poor"),
        ({"errorCode": "NO_MONEY", "description": "too poor"}, "NO_MONEY", "too poor"),
        ({"error": None}, "", ""),
        ([], "", ""),
        ("text", "", ""),
    ],
)
def test_error_bodies(body: object, code: str, message: str) -> None:
    assert parse_error(encoded(body)) == ErrorBody(code, message)


def test_error_bodies_that_are_no_json_say_nothing_and_long_ones_are_cut() -> None:
    for data in (b"", b"<html><h1>502</h1></html>", b"\xff\xfe", b"[" * 100_000):
        assert parse_error(data) == ErrorBody("", "")
    body = parse_error(encoded({"error": {"code": "X" * 999, "message": "y\x00" * 9999}}))
    assert len(body.code) == 80
    assert len(body.message) == 500
    assert "\x00" not in body.message
