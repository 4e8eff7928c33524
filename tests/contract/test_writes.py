"""Place, close, modify, cancel, sync: what is answered is what is then to be read."""

import time
import uuid

import pytest

from tests.contract.target import Caller, Json, direction, first, levels, moment_s, open_price

FAR = 0.05
"""As a part of the price: further than it moves while a test runs."""


def _filled(answer: Json, **request: object) -> str:
    assert answer["status"] == "filled"
    assert answer["order_id"]
    assert float(answer["price"]) > 0
    assert float(answer["volume"]) == pytest.approx(0.1)
    for name, value in request.items():
        assert answer[name] == value
    return str(answer["position_id"])


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_market_order_fills_and_is_then_to_be_read(caller: Caller, side: str) -> None:
    client_order_id = uuid.uuid4().hex
    answer = caller.place(direction=side, client_order_id=client_order_id, label="strategy", comment="first").ok()
    identity = _filled(answer, client_order_id=client_order_id)
    row = caller.positions()[identity]
    assert row["symbol"] == caller.symbol
    assert direction(row) == side
    assert float(row["volume"]) == pytest.approx(0.1)
    assert open_price(row) == pytest.approx(float(answer["price"]))
    assert float(first(row, "current_price", "currentPrice", "price")) > 0
    assert levels(row) == (None, None)
    assert float(row["commission"]) <= 0
    assert {"profit", "swap"} <= set(row)
    assert abs(moment_s(row, "open_time", "openTime", "time", "timestamp") - time.time()) < 300
    assert row.get("client_order_id", client_order_id) == client_order_id


@pytest.mark.parametrize(("side", "sign"), [("BUY", 1), ("SELL", -1)])
def test_protection_may_come_with_the_order(caller: Caller, side: str, sign: int) -> None:
    bid = caller.bid()
    stop_loss, take_profit = round(bid * (1 - sign * FAR), 4), round(bid * (1 + sign * FAR), 4)
    answer = caller.place(direction=side, stop_loss=stop_loss, take_profit=take_profit).ok()
    assert levels(caller.positions()[_filled(answer)]) == pytest.approx((stop_loss, take_profit))


@pytest.mark.parametrize(("side", "sign"), [("BUY", 1), ("SELL", -1)])
def test_protection_may_be_a_distance_from_the_fill(caller: Caller, side: str, sign: int) -> None:
    answer = caller.place(direction=side, sl_distance=0.05, tp_distance=0.1).ok()
    fill = float(answer["price"])
    stop_loss, take_profit = levels(caller.positions()[_filled(answer)])
    assert stop_loss == pytest.approx(fill - sign * 0.05)
    assert take_profit == pytest.approx(fill + sign * 0.1)


def test_a_position_closes_in_parts(caller: Caller) -> None:
    identity = _filled(caller.place().ok())
    part = caller.close(identity, 0.04).ok()
    assert part["order_id"]
    assert part["deal_id"]
    assert float(part["close_price"]) > 0
    assert float(part["closed_volume"]) == pytest.approx(0.04)
    assert float(part["remaining_volume"]) == pytest.approx(0.06)
    assert float(caller.positions()[identity]["volume"]) == pytest.approx(0.06)
    rest = caller.close(identity, 0.06).ok()
    assert float(rest["remaining_volume"]) == 0
    assert caller.positions() == {}


def test_the_life_of_a_position_is_told(caller: Caller) -> None:
    identity = _filled(caller.place().ok())
    life = caller.get("/trade/sync-data", position_id=identity, symbol=caller.symbol).ok()
    assert life["is_closed_on_platform"] is False
    assert float(life["platform_remaining_size"]) == pytest.approx(0.1)
    assert life["final_profit"] is None
    assert life["final_commission"] is None
    assert life["final_swap"] is None
    assert [deal["entry"] for deal in life["deals"]] == [0]

    caller.close(identity, 0.04).ok()
    closing = caller.close(identity, 0.06).ok()
    life = caller.get("/trade/sync-data", position_id=identity, symbol=caller.symbol).ok()
    assert life["is_closed_on_platform"] is True
    assert float(life["platform_remaining_size"]) == 0
    assert [(deal["entry"], deal["type"]) for deal in life["deals"]] == [(0, 0), (1, 1), (1, 1)]
    assert [float(deal["volume"]) for deal in life["deals"]] == pytest.approx([0.1, 0.04, 0.06])
    assert len({str(deal["ticket"]) for deal in life["deals"]}) == 3
    assert {deal["reason"] for deal in life["deals"]} == {3}
    assert all(
        abs(deal["time"] - time.time()) < 300 and deal["time_msc"] // 1000 == deal["time"] for deal in life["deals"]
    )
    assert {str(deal["position_id"]) for deal in life["deals"]} == {identity}
    assert float(life["last_deal_price"]) == pytest.approx(float(closing["close_price"]))
    assert abs(life["latest_deal_timestamp"] - life["deals"][-1]["time"]) <= 1
    assert float(life["final_profit"]) == pytest.approx(sum(float(deal["profit"]) for deal in life["deals"]), abs=0.011)
    assert float(life["final_commission"]) <= 0
    assert life["final_swap"] is not None


