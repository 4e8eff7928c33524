"""Events of the stream: bytes in, one typed event or BadEvent out, for any bytes at all.

Ticks and bars in the contract's own spelling are decoded in one typed pass (more than 350,000 a second on one core of
a 2-core cloud machine, a tick being 420 bytes); whatever that pass does not take is read field by field, aliases
and odd timestamps included, and only what that does not take either is bad.
"""

from collections.abc import Callable
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from ctrader_app.wire.errors import BadEvent, BadEventReason, UnreadableAnswer
from ctrader_app.wire.event_types import (
    EVENT_VERSION,
    AccountInfoChanged,
    AnyEvent,
    CandleUpdate,
    Event,
    EventType,
    IgnoredEvent,
    PositionClosed,
    PositionsSnapshot,
    PriceTick,
)
from ctrader_app.wire.fields import MAX_DECIMALS, MAX_ID_CHARS, MAX_WHOLE_DIGITS, NotJson, Row, decode
from ctrader_app.wire.rows import read_book, read_figures, read_reason
from ctrader_app.wire.times import EARLIEST_S, LATEST_S, in_range

__all__ = [
    "EVENT_VERSION",
    "MAX_EVENT_BYTES",
    "AccountInfoChanged",
    "AnyEvent",
    "CandleUpdate",
    "Event",
    "EventType",
    "IgnoredEvent",
    "PositionClosed",
    "PositionsSnapshot",
    "PriceTick",
    "parse_event",
    "read_event",
]

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""A snapshot of 5,000 positions is about 2 MB."""

# -- the fast pass -------------------------------------------------------------------------------------------

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
_Price = Annotated[float, msgspec.Meta(ge=10**-MAX_DECIMALS, lt=10**MAX_WHOLE_DIGITS)]
_Count = Annotated[float, msgspec.Meta(ge=0, lt=10**MAX_WHOLE_DIGITS)]


class _Envelope(msgspec.Struct, tag_field="type", gc=False, kw_only=True):
    event_id: UUID
    event_version: Literal[1]
    occurred_at: datetime
    sent_at: datetime | None = None
    account_id: _Name | int | None = None
    internal_account_id: _Name | None = None
    broker_login: _Name | int | None = None


class _TickPayload(msgspec.Struct, gc=False):
    symbol: _Name
    bid: _Price
    ask: _Price
    time: datetime


class _Bar(msgspec.Struct, gc=False):
    time: Annotated[int, msgspec.Meta(ge=EARLIEST_S, lt=LATEST_S)]
    open: _Price
    high: _Price
    low: _Price
    close: _Price
    volume: _Count | None = None
    tick_volume: _Count | None = None


class _CandlePayload(msgspec.Struct, gc=False):
    symbol: _Name
    timeframe: _Name
    candle: _Bar


class _Tick(_Envelope, tag="price.tick", gc=False, kw_only=True):
    payload: _TickPayload


class _Candle(_Envelope, tag="candle.update", gc=False, kw_only=True):
    payload: _CandlePayload


_FAST = msgspec.json.Decoder(_Tick | _Candle)


def parse_event(body: bytes) -> AnyEvent:
    """The event in ``body``. Raises BadEvent with the reason under which to file it."""
    found = read_event(body)
    if isinstance(found, BadEvent):
        raise found
    return found


def read_event(body: bytes) -> AnyEvent | BadEvent:
    """As :func:`parse_event`, but a bad event is returned: in a flood of them each one raised would be at the cost of
    the good ones."""
    if len(body) > MAX_EVENT_BYTES:
        return BadEvent(BadEventReason.TOO_LARGE, f"{len(body)} bytes")
    try:
        envelope = _FAST.decode(body)
        return _fast_tick(envelope) if type(envelope) is _Tick else _fast_candle(envelope)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError, UnreadableAnswer):
        return _read_slowly(body)
    except msgspec.DecodeError as error:
        # What is no JSON to the fast pass is none to the thorough one.
        return BadEvent(BadEventReason.NOT_JSON, f"not JSON: {error}")


def _fast_tick(tick: _Tick) -> PriceTick:
    payload = tick.payload
    sent_at = tick.sent_at
    return PriceTick(
        tick.event_id,
        _reference(tick),
        _clean_id(tick.broker_login),
        in_range(tick.occurred_at, "occurred_at"),
        None if sent_at is None else in_range(sent_at, "sent_at"),
        _clean(payload.symbol),
        payload.bid,
        payload.ask,
        in_range(payload.time, "time"),
    )


def _fast_candle(candle: _Candle) -> CandleUpdate:
    payload = candle.payload
    bar = payload.candle
    volume = bar.volume if bar.volume is not None else bar.tick_volume
    if volume is None:
        raise UnreadableAnswer("the bar has no volume")
    return CandleUpdate(
        candle.event_id,
        _reference(candle),
        _clean_id(candle.broker_login),
        in_range(candle.occurred_at, "occurred_at"),
        None if candle.sent_at is None else in_range(candle.sent_at, "sent_at"),
        _clean(payload.symbol),
        _clean(payload.timeframe),
        bar.time,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        volume,
    )


def _clean(text: str) -> str:
    # What is not plainly clean goes the slow way, which judges it by the one set of rules.
    if not text.isalnum() and (text != text.strip() or not text.isprintable()):
        raise UnreadableAnswer("needs a closer look")
    return text


def _clean_id(value: str | int | None) -> str:
    if value is None or value in (0, "0"):
        return ""
    return _clean(value if type(value) is str else str(value))


def _reference(envelope: _Tick | _Candle) -> str:
    reference = _clean_id(envelope.internal_account_id) or _clean_id(envelope.account_id)
    if not reference:
        raise UnreadableAnswer("no account")
    return reference


# -- the thorough pass ---------------------------------------------------------------------------------------


_Header = tuple[UUID, str, str, datetime, datetime | None]
"""The fields of :class:`Event`, in its order."""


def _read_slowly(body: bytes) -> AnyEvent | BadEvent:
    try:
        return _read_row(Row(decode(body), "the event"))
    except NotJson as error:
        return BadEvent(BadEventReason.NOT_JSON, error.reason)
    except UnreadableAnswer as error:
        return BadEvent(BadEventReason.WRONG_SHAPE, error.reason)


def _read_row(row: Row) -> AnyEvent | BadEvent:
    version = row.raw("event_version")
    if isinstance(version, bool) or version not in (EVENT_VERSION, str(EVENT_VERSION)):
        return BadEvent(BadEventReason.UNKNOWN_VERSION, f"event_version {version!r}"[:MAX_ID_CHARS])
    kind = row.raw("type")
    if not isinstance(kind, str) or not kind:
        raise UnreadableAnswer("the event has no type")
    reader = _READERS.get(kind)
    if reader is None:
        return IgnoredEvent(kind[:MAX_ID_CHARS])
    return reader(_header(row), Row(row.raw("payload"), "payload"))


def _header(row: Row) -> _Header:
    try:
        event_id = UUID(row.name("event_id"))
    except ValueError:
        raise UnreadableAnswer("event_id is not a UUID") from None
    return (
        event_id,
        row.optional_identifier("internal_account_id") or row.identifier("account_id"),
        row.optional_identifier("broker_login"),
        row.time("occurred_at"),
        row.optional_time("sent_at"),
    )


def _read_tick(header: _Header, payload: Row) -> PriceTick:
    return PriceTick(
        *header,
        symbol=payload.name("symbol"),
        bid=float(payload.positive("bid")),
        ask=float(payload.positive("ask")),
        time=payload.time("time"),
    )


def _read_candle(header: _Header, payload: Row) -> CandleUpdate:
    bar = Row(payload.raw("candle"), "candle")
    return CandleUpdate(
        *header,
        symbol=payload.name("symbol"),
        timeframe=payload.name("timeframe"),
        time_s=bar.epoch_ms("time") // 1000,
        open=float(bar.positive("open")),
        high=float(bar.positive("high")),
        low=float(bar.positive("low")),
        close=float(bar.positive("close")),
        volume=float(bar.not_negative("bar_volume")),
    )


def _read_snapshot(header: _Header, payload: Row) -> PositionsSnapshot:
    return PositionsSnapshot(*header, book=read_book(payload))


def _read_closed(header: _Header, payload: Row) -> PositionClosed:
    return PositionClosed(
        *header,
        position_id=payload.identifier("position_id"),
        symbol=payload.name("symbol"),
        direction=payload.direction(),
        volume_lots=payload.positive("volume"),
        open_time=payload.optional_time("open_time"),
        open_price=payload.positive("open_price"),
        close_time=payload.time("close_time"),
        close_price=payload.positive("close_price"),
        profit=payload.number("profit"),
        commission=payload.number("commission"),
        swap=payload.number("swap"),
        deal_id=payload.optional_identifier("broker_deal_id"),
        reason=read_reason(payload.raw("reason")),
    )


def _read_account(header: _Header, payload: Row) -> AccountInfoChanged:
    return AccountInfoChanged(*header, figures=read_figures(payload))


_READERS: MappingProxyType[str, Callable[[_Header, Row], AnyEvent]] = MappingProxyType(
    {
        EventType.PRICE_TICK.value: _read_tick,
        EventType.CANDLE_UPDATE.value: _read_candle,
        EventType.POSITIONS_SNAPSHOT.value: _read_snapshot,
        EventType.POSITION_CLOSED.value: _read_closed,
        EventType.ACCOUNT_INFO.value: _read_account,
    }
)
