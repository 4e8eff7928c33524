"""Sessions and reads: shapes, units, and errors instead of something empty."""

import math
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.target import Caller, Json, first, moment_s

MINUTE_S = 60


def test_a_session_opens_and_closes(caller: Caller) -> None:
    opened = caller.connect()
    assert opened["status"]
    assert opened["session_id"]
    assert caller.post("/disconnect").ok()["status"]
    caller.connect()


def test_account_figures_add_up(caller: Caller) -> None:
    figures = caller.get("/account-info").ok()
    balance, equity, margin = (float(figures[name]) for name in ("balance", "equity", "margin"))
    free = float(first(figures, "free_margin", "freeMargin", "margin_free"))
    assert all(map(math.isfinite, (balance, equity, margin, free)))
    assert free == pytest.approx(equity - margin, abs=0.02)
    assert len(figures["currency"]) >= 3
    assert {"margin_level", "marginLevel"} & set(figures)


def test_a_new_account_has_nothing_open(caller: Caller) -> None:
    book = caller.get("/open-positions").ok()
    assert book["open_positions"] == []
    assert book.get("pending_orders", []) == []


def test_symbol_info_says_how_it_trades(caller: Caller) -> None:
    info = caller.get("/symbol-info", symbol=caller.symbol).ok()
    assert info["symbol"] == caller.symbol
    assert isinstance(info["digits"], int)
    assert float(info["tick_size"]) == pytest.approx(10 ** -info["digits"])
    assert float(info["pip_size"]) >= float(info["tick_size"])
    assert float(info["contract_size"]) > 0
    assert 0 < float(info["lot_step"]) <= float(info["min_lot"]) <= float(info["max_lot"])
    assert any("currency" in name and info[name] for name in info)


def test_the_price_has_two_sides_and_a_time(caller: Caller) -> None:
    price = caller.get("/price", symbol=caller.symbol).ok()
    assert price["symbol"] == caller.symbol
    assert 0 < float(price["bid"]) <= float(price["ask"])
    assert moment_s(price, "time", "timestamp") <= time.time() + MINUTE_S


def _bars(answer: Json) -> list[float]:
    bars = answer["candles"]
    for bar in bars:
        opened, high, low, closed = (float(bar[name]) for name in ("open", "high", "low", "close"))
        assert 0 < low <= min(opened, closed) <= max(opened, closed) <= high
        assert float(first(bar, "volume", "tick_volume")) >= 0
    return [moment_s(bar, "time", "timestamp") for bar in bars]


@pytest.mark.parametrize(("timeframe", "seconds"), [("M1", 60), ("M5", 300), ("H1", 3600), ("D1", 86_400)])
def test_candles_by_count_are_the_last_ones_in_order(caller: Caller, timeframe: str, seconds: int) -> None:
    times = _bars(caller.get("/candles", symbol=caller.symbol, timeframe=timeframe, count=20).ok())
    assert 1 <= len(times) <= 20
    assert times == sorted(set(times))
    assert all(time_s % min(seconds, 3600) == 0 for time_s in times)
    assert times[-1] <= time.time()


def test_candles_between_two_times(caller: Caller) -> None:
    end = datetime.now(UTC)
    start = end - timedelta(days=7)
    query = {"start": start.isoformat(), "end": end.isoformat()}
    times = _bars(caller.get("/candles", symbol=caller.symbol, timeframe="H1", **query).ok())
    assert times
    assert times == sorted(set(times))
    assert start.timestamp() - 3600 <= times[0] <= times[-1] <= end.timestamp()


@pytest.mark.parametrize("path", ["/price", "/symbol-info", "/candles"])
def test_an_unknown_symbol_is_a_typed_error(caller: Caller, path: str) -> None:
    answer = caller.get(path, symbol="NOSUCHSYMBOL", timeframe="M1", count=1)
    assert answer.status in (400, 404, 422)
    assert answer.refusal() is not None


@pytest.mark.parametrize("path", ["/subscribe/price", "/subscribe/candles"])
def test_an_unknown_symbol_cannot_be_subscribed(caller: Caller, path: str) -> None:
    answer = caller.post(path, symbol="NOSUCHSYMBOL", timeframe="M1")
    assert answer.status in (400, 404, 422)
    assert answer.refusal() is not None


def test_an_unknown_timeframe_is_a_typed_error(caller: Caller) -> None:
    answer = caller.get("/candles", symbol=caller.symbol, timeframe="M7", count=1)
    assert answer.status in (400, 404, 422)
    assert answer.refusal() is not None


def test_the_life_of_a_position_that_never_was_is_a_typed_error(caller: Caller) -> None:
    answer = caller.get("/trade/sync-data", position_id="987654321987", symbol=caller.symbol)
    assert answer.status in (400, 404, 422)
    assert answer.refusal() is not None


@pytest.mark.parametrize("path", ["/account-info", "/open-positions", "/price", "/symbol-info", "/candles"])
def test_a_read_without_its_parameters_is_a_typed_error(caller: Caller, path: str) -> None:
    answer = caller.request("GET", path)
    assert answer.status in (400, 422)
    assert answer.refusal() is not None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"null"])
@pytest.mark.parametrize("path", ["/connect", "/trade/place", "/subscribe/price"])
def test_a_body_that_is_no_json_object_is_a_typed_error(caller: Caller, path: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    answer = caller.request("POST", path, data=body, headers=headers)
    assert answer.status in (400, 422)
    assert answer.refusal() is not None
