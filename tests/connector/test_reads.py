"""Reads: a value, or an error, never something empty that was not said."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from connectors.errors import AuthenticationError, ConnectionError, ConnectorError, RequestRefusedError  # noqa: A004
from ctrader_app.connector import AccountRef, CTraderClient
from ctrader_app.connector.retry import ATTEMPTS, MAX_WAIT_S, ReadBudget
from ctrader_app.domain.facts import OpenBook
from tests.connector.conftest import READ_TIMEOUT_S, REF, SECRET, TOKEN, config_of
from tests.connector.scripted import (
    Behaviour,
    ScriptedServer,
    close_after_reading,
    close_before_reading,
    raw_answer,
    reply,
    reply_by,
    reset_after_reading,
    send_raw,
    silence,
)
from tests.support.ports import free_port
from tests.wire.samples import ACCOUNT, BOOK, CANDLES, PRICE, SYMBOL, SYNC

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
CONNECTED = {"status": "connected", "session_id": "s-1"}

Call = Callable[[CTraderClient], object]

READS: dict[str, tuple[Call, object, str, dict[str, str]]] = {
    "account_info": (lambda c: c.account_info(REF), ACCOUNT, "/account-info", {}),
    "open_book": (lambda c: c.open_book(REF), BOOK, "/open-positions", {}),
    "symbol_info": (lambda c: c.symbol_info(REF, "EURUSD"), SYMBOL, "/symbol-info", {"symbol": "EURUSD"}),
    "price": (lambda c: c.price(REF, "EURUSD"), PRICE, "/price", {"symbol": "EURUSD"}),
    "candles by count": (
        lambda c: c.candles(REF, "EURUSD", "M1", count=3),
        CANDLES,
        "/candles",
        {"symbol": "EURUSD", "timeframe": "M1", "count": "3"},
    ),
    "candles between": (
        lambda c: c.candles(REF, "#AAPL & Co", "H1", start=AT, end=AT.astimezone(timezone(timedelta(hours=2)))),
        CANDLES,
        "/candles",
        {"symbol": "#AAPL & Co", "timeframe": "H1", "start": "2026-03-01T10:00:00Z", "end": "2026-03-01T10:00:00Z"},
    ),
    "sync_data": (
        lambda c: c.sync_data(REF, "101", "EURUSD"),
        SYNC,
        "/trade/sync-data",
        {"position_id": "101", "symbol": "EURUSD"},
    ),
}

POSTS: dict[str, tuple[Call, str, dict[str, str]]] = {
    "disconnect": (lambda c: c.disconnect(REF), "/disconnect", {}),
    "subscribe_price": (lambda c: c.subscribe_price(REF, "EURUSD"), "/subscribe/price", {"symbol": "EURUSD"}),
    "unsubscribe_price": (lambda c: c.unsubscribe_price(REF, "EURUSD"), "/unsubscribe/price", {"symbol": "EURUSD"}),
    "subscribe_candles": (
        lambda c: c.subscribe_candles(REF, "EURUSD", "M1"),
        "/subscribe/candles",
        {"symbol": "EURUSD", "timeframe": "M1"},
    ),
    "unsubscribe_candles": (
        lambda c: c.unsubscribe_candles(REF, "EURUSD", "M1"),
        "/unsubscribe/candles",
        {"symbol": "EURUSD", "timeframe": "M1"},
    ),
}


def raised_by(client: CTraderClient) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        client.open_book(REF)
    return caught.value


@pytest.mark.parametrize("name", READS)
def test_reads(server: ScriptedServer, client: CTraderClient, name: str) -> None:
    call, answer, path, query = READS[name]
    server.then(reply(200, answer))

    assert call(client)

    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("GET", path, b"")
    assert request.query == {"account_id": REF.wire_id, **query}
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert "idempotency-key" not in request.headers


@pytest.mark.parametrize("name", POSTS)
def test_sessions_and_streams(server: ScriptedServer, client: CTraderClient, name: str) -> None:
    call, path, fields = POSTS[name]
    server.then(reply(503), reply(200, {"status": "ok"}))

    call(client)

    assert [request.path for request in server.requests] == [path, path]
    assert server.requests[0].json == {"account_id": REF.wire_id, **fields}
    assert "idempotency-key" not in server.requests[0].headers
    server.then(*[reply(200, {"status": "failed", "message": "no"})])
    with pytest.raises(RequestRefusedError, match="no"):
        call(client)


def test_connecting(server: ScriptedServer, client: CTraderClient) -> None:
    server.then(reply(500), reply(200, CONNECTED), reply(200, {"status": "ok"}), reply(401, {"error": "bad token"}))
    assert client.connect(REF) == "s-1"
    assert client.connect(AccountRef("1", "u")) == ""
    with pytest.raises(AuthenticationError, match="bad token"):
        client.connect(REF)
    assert server.requests[1].json == {
        "account_id": REF.wire_id,
        "internal_account_id": REF.internal_id,
        "access_token": TOKEN,
    }
    assert server.requests[2].json == {"account_id": "1", "internal_account_id": "u"}
    assert len(server.requests) == 4


PASSING: list[tuple[str, Behaviour]] = [
    ("closed before it was read", close_before_reading),
    ("closed after it was read", close_after_reading),
    ("reset", reset_after_reading),
    ("no answer", silence),
    ("cut", send_raw(raw_answer(200, BOOK)[:-5])),
    ("length too great", send_raw(raw_answer(200, BOOK, length=99999))),
    ("no HTTP", send_raw(b"hello\r\n\r\n")),
    ("empty", reply(200)),
    ("HTML", reply(200, b"<html>busy</html>")),
    ("{}", reply(200, {})),
    ("[]", reply(200, [])),
    ("null", reply(200, b"null")),
    ("a bad row", reply(200, {"open_positions": [{}]})),
    ("204", reply(204)),
    ("302", reply(302, b"", Location="/open-positions")),
    *[(str(status), reply(status, BOOK)) for status in (408, 429, 500, 502, 503, 504)],
]


@pytest.mark.parametrize("behaviour", [row[1] for row in PASSING], ids=[row[0] for row in PASSING])
def test_what_may_pass_is_asked_again_and_then_raised(
    server: ScriptedServer, client: CTraderClient, pauses: list[float], behaviour: Behaviour
) -> None:
    server.then(behaviour, reply(200, BOOK))
    assert isinstance(client.open_book(REF), OpenBook)
    assert len(pauses) == 1

    server.then(*[behaviour] * ATTEMPTS)
    error = raised_by(client)

    assert type(error) is ConnectionError
    assert len(pauses) == ATTEMPTS
    assert all(0 <= pause <= 0.2 for pause in pauses)


def test_an_address_where_nobody_listens() -> None:
    pauses: list[float] = []
    with CTraderClient(config_of(f"http://127.0.0.1:{free_port()}"), pause=pauses.append) as client:
        error = raised_by(client)
        assert not client.healthy()
    assert type(error) is ConnectionError
    assert len(pauses) == ATTEMPTS - 1


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_is_final_and_keeps_its_code(server: ScriptedServer, client: CTraderClient, status: int) -> None:
    server.then(reply(status, {"error": {"code": "UNKNOWN_SYMBOL", "message": "no such symbol"}}), reply(status))
    for code in ("UNKNOWN_SYMBOL", f"HTTP_{status}"):
        error = raised_by(client)
        assert type(error) is RequestRefusedError
        assert error.code == code
    assert len(server.requests) == 2


def test_a_rejection_inside_a_200_is_a_refusal(server: ScriptedServer, client: CTraderClient) -> None:
    server.then(reply(200, {"errorCode": "UNKNOWN_SYMBOL", "description": f"no {TOKEN}"}))
    error = raised_by(client)
    assert type(error) is RequestRefusedError
    assert (error.code, error.message) == ("UNKNOWN_SYMBOL", "no ***")


@pytest.mark.parametrize("status", [401, 403])
def test_after_401_it_connects_and_asks_once_more(server: ScriptedServer, client: CTraderClient, status: int) -> None:
    server.then(reply(status), reply(200, CONNECTED), reply(200, BOOK))
    assert isinstance(client.open_book(REF), OpenBook)
    assert [request.path for request in server.requests] == ["/open-positions", "/connect", "/open-positions"]


@pytest.mark.parametrize(
    ("script", "error", "requests"),
    [
        ([reply(401), reply(200, CONNECTED), reply(401, {"error": "still not"})], AuthenticationError, 3),
        ([reply(403), reply(401)], AuthenticationError, 2),
        ([reply(403), reply(422, {"error": "bad token"})], AuthenticationError, 2),
        ([reply(401), *[reply(500)] * ATTEMPTS], ConnectionError, 1 + ATTEMPTS),
        ([reply(401), reply(200, CONNECTED), *[reply(500)] * ATTEMPTS], ConnectionError, 2 + ATTEMPTS),
        ([reply(401), reply(200, CONNECTED), reply(404)], RequestRefusedError, 3),
    ],
)
def test_what_follows_a_401(
    server: ScriptedServer,
    client: CTraderClient,
    script: list[Behaviour],
    error: type[ConnectorError],
    requests: int,
) -> None:
    server.then(*script)
    assert type(raised_by(client)) is error
    assert len(server.requests) == requests


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_is_kept_within_bounds(
    server: ScriptedServer, client: CTraderClient, pauses: list[float], status: int
) -> None:
    server.then(reply(status, b"", Retry_After="2"), reply(200, BOOK))
    assert isinstance(client.open_book(REF), OpenBook)
    assert pauses == [2.0]

    server.then(reply(status, {"error": {"code": "SLOW"}}, Retry_After=str(MAX_WAIT_S + 1)))
    error = raised_by(client)
    assert type(error) is ConnectionError
    assert error.code == "SLOW"
    assert pauses == [2.0]


def test_a_read_ends_in_time_whatever_the_service_does(server: ScriptedServer) -> None:
    server.then(*[silence] * ATTEMPTS)
    with CTraderClient(config_of(server.url)) as client:
        began = time.monotonic()
        assert type(raised_by(client)) is ConnectionError
    assert time.monotonic() - began < ATTEMPTS * (READ_TIMEOUT_S + 0.5)


def test_the_budget_ends_by_attempts_and_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    budget = ReadBudget(10.0)
    assert budget.remaining_s == 15.0
    assert budget.next_delay_s(None) is not None
    now += 14.0
    assert budget.next_delay_s(2.0) is None
    assert budget.remaining_s == 1.0
    now += 14.0
    assert budget.remaining_s > 0
    assert ReadBudget(60.0).remaining_s == 60.0
    fresh = ReadBudget(10.0)
    assert [fresh.next_delay_s(0.0) for _ in range(ATTEMPTS)] == [0.0] * (ATTEMPTS - 1) + [None]


def test_health(server: ScriptedServer, client: CTraderClient) -> None:
    server.then(reply(200, {"status": "ok"}), reply(404), reply(503), close_after_reading, silence)
    assert [client.healthy() for _ in range(5)] == [True, True, False, False, False]
    assert {request.path for request in server.requests} == {"/healthz"}


def test_answers_are_exact(server: ScriptedServer, client: CTraderClient) -> None:
    body = b'{"symbol":"EURUSD","bid":1.1000000001,"ask":"1.20","time":1772359200}'
    server.then(reply(200, body))
    price = client.price(REF, "EURUSD")
    assert (price.bid, price.ask, price.time) == (Decimal("1.1000000001"), Decimal("1.20"), AT)


def test_a_service_that_answers_by_what_it_is_asked(server: ScriptedServer, client: CTraderClient) -> None:
    server.default = reply_by(lambda request: {**PRICE, "symbol": request.query["symbol"]})
    for symbol in ("EURUSD", "#AAPL", "BTC/USD", "US500.cash", "GER40+", "a&b=c", "\u20ac%20"):
        assert client.price(REF, symbol).symbol == symbol
