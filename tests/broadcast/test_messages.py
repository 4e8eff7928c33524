"""The messages of the contract, and the frames that browsers get of them."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ctrader_app.broadcast.messages import conflation_key, encode_error, frame_of, make, price_content

PRICE = price_content("EURUSD", 1.1, 1.2, datetime(2026, 1, 2, 3, 4, 5, 678901, UTC))
CANDLE = {
    "symbol": "EURUSD", "timeframe": "M1", "time": 60, "timestamp": "1970-01-01T00:01:00Z",
    "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "tick_volume": 3.0, "volume": 3.0,
}  # fmt: skip


def decoded(message: dict[str, Any]) -> Any:
    text = frame_of(message)
    assert text is not None
    return json.loads(text)


def test_a_price_is_the_contracts_message_with_the_frame_beside_it() -> None:
    message = make("price_tick", PRICE, at=12.5)
    assert message["type"] == "price_tick"
    assert message["price"] == {
        "symbol": "EURUSD",
        "bid": 1.1,
        "ask": 1.2,
        "time": "2026-01-02T03:04:05.678Z",
        "timestamp": "2026-01-02T03:04:05.678Z",
    }
    assert message["at"] == 12.5
    assert json.loads(message["text"]) == {"type": "live_price", "data": message["price"]}


def test_a_candle_is_the_contracts_message() -> None:
    message = make("candle_update", CANDLE)
    assert message["candle"] == CANDLE
    assert decoded(message) == {"type": "new_candle", "data": CANDLE}


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("account_info_update", "account_info"),
        ("open_positions_update", "open_positions"),
        ("pending_orders_update", "pending_orders"),
    ],
)
def test_an_account_update_names_its_part_and_says_nothing_of_the_others(kind: str, key: str) -> None:
    assert decoded(make(kind, [{"a": 1}])) == {"type": "account_update", "data": {key: [{"a": 1}]}}


def test_an_operation_update_is_the_operation() -> None:
    assert decoded(make("operation_update", {"id": "x", "state": "queued"})) == {
        "type": "operation_update",
        "data": {"id": "x", "state": "queued"},
    }


def test_a_message_of_somebody_else_is_understood_without_our_extra_key() -> None:
    assert decoded({"type": "price_tick", "price": {"symbol": "EURUSD", "bid": Decimal("1.10"), "ask": 2}}) == {
        "type": "live_price",
        "data": {"symbol": "EURUSD", "bid": 1.10, "ask": 2},
    }


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "price_tick"},
        {"type": "unheard_of", "price": 1},
        {"type": 7},
        {"type": "price_tick", "price": object()},
    ],
)
def test_what_does_not_follow_the_contract_gives_no_frame(message: dict[str, Any]) -> None:
    assert frame_of(message) is None


def test_what_replaces_what() -> None:
    candle = make("candle_update", CANDLE)
    next_bar = make("candle_update", {**CANDLE, "time": 120})
    assert conflation_key(candle) == conflation_key(make("candle_update", {**CANDLE, "close": 2.0}))
    assert conflation_key(candle) != conflation_key(next_bar)
    assert conflation_key(make("operation_update", {"id": "a"})) != conflation_key(
        make("operation_update", {"id": "b"})
    )
    assert conflation_key(make("price_tick", PRICE)) == "price_tick"
    assert conflation_key({"type": "candle_update", "candle": None}) == "candle_update"


def test_an_error_frame_says_where_it_belongs() -> None:
    assert json.loads(encode_error("X", "why", timeframe="M1")) == {
        "type": "error", "code": "X", "message": "why", "timeframe": "M1",
    }  # fmt: skip
