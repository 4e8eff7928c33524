"""Ticks as a microservice publishes them, encoded into AMQP frames ahead of time.

A publisher that encodes while others are measured takes the processor that they need. Here everything is made before,
and sending is one system call per some megabytes.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from pamqp import body, commands, frame, header

TICK_KEY = "price.tick"

_BODY_AT = 7
"""Where its payload begins in a frame: after its type, its channel and its size."""

_FRAME_END = b"\xce"


def symbol_names(number: int) -> list[str]:
    """``number`` different symbols of six characters."""
    return [f"S{index:05d}" for index in range(number)]


def tick(account_id: str, symbol: str, bid: float, at: datetime) -> bytes:
    """A ``price.tick`` with every field of the contract; about 420 bytes."""
    moment = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return msgspec.json.encode(
        {
            "event_id": str(uuid.uuid4()),
            "event_version": 1,
            "source": "ctrader",
            "platform": "cTrader",
            "type": TICK_KEY,
            "account_id": "1000001",
            "broker_login": "1000001",
            "internal_account_id": account_id,
            "occurred_at": moment,
            "sent_at": moment,
            "payload": {"symbol": symbol, "bid": bid, "ask": bid + 0.00012, "time": moment},
        }
    )


def tick_series(account_id: str, symbols: Sequence[str], number: int, first: int = 0) -> list[bytes]:
    """``number`` ticks, the symbols in turn. The bid of each is its place in the series, the first being ``first`` + 1.

    They occurred one after the other, a microsecond apart, the last one just now.
    """
    start = datetime.now(UTC) - timedelta(microseconds=number)
    return [
        tick(account_id, symbols[index % len(symbols)], float(first + index + 1), start + timedelta(microseconds=index))
        for index in range(number)
    ]


def publishings(exchange: str, routing_key: str, bodies: Iterable[bytes], channel: int = 1) -> bytes:
    """The bytes that publish these bodies, in order, when written to an open connection's socket."""
    publish = frame.marshal(commands.Basic.Publish(exchange=exchange, routing_key=routing_key), channel)
    properties = commands.Basic.Properties(content_type="application/json", content_encoding="utf-8")
    # What differs is the size of the body and the body: encoding the rest a million times would be most of the work.
    heads: dict[int, bytes] = {}
    parts: list[bytes] = []
    for each in bodies:
        size = len(each)
        head = heads.get(size)
        if head is None:
            heading = frame.marshal(header.ContentHeader(body_size=size, properties=properties), channel)
            head = heads[size] = publish + heading + frame.marshal(body.ContentBody(each), channel)[:_BODY_AT]
        parts += (head, each, _FRAME_END)
    return b"".join(parts)
