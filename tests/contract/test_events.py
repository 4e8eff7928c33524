"""Events: the envelope, the payloads, and that only what was asked for is streamed."""

import time
import uuid
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.contract.listening import PATTERNS, Heard, Listener
from tests.contract.target import Caller, Target, direction, first, levels, moment_s, open_price, position_id

TYPES = ("price.tick", "candle.update", "positions.snapshot", "position.closed", "account.info")
GRACE_S = 1.0
"""For what was under way when a stream was stopped."""


@pytest.fixture(autouse=True)
def _envelopes(listener: Listener) -> Iterator[None]:
    """Whatever a test hears has to be a good envelope."""
    yield
    assert listener.heard
    for heard in listener.heard:
        _check_envelope(heard)
    identities = [heard.envelope["event_id"] for heard in listener.heard]
    assert len(set(identities)) == len(identities)


def _check_envelope(heard: Heard) -> None:
    envelope = heard.envelope
    uuid.UUID(envelope["event_id"])
    assert envelope["event_version"] == 1
    assert (envelope["source"], envelope["platform"]) == ("ctrader", "cTrader")
    assert heard.type in TYPES
    assert isinstance(heard.payload, dict)
    assert envelope["account_id"]
    occurred, sent = (datetime.fromisoformat(envelope[name]) for name in ("occurred_at", "sent_at"))
    assert occurred.tzinfo is not None
    assert sent.tzinfo is not None
    assert sent.timestamp() >= occurred.timestamp() - GRACE_S
    assert abs(sent.timestamp() - time.time()) < 120
    words = heard.routing_key.split(".")
    assert ".".join(words[-2:]) == heard.type
    assert len(words) == 2 or words[0] == "account"
    assert any(words[0] == pattern.split(".")[0] for pattern in PATTERNS)


def test_ticks_come_once_they_were_subscribed_to(caller: Caller, listener: Listener) -> None:
    caller.post("/subscribe/price", symbol=caller.symbol).ok()
    try:
        for heard in listener.wait_for("price.tick", caller.account_id, count=3):
            assert heard.payload["symbol"] == caller.symbol
            assert 0 < float(heard.payload["bid"]) <= float(heard.payload["ask"])
            assert abs(moment_s(heard.payload, "time", "timestamp") - time.time()) < 120
    finally:
        caller.post("/unsubscribe/price", symbol=caller.symbol).ok()


def test_only_what_was_subscribed_to_is_streamed(caller: Caller, listener: Listener, target: Target) -> None:
    caller.post("/subscribe/price", symbol=caller.symbol).ok()
    listener.wait_for("price.tick", caller.account_id, lambda payload: payload["symbol"] == caller.symbol)
    caller.post("/unsubscribe/price", symbol=caller.symbol).ok()
    stopped_s = time.time()
    # The other symbol's ticks are the clock: while they come, the first symbol's could.
    caller.post("/subscribe/price", symbol=target.other_symbol).ok()
    try:
        listener.wait_for(
            "price.tick",
            caller.account_id,
            lambda payload: (
                payload["symbol"] == target.other_symbol
                and moment_s(payload, "time", "timestamp") > stopped_s + 2 * GRACE_S
            ),
        )
    finally:
        caller.post("/unsubscribe/price", symbol=target.other_symbol).ok()
    mine = [heard for heard in listener.heard if heard.is_about(caller.account_id)]
    late = [
        heard
        for heard in mine
        if heard.type == "price.tick"
        and heard.payload["symbol"] == caller.symbol
        and datetime.fromisoformat(heard.envelope["occurred_at"]).timestamp() > stopped_s + GRACE_S
    ]
    assert late == []
    assert {heard.payload["symbol"] for heard in mine if heard.type == "price.tick"} <= {
        caller.symbol,
        target.other_symbol,
    }
    assert not [heard for heard in mine if heard.type == "candle.update"]


def test_bars_come_once_they_were_subscribed_to(caller: Caller, listener: Listener) -> None:
    caller.post("/subscribe/candles", symbol=caller.symbol, timeframe="M1").ok()
    try:
        (heard,) = listener.wait_for("candle.update", caller.account_id)
        assert (heard.payload["symbol"], heard.payload["timeframe"]) == (caller.symbol, "M1")
        bar = heard.payload["candle"]
        opened_s = moment_s(bar, "time", "timestamp")
        assert opened_s % 60 == 0
        assert abs(opened_s - time.time()) < 180
        assert 0 < float(bar["low"]) <= float(bar["open"]) <= float(bar["high"])
        assert float(bar["low"]) <= float(bar["close"]) <= float(bar["high"])
        assert float(first(bar, "volume", "tick_volume")) >= 0
    finally:
        caller.post("/unsubscribe/candles", symbol=caller.symbol, timeframe="M1").ok()


def test_a_fill_is_told_by_a_snapshot_and_by_figures(caller: Caller, listener: Listener) -> None:
    placed = caller.place(stop_loss=round(caller.bid() * 0.9, 4)).ok()
    identity = str(placed["position_id"])
    (snapshot,) = listener.wait_for(
        "positions.snapshot",
        caller.account_id,
        lambda payload: identity in map(position_id, payload["open_positions"]),
    )
    row = next(row for row in snapshot.payload["open_positions"] if position_id(row) == identity)
    assert (row["symbol"], direction(row)) == (caller.symbol, "BUY")
    assert open_price(row) == pytest.approx(float(placed["price"]))
    assert levels(row)[0] is not None
    (figures,) = listener.wait_for("account.info", caller.account_id, lambda payload: float(payload["margin"]) > 0)
    assert float(figures.payload["balance"]) > 0
    assert float(figures.payload["equity"]) > 0
    assert float(first(figures.payload, "free_margin", "freeMargin", "margin_free")) > 0
    assert figures.payload["currency"]


def test_a_closure_is_told_with_its_figures(caller: Caller, listener: Listener) -> None:
    placed = caller.place().ok()
    identity = str(placed["position_id"])
    closed = caller.close(identity, 0.1).ok()
    (heard,) = listener.wait_for(
        "position.closed", caller.account_id, lambda payload: str(payload["position_id"]) == identity
    )
    said = heard.payload
    assert (said["symbol"], said["direction"]) == (caller.symbol, "BUY")
    assert float(said["volume"]) == pytest.approx(0.1)
    assert float(said["open_price"]) == pytest.approx(float(placed["price"]))
    assert float(said["close_price"]) == pytest.approx(float(closed["close_price"]))
    assert moment_s(said, "open_time") <= moment_s(said, "close_time")
    assert float(said["commission"]) <= 0
    assert {"profit", "swap"} <= set(said)
    listener.wait_for(
        "positions.snapshot",
        caller.account_id,
        lambda payload: identity not in map(position_id, payload["open_positions"]),
    )


def test_an_account_with_a_login_is_named_so_that_it_is_found(target: Target, listener: Listener) -> None:
    if target.account_id is not None:
        pytest.skip("the service was given with one account")
    login, internal = f"9{uuid.uuid4().int % 10**8}", str(uuid.uuid4())
    with Caller.opened(target, login) as caller:
        caller.connect(internal)
        caller.place().ok()
        (heard,) = listener.wait_for("positions.snapshot", login, lambda payload: bool(payload["open_positions"]))
        names = {heard.envelope["account_id"], heard.envelope.get("internal_account_id", internal)}
        assert names <= {login, internal}
