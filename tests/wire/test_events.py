"""Events of the stream."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrader_app.domain.facts import DealReason, Direction
from ctrader_app.wire import events
from ctrader_app.wire.errors import BadEvent, BadEventReason
from ctrader_app.wire.events import (
    MAX_EVENT_BYTES,
    AccountInfoChanged,
    AnyEvent,
    CandleUpdate,
    Event,
    IgnoredEvent,
    PositionClosed,
    PositionsSnapshot,
    PriceTick,
    parse_event,
    read_event,
)
from tests.wire.samples import CANDLE, CLOSURE, ENVELOPE, PAYLOADS, PRICE, Json, encoded, event

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def parsed(value: object) -> AnyEvent:
    return parse_event(encoded(value))


def reason_of(body: bytes) -> BadEventReason:
    with pytest.raises(BadEvent) as caught:
        parse_event(body)
    return caught.value.reason


@pytest.mark.parametrize("kind", PAYLOADS)
def test_the_envelope(kind: str) -> None:
    got = parsed(event(kind))
    assert isinstance(got, Event)
    assert got.event_id == UUID(ENVELOPE["event_id"])
    assert got.account_ref == ENVELOPE["internal_account_id"]
    assert got.broker_login == "40012345"
    assert got.occurred_at == AT + timedelta(milliseconds=250)
    assert got.occurred_at.tzinfo is UTC
    assert got.sent_at == AT + timedelta(milliseconds=251)


@pytest.mark.parametrize("kind", PAYLOADS)
def test_what_the_envelope_may_leave_out(kind: str) -> None:
    for absent in (None, "", 0):
        got = parsed(event(kind, internal_account_id=absent, broker_login=absent, sent_at=None, account_id=40012345))
        assert isinstance(got, Event)
        assert (got.account_ref, got.broker_login, got.sent_at) == ("40012345", "", None)
    envelope = event(kind)
    for name in ("internal_account_id", "broker_login", "sent_at", "source", "platform"):
        del envelope[name]
    assert isinstance(parsed(envelope), Event)


def test_payloads() -> None:
    tick = parsed(event("price.tick"))
    assert isinstance(tick, PriceTick)
    assert (tick.symbol, tick.bid, tick.ask, tick.time) == ("EURUSD", 1.1, 1.1002, AT)

    bar = parsed(event("candle.update"))
    assert isinstance(bar, CandleUpdate)
    assert (bar.symbol, bar.timeframe, bar.time_s, bar.volume) == ("EURUSD", "M1", 1_772_359_200, 42.0)
    assert (bar.open, bar.high, bar.low, bar.close) == (1.1, 1.3, 1.0, 1.2)

    snapshot = parsed(event("positions.snapshot"))
    assert isinstance(snapshot, PositionsSnapshot)
    assert [position.position_id for position in snapshot.book.positions] == ["101"]
    assert snapshot.book.orders is None

    closed = parsed(event("position.closed"))
    assert isinstance(closed, PositionClosed)
    assert (closed.position_id, closed.direction, closed.deal_id) == ("101", Direction.BUY, "304")
    assert (closed.volume_lots, closed.close_price, closed.commission) == (
        Decimal("0.1"),
        Decimal("1.2"),
        Decimal("-0.7"),
    )
    assert (closed.reason, closed.close_time) == (DealReason.STOP_LOSS, AT)

    account = parsed(event("account.info"))
    assert isinstance(account, AccountInfoChanged)
    assert account.figures.equity == 1010


@pytest.mark.parametrize(
    "payload",
    [
        {**PRICE, "bid": "1.1", "ask": "1.1002"},
        {**PRICE, "time": 1_772_359_200},
        {**PRICE, "time": 1_772_359_200_000},
        {**PRICE, "time": "2026-03-01T10:00:00"},
        {**PRICE, "time": "2026-03-01T12:00:00+02:00"},
        {"symbol": " EURUSD ", "bid": 1.1, "ask": 1.1002, "timestamp": "1772359200000", "depth": [1, 2]},
    ],
)
def test_a_tick_under_every_spelling(payload: Json) -> None:
    assert parsed(event("price.tick", payload=payload)) == parsed(event("price.tick"))


@pytest.mark.parametrize(
    "candle",
    [
        {**CANDLE, "volume": None, "tick_volume": 42},
        {**CANDLE, "time": "2026-03-01T10:00:00Z"},
        {**CANDLE, "time": 1_772_359_200_000},
        {**CANDLE, "open": "1.1", "volume": "42"},
    ],
)
def test_a_bar_under_every_spelling(candle: Json) -> None:
    payload = {"symbol": "EURUSD", "timeframe": "M1", "candle": candle}
    assert parsed(event("candle.update", payload=payload)) == parsed(event("candle.update"))


def test_a_closure_may_leave_its_deal_and_reason_out() -> None:
    payload = {**CLOSURE, "broker_deal_id": None, "reason": "boredom", "open_time": None}
    closed = parsed(event("position.closed", payload=payload))
    assert isinstance(closed, PositionClosed)
    assert (closed.deal_id, closed.reason, closed.open_time) == ("", None, None)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (encoded(event("price.tick"))[:-20], "not_json"),
        (b"\xff\xfe{}", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"null", "wrong_shape"),
        (b"[]", "wrong_shape"),
        (b"{}", "unknown_version"),
        (encoded(event("price.tick", event_version=2)), "unknown_version"),
        (encoded(event("price.tick", event_version=True)), "unknown_version"),
        (encoded(event("price.tick", event_version=None)), "unknown_version"),
        (encoded(event("unheard.of", event_version=2)), "unknown_version"),
        (encoded({**event("price.tick"), "type": None}), "wrong_shape"),
        (encoded({**event("price.tick"), "type": 3}), "wrong_shape"),
        (b" " * (MAX_EVENT_BYTES + 1), "too_large"),
    ],
)
def test_bad_events_are_filed_under_their_reason(body: bytes, reason: str) -> None:
    assert reason_of(body) == reason


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize(
    "change",
    [
        {"event_id": None}, {"event_id": "42"}, {"event_id": 42}, {"occurred_at": None}, {"occurred_at": "now"},
        {"occurred_at": "1970-01-01T00:00:00Z"}, {"sent_at": "soon"}, {"payload": None}, {"payload": []},
        {"payload": {}}, {"account_id": None, "internal_account_id": None},
        {"account_id": 1.5, "internal_account_id": ""},
        {"internal_account_id": "a\x00b"}, {"broker_login": []}, {"internal_account_id": "x" * 65},
    ],
)  # fmt: skip
def test_a_wrong_envelope(kind: str, change: Json) -> None:
    assert reason_of(encoded(event(kind, **change))) is BadEventReason.WRONG_SHAPE


@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_payload_that_lacks_any_required_field(kind: str) -> None:
    optional = {"margin_level", "leverage", "broker_deal_id", "reason", "open_time"}
    for name in PAYLOADS[kind].keys() - optional:
        payload = {key: value for key, value in PAYLOADS[kind].items() if key != name}
        assert reason_of(encoded(event(kind, payload=payload))) is BadEventReason.WRONG_SHAPE


@pytest.mark.parametrize(
    "change",
    [
        {"bid": 0},
        {"bid": -1},
        {"ask": "NaN"},
        {"bid": 1e300},
        {"symbol": ""},
        {"symbol": "x" * 65},
        {"symbol": "A\x00"},
    ],
)
def test_a_tick_that_cannot_be(change: Json) -> None:
    assert reason_of(encoded(event("price.tick", payload={**PRICE, **change}))) is BadEventReason.WRONG_SHAPE


def test_an_unreadable_position_makes_the_snapshot_bad_not_shorter() -> None:
    rows = [*PAYLOADS["positions.snapshot"]["open_positions"], {"position_id": "7"}]
    body = encoded(event("positions.snapshot", payload={"open_positions": rows}))
    assert reason_of(body) is BadEventReason.WRONG_SHAPE


def test_unknown_types_are_ignored_whatever_else_they_say() -> None:
    assert parsed(event("unheard.of")) == IgnoredEvent("unheard.of")
    assert parsed({"event_version": 1, "type": "x" * 500}) == IgnoredEvent("x" * 64)


ids = st.integers(1, 2**60) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,30}[A-Za-z0-9]", fullmatch=True)
prices = st.floats(0.0001, 1e9).map(lambda value: round(value, 6))
moments = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@given(
    account_id=ids,
    login=st.none() | st.just(0) | st.just("0") | ids,
    internal=st.none() | st.uuids().map(str),
    symbol=st.text(min_size=1, max_size=10),
    bid=prices,
    ask=prices,
    occurred_at=moments,
    time=moments,
)
def test_the_fast_pass_and_the_thorough_one_agree(
    account_id: object,
    login: object,
    internal: str | None,
    symbol: str,
    bid: float,
    ask: float,
    occurred_at: datetime,
    time: datetime,
) -> None:
    payload = {"symbol": symbol, "bid": bid, "ask": ask, "time": time.isoformat()}
    changes: dict[str, Any] = {
        "account_id": account_id,
        "broker_login": login,
        "internal_account_id": internal,
        "occurred_at": occurred_at.isoformat(),
    }
    candle = {"time": int(time.timestamp()), "open": bid, "high": ask, "low": bid, "close": ask, "tick_volume": 5}
    for kind, body in (
        ("price.tick", payload),
        ("candle.update", {"symbol": symbol, "timeframe": "M5", "candle": candle}),
    ):
        data = encoded(event(kind, **changes, payload=body))
        assert outcome_of(read_event, data) == outcome_of(events._read_slowly, data)


def outcome_of(read: Any, data: bytes) -> object:
    found = read(data)
    return found.reason if isinstance(found, BadEvent) else found
