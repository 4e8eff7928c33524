"""The price socket."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from channels.layers import InMemoryChannelLayer
from django.conf import LazySettings

from connectors.errors import ConnectionError as CannotConnect
from connectors.errors import RequestRefusedError
from ctrader_app.broadcast.broadcaster import get_broadcaster
from ctrader_app.broadcast.groups import candle_group, price_group
from ctrader_app.broadcast.messages import candle_content, make
from ctrader_app.consumers.sockets import inbound, interest, prices
from ctrader_app.domain.facts import CandleFact
from ctrader_app.models import TradingAccount
from tests.consumers.conftest import PULSE, Open, lose_pulses
from tests.consumers.service import FakeService
from tests.support.waiting import wait_until_async

CANDLE: dict[str, Any] = {"symbol": "EURUSD", "timeframe": "M1", "time": 60, "close": 1.0}


def send_price(account: TradingAccount, symbol: str, bid: float, at: float) -> None:
    get_broadcaster().send(price_group(account.pk, symbol), make("price_tick", {"symbol": symbol, "bid": bid}, at))


def send_candle(account: TradingAccount, timeframe: str, close: float) -> None:
    content = {**CANDLE, "timeframe": timeframe, "close": close}
    get_broadcaster().send(candle_group(account.pk, "EURUSD", timeframe), make("candle_update", content))


async def test_a_new_tab_has_the_last_price_at_once_and_live_ones_after(
    account: TradingAccount, browse: Open, service: FakeService
) -> None:
    service.quoted_at = datetime(2026, 3, 1, 9, tzinfo=UTC)
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    first = await browser.frame()
    assert -0.01 < time.time() - service.quoted_at.timestamp() - first["data"].pop("age_s") < 20
    assert first == {
        "type": "live_price",
        "data": {
            "symbol": "EURUSD", "bid": 1.5, "ask": 1.6, "time": "2026-03-01T09:00:00.000Z",
            "timestamp": "2026-03-01T09:00:00.000Z", "stale": True,
        },
    }  # fmt: skip
    send_price(account, "EURUSD", 1.7, at=1.0)
    assert await browser.frame() == {"type": "live_price", "data": {"symbol": "EURUSD", "bid": 1.7}}


async def test_a_feed_that_is_silent_is_called_stale_with_no_stream_worker_alive(
    account: TradingAccount, browse: Open, service: FakeService, settings: LazySettings
) -> None:
    settings.CTRADER_STALE_AFTER_SECONDS = 1
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    assert "stale" not in (await browser.frame_of("live_price"))["data"]
    mark = (await browser.frame_of("live_price"))["data"]
    assert (mark["symbol"], mark["stale"]) == ("EURUSD", True)
    assert 1 < mark["age_s"] < 10
    service.quoted_at = datetime.now(UTC)
    late = (await (await browse(f"/ws/prices/{account.pk}/EURUSD/")).frame_of("live_price"))["data"]
    assert late["stale"] is True  # a young price, of a stream that will bring no younger one
    service.price_failure = CannotConnect("away")
    later = (await (await browse(f"/ws/prices/{account.pk}/EURUSD/")).frame_of("live_price"))["data"]
    assert later["stale"] is True
    send_price(account, "EURUSD", 1.7, at=time.time())
    assert (await browser.frame_of("live_price"))["data"]["bid"] == 1.7


@pytest.mark.parametrize("symbol", ["#AAPL", "BTC/USD", "US500.cash", "GER40+", "eurusd", "A B"])
async def test_any_symbol_finds_its_group(
    symbol: str, account: TradingAccount, browse: Open, service: FakeService
) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/{quote(symbol, safe='')}/")
    assert (await browser.frame())["data"]["symbol"] == symbol
    send_price(account, symbol.upper(), 2.0, at=1.0)
    assert (await browser.frame())["data"]["bid"] == 2.0
    await wait_until_async(lambda: service.running == {(str(account.pk), symbol, "")})


@pytest.mark.parametrize("symbol", ["%20", "A" * 65, "%00"])
async def test_a_symbol_that_cannot_be_is_refused(
    symbol: str, account: TradingAccount, browse: Open, service: FakeService
) -> None:
    assert await (await browse(f"/ws/prices/{account.pk}/{symbol}/")).close_code() == 4003
    assert service.calls == []


async def test_a_price_never_goes_back(account: TradingAccount, browse: Open, service: FakeService) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame()
    for bid, at in ((2.0, 20.0), (1.0, 10.0), (3.0, 30.0)):
        send_price(account, "EURUSD", bid, at)
        await asyncio.to_thread(get_broadcaster().flush)
    assert [(await browser.frame())["data"]["bid"] for _ in range(2)] == [2.0, 3.0]


async def test_a_message_of_somebody_else_is_understood(
    account: TradingAccount, browse: Open, service: FakeService, layer: InMemoryChannelLayer
) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame()
    group = price_group(account.pk, "EURUSD")
    await layer.group_send(group, {"type": "price_tick"})
    await layer.group_send(group, {"type": "no_such_type", "price": {}})
    await layer.group_send(group, {"type": "price_tick", "price": {"symbol": "EURUSD", "bid": 9}})
    assert await browser.frame() == {"type": "live_price", "data": {"symbol": "EURUSD", "bid": 9}}


@pytest.mark.parametrize("verb", ["type", "action"])
async def test_bars_come_for_the_timeframes_that_were_asked_for(
    verb: str, account: TradingAccount, browse: Open, service: FakeService
) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame()
    await browser.say({verb: "subscribe", "timeframe": "m1"})
    await wait_until_async(lambda: (str(account.pk), "EURUSD", "M1") in service.running)
    send_candle(account, "M1", 1.1)
    assert (await browser.frame())["data"]["close"] == 1.1
    await browser.say({verb: "subscribe", "timeframe": "M1"})
    await browser.say({verb: "subscribe", "timeframe": "H4"})
    await wait_until_async(lambda: (str(account.pk), "EURUSD", "H4") in service.running)
    await browser.say({verb: "unsubscribe", "timeframe": "M1"})
    await wait_until_async(lambda: (str(account.pk), "EURUSD", "M1") not in service.running)
    send_candle(account, "M1", 1.2)
    send_candle(account, "H4", 1.3)
    assert (await browser.frame())["data"]["close"] == 1.3
    await browser.say({verb: "unsubscribe"})
    await wait_until_async(lambda: service.running == {(str(account.pk), "EURUSD", "")})
    assert service.count("start") == 3


def bar(number: int, close: str) -> CandleFact:
    """The bar that opened at so many minutes after 1970."""
    return CandleFact(60 * number, Decimal(1), Decimal(2), Decimal("0.5"), Decimal(close), Decimal(7))


async def test_a_new_subscription_has_the_last_bars_at_once(
    account: TradingAccount, browse: Open, service: FakeService
) -> None:
    service.bars = (bar(1, "1.1"), bar(2, "1.2"), bar(3, "1.3"))
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame_of("live_price")
    await browser.say({"type": "subscribe", "timeframe": "M1"})
    frames = [await browser.frame() for _ in range(2)]
    assert frames[0] == {
        "type": "new_candle",
        "data": {
            "symbol": "EURUSD", "timeframe": "M1", "time": 120, "timestamp": "1970-01-01T00:02:00.000Z", "open": 1.0,
            "high": 2.0, "low": 0.5, "close": 1.2, "tick_volume": 7.0, "volume": 7.0,
        },
    }  # fmt: skip
    assert frames[1]["data"]["close"] == 1.3
    # Whoever comes back to a timeframe has missed what went by.
    await browser.say({"type": "unsubscribe", "timeframe": "M1"})
    service.bars = (bar(2, "1.2"), bar(3, "1.4"))
    await browser.say({"type": "subscribe", "timeframe": "M1"})
    assert [(await browser.frame())["data"]["close"] for _ in range(2)] == [1.2, 1.4]


async def test_the_last_bars_never_follow_a_live_state_of_theirs(
    account: TradingAccount, browse: Open, service: FakeService
) -> None:
    service.bars = (bar(2, "1.2"), bar(3, "1.3"))
    service.before["candles"] = threading.Event()
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame_of("live_price")
    await browser.say({"type": "subscribe", "timeframe": "M1"})
    await browser.joined()
    live = candle_content("EURUSD", "M1", 180, (1.0, 2.0, 0.5, 1.9), 8.0)
    get_broadcaster().send(candle_group(account.pk, "EURUSD", "M1"), make("candle_update", live, 181.0))
    assert (await browser.frame_of("new_candle"))["data"]["close"] == 1.9
    service.before["candles"].set()
    assert (await browser.frame_of("new_candle"))["data"]["close"] == 1.2
    await browser.say({"type": "ping"})
    assert (await browser.frame())["type"] == "pong"


async def test_without_last_bars_the_live_ones_come(
    account: TradingAccount, browse: Open, service: FakeService
) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame_of("live_price")
    service.price_failure = CannotConnect("away")
    await browser.say({"type": "subscribe", "timeframe": "M1"})
    await wait_until_async(lambda: (str(account.pk), "EURUSD", "M1") in service.running)
    send_candle(account, "M1", 1.1)
    assert (await browser.frame())["data"]["close"] == 1.1


async def test_what_was_lost_is_fetched(
    account: TradingAccount,
    browse: Open,
    service: FakeService,
    layer: InMemoryChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prices, "SPEAKS_WITHIN_S", 0.05)
    service.bars = (bar(2, "1.2"), bar(3, "1.3"))
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame_of("live_price")
    await browser.say({"type": "subscribe", "timeframe": "M1"})
    assert [(await browser.frame())["data"]["close"] for _ in range(2)] == [1.2, 1.3]
    service.bars = (bar(2, "1.25"), bar(3, "1.35"), bar(4, "1.4"))
    await lose_pulses(layer)
    assert (await browser.frame())["data"]["bid"] == 1.5
    assert [(await browser.frame())["data"]["close"] for _ in range(2)] == [1.35, 1.4]


async def test_a_price_that_goes_on_after_a_gap_is_not_fetched(
    account: TradingAccount,
    browse: Open,
    service: FakeService,
    layer: InMemoryChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prices, "SPEAKS_WITHIN_S", 0.5)
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame_of("live_price")
    reads = service.reads
    await lose_pulses(layer)
    await asyncio.sleep(0.1)
    send_price(account, "EURUSD", 4.0, at=1.0)
    assert (await browser.frame())["data"]["bid"] == 4.0
    await asyncio.sleep(1.0)
    assert service.reads == reads


BAD_MESSAGES = [
    ("{", "MALFORMED"),
    ("[]", "MALFORMED"),
    ('"subscribe"', "MALFORMED"),
    ("[" * 4000, "MALFORMED"),
    ("{}", "UNKNOWN_TYPE"),
    ('{"type": "trade"}', "UNKNOWN_TYPE"),
    ('{"type": {"a": 1}}', "UNKNOWN_TYPE"),
    ('{"type": "subscribe"}', "INVALID_TIMEFRAME"),
    ('{"type": "subscribe", "timeframe": 5}', "INVALID_TIMEFRAME"),
    ('{"type": "subscribe", "timeframe": "M1; DROP TABLE"}', "INVALID_TIMEFRAME"),
    ('{"type": "unsubscribe", "timeframe": ""}', "INVALID_TIMEFRAME"),
    (json.dumps({"type": "x" * 5000}), "TOO_LARGE"),
]


@pytest.mark.parametrize(("text", "code"), BAD_MESSAGES)
async def test_a_message_that_makes_no_sense_is_answered(
    text: str, code: str, account: TradingAccount, browse: Open, service: FakeService
) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame()
    await browser.say_raw(text)
    error = await browser.frame()
    assert (error["type"], error["code"]) == ("error", code)
    assert error["message"]
    await browser.say_raw(data=b"\x00\x01")
    assert (await browser.frame())["code"] == "NOT_TEXT"
    await browser.say({"type": "ping"})
    assert (await browser.frame())["type"] == "pong"


async def test_a_socket_has_so_many_timeframes(account: TradingAccount, browse: Open, service: FakeService) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    for number in range(17):
        await browser.say({"type": "subscribe", "timeframe": f"X{number}"})
    assert (await browser.frame_of("error"))["code"] == "TOO_MANY"


async def test_whoever_says_too_much_is_warned_then_closed(
    account: TradingAccount, browse: Open, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "BURST", 5)
    monkeypatch.setattr(inbound, "RATE_PER_S", 0.001)
    monkeypatch.setattr(inbound, "PATIENCE", 5)
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame()
    for _ in range(10):
        await browser.say({"type": "ping"})
    assert (await browser.frame_of("error"))["code"] == "RATE_LIMITED"
    await browser.say({"type": "ping"})
    assert await browser.close_code() == 1008


async def test_a_failed_subscription_is_told_once_and_retried(
    account: TradingAccount, browse: Open, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interest, "FIRST_RETRY_S", 0.02)
    service.failure = service.price_failure = CannotConnect("the service is away")
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    assert await browser.frame() == {
        "type": "error", "code": "CONNECTION_ERROR", "message": "the service is away", "symbol": "EURUSD",
    }  # fmt: skip
    await wait_until_async(lambda: service.count("start") >= 3)
    late = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    assert (await late.frame())["code"] == "CONNECTION_ERROR"
    service.failure = None
    await wait_until_async(lambda: bool(service.running))
    send_price(account, "EURUSD", 4.0, at=1.0)
    assert (await browser.frame())["data"]["bid"] == 4.0


async def test_a_refused_timeframe_leaves_the_prices_alone(
    account: TradingAccount, browse: Open, service: FakeService
) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    await browser.frame()
    await wait_until_async(lambda: bool(service.running))
    service.failure = RequestRefusedError("no such timeframe", code="UNKNOWN_TIMEFRAME")
    await browser.say({"type": "subscribe", "timeframe": "M7"})
    error = await browser.frame()
    assert (error["code"], error["timeframe"]) == ("UNKNOWN_TIMEFRAME", "M7")
    send_price(account, "EURUSD", 4.0, at=1.0)
    assert (await browser.frame())["data"]["bid"] == 4.0


async def test_many_tabs_are_one_membership_and_one_subscription(
    account: TradingAccount, browse: Open, service: FakeService, layer: InMemoryChannelLayer
) -> None:
    tabs = [await browse(f"/ws/prices/{account.pk}/EURUSD/") for _ in range(20)]
    for tab in tabs:
        await tab.frame()
    sizes = {group: len(members) for group, members in layer.groups.items() if not group.startswith(PULSE)}
    assert sizes == {price_group(account.pk, "EURUSD"): 1}
    assert service.calls == [("start", (str(account.pk), "EURUSD", ""))]
    send_price(account, "EURUSD", 4.0, at=1.0)
    assert [(await tab.frame())["data"]["bid"] for tab in tabs] == [4.0] * 20
    for tab in tabs[1:]:
        await tab.leave()
    send_price(account, "EURUSD", 5.0, at=2.0)
    assert (await tabs[0].frame())["data"]["bid"] == 5.0
    assert service.count("stop") == 0
    await tabs[0].leave()
    assert service.running == set()
    assert layer.groups == {}
    assert service.count("start") == service.count("stop") == 1