def test_protection_is_set_moved_and_removed(caller: Caller) -> None:
    identity = _filled(caller.place().ok())
    bid = caller.bid()
    low, high = round(bid * (1 - FAR), 4), round(bid * (1 + FAR), 4)
    for stop_loss, take_profit in [(low, high), (low, None), (None, high), (None, None)]:
        answer = caller.modify(identity, stop_loss, take_profit).ok()
        assert str(answer["position_id"]) == identity
        assert (answer["stop_loss"] or None, answer["take_profit"] or None) == (stop_loss, take_profit)
        assert levels(caller.positions()[identity]) == (stop_loss, take_profit)


@pytest.mark.parametrize(
    ("side", "order_type", "field", "factor"),
    [
        ("BUY", "LIMIT", "limit_price", 1 - FAR),
        ("SELL", "LIMIT", "limit_price", 1 + FAR),
        ("BUY", "STOP", "stop_price", 1 + FAR),
        ("SELL", "STOP", "stop_price", 1 - FAR),
    ],
)
def test_a_working_order_waits_and_can_be_cancelled(
    caller: Caller, side: str, order_type: str, field: str, factor: float
) -> None:
    price = round(caller.bid() * factor, 4)
    client_order_id = uuid.uuid4().hex
    answer = caller.place(direction=side, order_type=order_type, client_order_id=client_order_id, **{field: price}).ok()
    assert answer["status"] == "pending"
    assert not answer.get("position_id")
    identity = str(answer["order_id"])
    listed = caller.orders()
    if listed is not None:
        row = listed[identity]
        assert (row["symbol"], direction(row), row["order_type"]) == (caller.symbol, side, order_type)
        assert (float(row["volume"]), float(row["price"])) == pytest.approx((0.1, price))
        assert abs(moment_s(row, "created_at", "time", "timestamp") - time.time()) < 300
        assert row.get("client_order_id", client_order_id) == client_order_id
    assert caller.positions() == {}
    cancelled = caller.cancel(identity).ok()
    assert (str(cancelled["order_id"]), cancelled["status"]) == (identity, "cancelled")
    assert not caller.orders()


REFUSED_ORDERS: list[dict[str, object]] = [
    {"symbol": "NOSUCHSYMBOL"},
    {"volume": 0},
    {"volume": -0.1},
    {"volume": 0.015},
    {"volume": 0.001},
    {"volume": 1_000_000},
    {"volume": None},
    {"volume": "much"},
    {"direction": "HOLD"},
    {"order_type": "MAYBE"},
    {"order_type": "LIMIT"},
    {"order_type": "STOP"},
    {"order_type": "LIMIT", "limit_price": -1},
    {"stop_loss": 99_999},
    {"take_profit": 0.0001},
    {"direction": "SELL", "stop_loss": 0.0001},
    {"direction": "SELL", "take_profit": 99_999},
    {"order_type": "LIMIT", "limit_price": 0.5, "stop_loss": 0.9},
]


@pytest.mark.parametrize("change", REFUSED_ORDERS, ids=str)
def test_a_wrong_order_is_refused_with_a_code_and_has_no_effect(caller: Caller, change: dict[str, object]) -> None:
    refusal = caller.place(**change).refusal()
    assert refusal is not None
    assert all(refusal)
    assert caller.positions() == {}
    assert not caller.orders()


def test_a_wrong_change_of_a_position_is_refused_and_has_no_effect(caller: Caller) -> None:
    identity = _filled(caller.place().ok())
    bid = caller.bid()
    answers = [
        caller.close(identity, 0.2),
        caller.close(identity, 0),
        caller.close(identity, -0.05),
        caller.close(identity, 0.015),
        caller.modify(identity, round(bid * 2, 4), None),
        caller.modify(identity, None, round(bid / 2, 4)),
        caller.close("987654321987", 0.1),
        caller.modify("987654321987", None, None),
        caller.cancel("987654321987"),
        caller.cancel("not-a-number"),
    ]
    assert [answer.refusal() is not None for answer in answers] == [True] * len(answers), answers
    row = caller.positions()[identity]
    assert float(row["volume"]) == pytest.approx(0.1)
    assert levels(row) == (None, None)


def test_a_closed_position_cannot_be_closed_again(caller: Caller) -> None:
    identity = _filled(caller.place().ok())
    caller.close(identity, 0.1).ok()
    assert caller.close(identity, 0.1).refusal() is not None
    assert caller.modify(identity, None, None).refusal() is not None


def test_another_accounts_position_is_out_of_reach(caller: Caller) -> None:
    if caller.target.account_id is not None:
        pytest.skip("the service was given with one account")
    identity = _filled(caller.place().ok())
    with Caller.opened(caller.target) as stranger:
        assert stranger.positions() == {}
        assert stranger.close(identity, 0.1).refusal() is not None
        assert stranger.modify(identity, None, None).refusal() is not None
    assert identity in caller.positions()
