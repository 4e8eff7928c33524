"""Answers and events as the contract spells them, to be bent by the tests."""

import copy
import json
from typing import Any

Json = dict[str, Any]

POSITION: Json = {
    "position_id": "101",
    "symbol": "EURUSD",
    "direction": "BUY",
    "volume": 0.10,
    "open_price": 1.1,
    "current_price": 1.1012,
    "stop_loss": 1.09,
    "take_profit": None,
    "profit": 12.0,
    "swap": -0.5,
    "commission": -0.7,
    "open_time": "2026-03-01T10:00:00Z",
    "client_order_id": "c-1",
    "label": "alpha",
    "comment": "first",
}
ORDER: Json = {
    "order_id": "202",
    "symbol": "EURUSD",
    "direction": "SELL",
    "order_type": "LIMIT",
    "volume": 0.2,
    "price": 1.2,
    "stop_loss": None,
    "take_profit": None,
    "created_at": "2026-03-01T10:00:00Z",
}
DEAL: Json = {
    "ticket": 303,
    "order": 202,
    "time": 1_772_359_200,
    "time_msc": 1_772_359_200_123,
    "type": 0,
    "entry": 0,
    "reason": 3,
    "position_id": 101,
    "volume": 0.1,
    "price": 1.1,
    "profit": 0.0,
    "commission": -0.35,
    "swap": 0.0,
    "symbol": "EURUSD",
    "comment": "",
    "magic": 7,
}
ACCOUNT: Json = {
    "balance": 1000.5,
    "equity": 1010,
    "margin": 100,
    "free_margin": "910.00",
    "margin_level": 1010.0,
    "currency": "USD",
    "leverage": 30,
}
BOOK: Json = {"open_positions": [POSITION], "pending_orders": [ORDER]}
PRICE: Json = {"symbol": "EURUSD", "bid": 1.1, "ask": 1.1002, "time": "2026-03-01T10:00:00Z"}
CANDLE: Json = {"time": 1_772_359_200, "open": 1.1, "high": 1.3, "low": 1.0, "close": 1.2, "volume": 42}
CANDLES: Json = {"symbol": "EURUSD", "timeframe": "M1", "candles": [CANDLE]}
SYMBOL: Json = {
    "symbol": "EURUSD",
    "digits": 5,
    "tick_size": 0.00001,
    "pip_size": 0.0001,
    "contract_size": 100000,
    "lot_step": 0.01,
    "min_lot": 0.01,
    "max_lot": 50,
    "quote_currency": "USD",
}
SYNC: Json = {
    "deals": [DEAL],
    "is_closed_on_platform": False,
    "platform_remaining_size": 0.1,
    "latest_deal_timestamp": 1_772_359_200,
    "last_deal_price": 1.1,
    "final_profit": None,
    "final_commission": None,
    "final_swap": None,
    "error_message": None,
}
PLACED: Json = {
    "order_id": "202",
    "position_id": "101",
    "deal_id": "303",
    "status": "filled",
    "price": 1.1,
    "volume": 0.1,
    "client_order_id": "c-1",
}
CLOSED: Json = {"order_id": "203", "deal_id": "304", "close_price": 1.2, "closed_volume": 0.1, "remaining_volume": 0}
PROTECTED: Json = {"position_id": "101", "stop_loss": 1.09, "take_profit": None}
CANCELLED: Json = {"order_id": "202", "status": "cancelled"}

ENVELOPE: Json = {
    "event_id": "0b5bfa0e-9f0a-4f5c-9a58-0c1f0f7b1a11",
    "event_version": 1,
    "source": "ctrader",
    "platform": "cTrader",
    "account_id": "40012345",
    "broker_login": "40012345",
    "internal_account_id": "6f2c4c1e-7a3c-4b58-9d0e-2a61f9c1a001",
    "occurred_at": "2026-03-01T10:00:00.250000Z",
    "sent_at": "2026-03-01T10:00:00.251000Z",
}
CLOSURE: Json = {
    "position_id": "101",
    "symbol": "EURUSD",
    "direction": "BUY",
    "volume": 0.1,
    "open_time": "2026-03-01T09:00:00Z",
    "open_price": 1.1,
    "close_time": "2026-03-01T10:00:00Z",
    "close_price": 1.2,
    "profit": 10,
    "commission": -0.7,
    "swap": 0,
    "broker_deal_id": "304",
    "reason": "sl",
}
PAYLOADS: dict[str, Json] = {
    "price.tick": PRICE,
    "candle.update": {"symbol": "EURUSD", "timeframe": "M1", "candle": CANDLE},
    "positions.snapshot": {"open_positions": [POSITION]},
    "position.closed": CLOSURE,
    "account.info": ACCOUNT,
}


def event(kind: str, /, **changes: Any) -> Json:
    """A valid event of this type; ``changes`` replace fields of the envelope."""
    return copy.deepcopy({**ENVELOPE, "type": kind, "payload": PAYLOADS.get(kind, {}), **changes})


def changed(sample: Json, /, **changes: Any) -> bytes:
    """The sample as JSON bytes, with some fields replaced."""
    return json.dumps({**sample, **changes}).encode()


def without(sample: Json, *names: str) -> bytes:
    """The sample as JSON bytes, with some fields left out."""
    return json.dumps({name: value for name, value in sample.items() if name not in names}).encode()


def encoded(value: object) -> bytes:
    """Any JSON value as bytes."""
    return json.dumps(value).encode()
