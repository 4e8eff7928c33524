"""The messages that cross the channel layer, and what a browser gets of each.

A message has the type and the key that the contract fixes, and two keys of ours: ``text``, the browser's frame,
encoded once for all browsers, and, on prices and bars, ``at``, the event's ``occurred_at`` in epoch seconds, by which
a socket refuses to go back. Whoever sends without them is understood all the same.
"""

from collections.abc import Hashable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

Message = dict[str, Any]

_FRAMES: Mapping[str, tuple[str, str]] = {
    "price_tick": ("price", "live_price"),
    "candle_update": ("candle", "new_candle"),
    "account_info_update": ("account_info", "account_update"),
    "open_positions_update": ("open_positions", "account_update"),
    "pending_orders_update": ("pending_orders", "account_update"),
    "operation_update": ("operation", "operation_update"),
}
"""Type on the layer -> key of its content, type of the browser's frame."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


def make(kind: str, content: object, at: float | None = None) -> Message:
    """The message of type ``kind``. ``content`` holds JSON values; ``at`` is ``occurred_at`` in epoch seconds."""
    message: Message = {"type": kind, _FRAMES[kind][0]: content, "text": _frame(kind, content)}
    if at is not None:
        message["at"] = at
    return message


def price_content(
    symbol: str,
    bid: float | None,
    ask: float | None,
    quoted_at: datetime | None,
    age_s: float | None = None,
    *,
    stale: bool = False,
) -> dict[str, object]:
    """The content of ``price_tick``. Both times are the venue's own time of the quote, ISO-8601 UTC.

    ``age_s`` is how old the quote is while this is written, in seconds: whoever receives it counts on from there,
    whatever its own clock says. ``stale`` says that nothing new has come for too long; only then a price may be
    unknown (None). It is no message of another type, because a Channels consumer dies of a type it does not know.
    """
    time = None if quoted_at is None else iso(quoted_at)
    content: dict[str, object] = {"symbol": symbol, "bid": bid, "ask": ask, "time": time, "timestamp": time}
    if age_s is not None:
        content["age_s"] = round(max(age_s, 0.0), 3)
    if stale:
        content["stale"] = True
    return content


def candle_content(
    symbol: str,
    timeframe: str,
    time_s: int,
    prices: tuple[float, float, float, float],
    volume: float,
) -> dict[str, object]:
    """The content of ``candle_update``. ``time_s`` is the bar's opening in epoch seconds, ``timestamp`` the same in
    ISO-8601; ``prices`` are open, high, low and close; ``volume`` counts ticks."""
    open_, high, low, close = prices
    return {
        "symbol": symbol,
        "timeframe": timeframe,
        "time": time_s,
        "timestamp": iso(datetime.fromtimestamp(time_s, UTC)),
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "tick_volume": volume,
        "volume": volume,
    }


def is_stale(message: Mapping[str, Any]) -> bool:
    """Whether the message only says that a price is stale, or brings one that is."""
    price = message.get("price")
    return isinstance(price, Mapping) and price.get("stale") is True


def frame_of(message: Mapping[str, Any]) -> str | None:
    """The browser's frame of any message that follows the contract; None for one that does not."""
    text = message.get("text")
    if isinstance(text, str):
        return text
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _FRAMES:
        return None
    content = message.get(_FRAMES[kind][0])
    if content is None:
        return None
    try:
        return _frame(kind, content)
    except (TypeError, ValueError):
        return None


def conflation_key(message: Mapping[str, Any]) -> Hashable:
    """What a newer message of the same group replaces: the last price, the same bar, the same operation, the same
    part of the account."""
    kind = message.get("type")
    if kind == "candle_update":
        candle = message.get("candle")
        if isinstance(candle, Mapping):
            return (kind, str(candle.get("timeframe")), str(candle.get("time")))
    if kind == "operation_update":
        operation = message.get("operation")
        if isinstance(operation, Mapping):
            return (kind, str(operation.get("id")))
    return str(kind)


def iso(moment: datetime) -> str:
    """ISO-8601 in UTC with Z, always with milliseconds or better, so that the texts can be read by every browser."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode_frame(kind: str, data: object) -> str:
    """A browser's frame: ``{"type": kind, "data": data}``. Exact numbers are written as JSON numbers."""
    return _encode({"type": kind, "data": data}).decode()


def encode_error(code: str, text: str, **more: str) -> str:
    """An error frame: ``{"type": "error", "code", "message"}`` and what else tells where it belongs."""
    return _encode({"type": "error", "code": code, "message": text, **more}).decode()


def _frame(kind: str, content: object) -> str:
    key, frame_type = _FRAMES[kind]
    # The three parts of an account share one frame type: the key says which one it is. What is absent is unknown.
    return encode_frame(frame_type, {key: content} if frame_type == "account_update" else content)
