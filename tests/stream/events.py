"""Events as the microservice publishes them."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kombu import Connection, Exchange

from ctrader_app.models import TradingAccount

NOW = datetime(2026, 3, 1, 10, 0, 0, tzinfo=UTC)

POSITION = {
    "position_id": "101", "symbol": "EURUSD", "direction": "BUY", "volume": 0.1, "open_price": 1.1,
    "current_price": 1.2, "stop_loss": None, "take_profit": None, "profit": 12.0, "swap": 0.0, "commission": -0.7,
    "open_time": "2026-03-01T09:00:00Z",
}  # fmt: skip
CLOSURE = {
    "position_id": "101", "symbol": "EURUSD", "direction": "BUY", "volume": 0.1, "open_time": "2026-03-01T09:00:00Z",
    "open_price": 1.1, "close_time": "2026-03-01T10:00:00Z", "close_price": 1.2, "profit": 100.0, "commission": -0.7,
    "swap": 0.0,
}  # fmt: skip
FIGURES = {"balance": 1000, "equity": 1010, "margin": 100, "free_margin": 910, "margin_level": 1010, "currency": "EUR"}


def at(seconds: float) -> datetime:
    """So many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def envelope(kind: str, account: TradingAccount | str, payload: object, **changes: Any) -> dict[str, Any]:
    """An event; a change to None leaves the field out."""
    fields = {
        "event_id": str(uuid.uuid4()),
        "event_version": 1,
        "source": "ctrader",
        "platform": "cTrader",
        "type": kind,
        "account_id": account if isinstance(account, str) else account.wire_id,
        "occurred_at": changes.pop("occurred_at", NOW).isoformat(),
        "sent_at": NOW.isoformat(),
        "payload": payload,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def encode(event: dict[str, Any]) -> bytes:
    """The event's bytes."""
    return json.dumps(event).encode()


def tick(
    account: TradingAccount | str, bid: float = 1.1, symbol: str = "EURUSD", quoted_at: datetime = NOW, **changes: Any
) -> bytes:
    """A price.tick."""
    payload = {"symbol": symbol, "bid": bid, "ask": bid + 0.1, "time": quoted_at.isoformat()}
    return encode(envelope("price.tick", account, payload, **changes))


def candle(account: TradingAccount | str, bar: int = 0, close: float = 1.1, **changes: Any) -> bytes:
    """A candle.update of M1; ``bar`` counts minutes."""
    time_s = int(NOW.timestamp()) + 60 * bar
    state = {"time": time_s, "open": 1.0, "high": 2.0, "low": 1.0, "close": close, "volume": 5}
    payload = {"symbol": "EURUSD", "timeframe": "M1", "candle": state}
    return encode(envelope("candle.update", account, payload, **changes))


def snapshot(account: TradingAccount | str, *positions: dict[str, Any], **changes: Any) -> bytes:
    """A positions.snapshot."""
    return encode(envelope("positions.snapshot", account, {"open_positions": list(positions)}, **changes))


def closed(account: TradingAccount | str, **changes: Any) -> bytes:
    """A position.closed."""
    return encode(envelope("position.closed", account, CLOSURE, **changes))


def info(account: TradingAccount | str, equity: float = 1010, **changes: Any) -> bytes:
    """An account.info."""
    return encode(envelope("account.info", account, {**FIGURES, "equity": equity}, **changes))


def publish(url: str, exchange: str, messages: Sequence[tuple[str, bytes]], **properties: Any) -> None:
    """Publish messages, each with its routing key, as a microservice does."""
    with Connection(url) as connection:
        producer = connection.Producer()
        events = Exchange(exchange, type="topic", durable=True)
        events(connection.default_channel).declare()
        for key, body in messages:
            producer.publish(
                body, exchange=exchange, routing_key=key,
                **{"content_type": "application/json", "content_encoding": "utf-8", **properties},
            )  # fmt: skip
