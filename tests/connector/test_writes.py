"""One write, one request, one outcome: every row of the two tables, over real sockets."""

import json
import socket
import time
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import unquote
from uuid import UUID

import pytest

from ctrader_app.connector import CTraderClient, connections
from ctrader_app.connector.evidence import MAX_EVIDENCE_CHARS
from ctrader_app.domain.facts import Cancelled, CancelStatus, Closed, Placed, PlaceStatus, Protected
from ctrader_app.domain.operations import Kind
from ctrader_app.domain.outcomes import AUTHENTICATION_FAILED, Confirmed, NotSent, Outcome, Refused, Unknown
from tests.connector.conftest import READ_TIMEOUT_S, REF, SECRET, TOKEN, config_of
from tests.connector.scripted import (
    Behaviour,
    Exchange,
    ScriptedServer,
    close_after_reading,
    close_before_reading,
    drip,
    raw_answer,
    reply,
    reset_after_reading,
    send_raw,
    silence,
)
from tests.support.ports import free_port
from tests.support.waiting import wait_until

PLACE: Mapping[str, object] = {
    "symbol": "EURUSD",
    "direction": "BUY",
    "volume": "0.10",
    "order_type": "MARKET",
    "client_order_id": "c-1",
}
PLACED = {"order_id": "5", "status": "filled", "volume": 0.1, "client_order_id": "c-1", "deal_id": 7, "position_id": 6}
CONFIRMED = Confirmed(Placed("5", PlaceStatus.FILLED, Decimal("0.1"), "c-1", "6", "7", None))
CONNECTED = {"status": "connected", "session_id": "s-1"}


def place(client: CTraderClient, key: str = "key-1") -> Outcome:
    return client.write(REF, Kind.PLACE, PLACE, key)


def error(code: str, message: str = "because") -> dict[str, dict[str, str]]:
    return {"error": {"code": code, "message": message}}


# -- answered ------------------------------------------------------------------------------------------------

ANSWERS: list[tuple[str, Behaviour, Outcome | type[Outcome]]] = [
    ("200", reply(200, PLACED), CONFIRMED),
    ("201", reply(201, PLACED), CONFIRMED),
    ("200 rejected", reply(200, {"status": "rejected", **error("NO_MONEY")}), Refused("NO_MONEY", "because")),
    (
        "200 nested errorCode",
        reply(200, {"error": {"errorCode": "CLOSED"}}),
        Refused("CLOSED", "the broker rejected it"),
    ),
    ("200 filled, with an error", reply(200, {**PLACED, **error("SL")}), Unknown),
    ("200 of another order", reply(200, {**PLACED, "client_order_id": "c-2"}), Unknown),
    ("200 without an id", reply(200, {"status": "filled"}), Unknown),
    ("200 of unknown status", reply(200, {**PLACED, "status": "accepted"}), Unknown),
    ("200 empty", reply(200), Unknown),
    ("200 {}", reply(200, {}), Unknown),
    ("200 HTML", reply(200, b"<html>welcome</html>"), Unknown),
    ("200 not UTF-8", reply(200, b"\xff\xfe"), Unknown),
    ("200 in progress", reply(200, error("IDEMPOTENCY_IN_PROGRESS")), Unknown),
    ("202 empty", reply(202), Unknown),
    ("202 pending", reply(202, {**PLACED, "status": "pending"}), Unknown),
    ("204", reply(204), Unknown),
    *[(f"{status}", reply(status, error("BAD")), Refused("BAD", "because")) for status in (400, 404, 409, 422)],
    ("422 without a body", reply(422), Refused("HTTP_422", "the service answered 422")),
    ("400 as FastAPI has it", reply(400, {"detail": "no such symbol"}), Refused("HTTP_400", "no such symbol")),
    ("409 in progress", reply(409, error("IDEMPOTENCY_IN_PROGRESS")), Unknown),
    ("409 in progress, bare", reply(409, {"error": "IDEMPOTENCY_IN_PROGRESS"}), Unknown),
    ("429 with a wait", reply(429, error("SLOW"), Retry_After="3"), NotSent("SLOW", 3.0)),
    ("503 with a wait", reply(503, b"", Retry_After="2"), NotSent("HTTP_503", 2.0)),
    ("503 with an absurd wait", reply(503, b"", Retry_After="99999999"), NotSent("HTTP_503", 3600.0)),
    ("429 without a wait", reply(429, error("SLOW")), Unknown),
    ("503 without a wait", reply(503), Unknown),
    ("503 with an unreadable wait", reply(503, b"", Retry_After="soon"), Unknown),
    *[(f"{status}", reply(status, error("OOPS")), Unknown) for status in (402, 405, 408, 410, 418, 500, 502, 504, 599)],
    *[
        (f"{status} redirect", reply(status, b"", Location="/elsewhere"), Unknown)
        for status in (301, 302, 303, 307, 308)
    ],
]


@pytest.mark.parametrize(("behaviour", "expected"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_what_an_answer_proves(
    server: ScriptedServer, client: CTraderClient, behaviour: Behaviour, expected: Outcome | type[Outcome]
) -> None:
    server.then(behaviour)

    outcome = place(client)

    assert outcome == expected if not isinstance(expected, type) else isinstance(outcome, expected)
    assert [request.path for request in server.requests] == ["/trade/place"]


@pytest.mark.parametrize(
    ("kind", "body", "path", "answer", "fact"),
    [
        (
            Kind.CLOSE,
            {"position_id": "6", "symbol": "EURUSD", "volume": "0.1", "client_order_id": "c-2"},
            "/trade/close",
            {"order_id": 8, "deal_id": 9, "close_price": 1.2, "closed_volume": 0.1, "remaining_volume": 0.0},
            Closed("8", "9", Decimal("1.2"), Decimal("0.1"), Decimal(0)),
        ),
        (
            Kind.MODIFY,
            {"position_id": "6", "symbol": "EURUSD", "stop_loss": "1.1", "take_profit": None},
            "/trade/modify-protection",
            {"position_id": 6, "stop_loss": 1.1, "take_profit": None},
            Protected("6", Decimal("1.1"), None),
        ),
        (
            Kind.CANCEL,
            {"order_id": "5"},
            "/order/cancel",
            {"order_id": "5", "status": "filled"},
            Cancelled("5", CancelStatus.FILLED),
        ),
    ],
)
def test_every_kind_of_write(
    server: ScriptedServer,
    client: CTraderClient,
    kind: Kind,
    body: Mapping[str, object],
    path: str,
    answer: object,
    fact: Closed | Protected | Cancelled,
) -> None:
    server.then(reply(200, answer), reply(200, {"status": "ok"}))

    assert client.write(REF, kind, body, "key-1") == Confirmed(fact)
    assert isinstance(client.write(REF, kind, body, "key-1"), Unknown)

    assert [request.path for request in server.requests] == [path, path]
    sent = json.loads(server.requests[0].body)
    assert sent.keys() == {"account_id", *body}
    assert sent["account_id"] == REF.wire_id


# -- not answered --------------------------------------------------------------------------------------------

LONG = raw_answer(200, b" " * 100_000)
SILENCES: list[tuple[str, Behaviour]] = [
    ("closed before it was read", close_before_reading),
    ("closed after it was read", close_after_reading),
    ("reset after it was read", reset_after_reading),
    ("no answer", silence),
    ("status line drips", drip(raw_answer(200, PLACED))),
    ("headers drip", drip(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000)),
    ("cut in the status line", send_raw(b"HTTP/1.")),
    ("cut in the headers", send_raw(b"HTTP/1.1 200 OK\r\nContent-Le")),
    ("cut in the body", send_raw(raw_answer(200, PLACED)[:-5])),
    ("length too great", send_raw(raw_answer(200, PLACED, length=5000))),
    ("length too small", send_raw(raw_answer(200, PLACED, length=20))),
    ("length no number", send_raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")),
    ("broken chunks", send_raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}")),
    ("chunks that end early", send_raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")),
    ("broken compression", send_raw(raw_answer(200, b"not gzip", Content_Encoding="gzip"))),
    ("no HTTP at all", send_raw(b"\x00\x01\x02 hello\r\n\r\n")),
    ("endless header", send_raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000)),
    ("too many headers", send_raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n")),
]


@pytest.mark.parametrize("behaviour", [row[1] for row in SILENCES], ids=[row[0] for row in SILENCES])
def test_without_a_whole_answer_nothing_is_known_and_nothing_sent_again(
    server: ScriptedServer, client: CTraderClient, behaviour: Behaviour
) -> None:
    server.then(behaviour)

    began = time.monotonic()
    outcome = place(client)

    assert isinstance(outcome, Unknown), outcome
    assert time.monotonic() - began < READ_TIMEOUT_S + 2
    assert server.connections == 1
    assert len(server.requests) == (0 if behaviour is close_before_reading else 1)


def test_a_body_that_drips_cannot_hold_a_worker(server: ScriptedServer, client: CTraderClient) -> None:
    head, _, body = LONG.partition(b"\r\n\r\n")

    def head_at_once_then_drops(exchange: Exchange) -> bool:
        exchange.send(head + b"\r\n\r\n")
        exchange.drip(body)
        return False

    server.then(Behaviour(head_at_once_then_drops))
    began = time.monotonic()
    assert isinstance(place(client), Unknown)
    assert READ_TIMEOUT_S * 0.9 < time.monotonic() - began < READ_TIMEOUT_S + 2


def test_an_answer_without_end_is_not_read_to_its_end(server: ScriptedServer, client: CTraderClient) -> None:
    server.then(reply(200, b"[" + b" " * (17 * 1024 * 1024) + b"]"))
    outcome = place(client)
    assert isinstance(outcome, Unknown)
    assert len(outcome.evidence) <= MAX_EVIDENCE_CHARS


def refusing() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    with CTraderClient(config_of(refusing())) as client:
        assert isinstance(place(client), NotSent)


def test_a_name_that_does_not_resolve_proves_that_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_name(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with CTraderClient(config_of("http://service.invalid")) as client:
        outcome = place(client)
    assert isinstance(outcome, NotSent)
    assert "gaierror" in outcome.reason


def test_a_connect_timeout_proves_that_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # A full accept queue drops further handshakes without a word.
        waiting = [socket.socket() for _ in range(3)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            with CTraderClient(config_of(f"http://127.0.0.1:{full.getsockname()[1]}")) as client:
                outcome = place(client)
        finally:
            for each in waiting:
                each.close()
    assert isinstance(outcome, NotSent)
    assert "ConnectTimeout" in outcome.reason


def test_a_body_that_cannot_be_read_is_not_sent(server: ScriptedServer, client: CTraderClient) -> None:
    bodies: list[Mapping[str, object]] = [{}, {**PLACE, "volume": "NaN"}, {**PLACE, "direction": "UP"}]
    for body in bodies:
        assert isinstance(client.write(REF, Kind.PLACE, body, "key-1"), NotSent)
    assert server.requests == []


def test_any_text_can_be_a_key_and_no_two_become_one(server: ScriptedServer, client: CTraderClient) -> None:
    keys = ["order-1", "a b", "a%20b", "a\nb", "a\r\nX-Evil: 1", "\u20ac", "100%", "100%25", "x" * 200, "~!#/=?"]
    server.then(*[reply(200, PLACED)] * len(keys))
    for key in keys:
        assert place(client, key) == CONFIRMED
    sent = [request.headers["idempotency-key"] for request in server.requests]
    assert len(set(sent)) == len(keys)
    assert [unquote(each) for each in sent] == keys
    assert (sent[0], sent[-2], sent[-1]) == (keys[0], keys[-2], keys[-1])
    assert not any("x-evil" in request.headers for request in server.requests)


# -- connections that are used again -------------------------------------------------------------------------


def test_connections_are_used_again(server: ScriptedServer, client: CTraderClient) -> None:
    server.then(*[reply(200, PLACED)] * 5)
    for _ in range(5):
        assert place(client) == CONFIRMED
    assert server.connections == 1


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again(
    server: ScriptedServer, client: CTraderClient
) -> None:
    for _ in range(5):
        server.then(send_raw(raw_answer(200, PLACED)))  # no "Connection: close": the client learns it from the FIN
        assert place(client) == CONFIRMED
        wait_until(lambda: server.closed == server.connections)
    assert server.connections == 5


def test_a_connection_that_has_idled_is_not_used_again(
    server: ScriptedServer, client: CTraderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_IDLE_S", 0.0)
    server.then(*[reply(200, PLACED)] * 3)
    for _ in range(3):
        assert place(client) == CONFIRMED
    assert server.connections == 3


def test_what_remains_is_a_close_that_crosses_the_request(server: ScriptedServer, client: CTraderClient) -> None:
    server.then(reply(200, PLACED), close_before_reading)
    assert place(client) == CONFIRMED
    assert isinstance(place(client), Unknown)
    assert server.connections == 1


def test_an_answer_after_a_timeout_is_never_taken_for_the_next_one(
    server: ScriptedServer, client: CTraderClient
) -> None:
    server.then(silence, reply(200, PLACED))
    assert isinstance(place(client), Unknown)
    assert place(client) == CONFIRMED
    assert server.connections == 2


# -- 401 and 403 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_after_401_it_connects_and_repeats_once_under_the_same_key(
    server: ScriptedServer, client: CTraderClient, status: int
) -> None:
    server.then(reply(status, error("NOT_CONNECTED")), reply(200, CONNECTED), reply(200, PLACED))

    assert place(client, "key-9") == CONFIRMED

    assert [request.path for request in server.requests] == ["/trade/place", "/connect", "/trade/place"]
    first, connect, second = server.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "key-9"
    assert first.body == second.body
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert "idempotency-key" not in connect.headers
    assert connect.json == {
        "account_id": REF.wire_id,
        "internal_account_id": REF.internal_id,
        "access_token": TOKEN,
    }


@pytest.mark.parametrize(
    ("script", "expected", "paths"),
    [
        ([reply(401), reply(200, CONNECTED), reply(403, error("X", "no"))], Refused(AUTHENTICATION_FAILED, "no"), 3),
        ([reply(401), reply(401, error("X", "bad token"))], Refused(AUTHENTICATION_FAILED, "bad token"), 2),
        ([reply(401), reply(404, error("NO_ACCOUNT", "who?"))], Refused(AUTHENTICATION_FAILED, "NO_ACCOUNT: who?"), 2),
        (
            [reply(401), reply(200, {"status": "error", "message": "m"})],
            Refused(AUTHENTICATION_FAILED, "REJECTED: m"),
            2,
        ),
        ([reply(401), reply(500)], NotSent, 2),
        ([reply(401), close_after_reading], NotSent, 2),
        ([reply(401), silence], NotSent, 2),
        ([reply(401), reply(200, b"<html>")], NotSent, 2),
        ([reply(401), reply(429, b"", Retry_After="4")], NotSent, 2),
        ([reply(401), reply(200, CONNECTED), close_after_reading], Unknown, 3),
        ([reply(401), reply(200, CONNECTED), reply(500)], Unknown, 3),
        ([reply(401), reply(200, CONNECTED), reply(422, error("BAD"))], Refused("BAD", "because"), 3),
    ],
)
def test_what_follows_a_401(
    server: ScriptedServer,
    client: CTraderClient,
    script: list[Behaviour],
    expected: Outcome | type[Outcome],
    paths: int,
) -> None:
    server.then(*script)

    outcome = place(client)

    assert outcome == expected if not isinstance(expected, type) else isinstance(outcome, expected)
    assert [request.path for request in server.requests] == ["/trade/place", "/connect", "/trade/place"][:paths]


def test_a_wait_asked_for_while_connecting_is_kept(server: ScriptedServer, client: CTraderClient) -> None:
    server.then(reply(401), reply(429, b"", Retry_After="4"))
    outcome = place(client)
    assert isinstance(outcome, NotSent)
    assert outcome.retry_after_s == 4.0


# -- what is sent and what is kept ---------------------------------------------------------------------------


def test_headers(server: ScriptedServer, client: CTraderClient) -> None:
    server.then(reply(200, PLACED, Set_Cookie="session=abc"), reply(200, PLACED))
    place(client, "key-1")
    place(client, "key-2")
    for request, key in zip(server.requests, ("key-1", "key-2"), strict=True):
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert request.headers["idempotency-key"] == key
        assert request.headers["content-type"] == "application/json"
        assert UUID(request.headers["x-request-id"]).version == 4
        assert "cookie" not in request.headers
    assert server.requests[0].headers["x-request-id"] != server.requests[1].headers["x-request-id"]
    assert server.requests[0].body == (
        b'{"account_id":"40012345","symbol":"EURUSD","direction":"BUY","volume":0.10,"order_type":"MARKET",'
        b'"client_order_id":"c-1"}'
    )


def test_the_prefix_stands_before_every_path(server: ScriptedServer) -> None:
    server.then(*[reply(200, PLACED)] * 4)
    for prefix in ("", "/api/v1", "api/v1/", "/api/v1/"):
        with CTraderClient(config_of(server.url + "/", prefix)) as client:
            assert place(client) == CONFIRMED
    assert [request.path for request in server.requests] == ["/trade/place", *["/api/v1/trade/place"] * 3]


def test_redirects_are_not_followed(server: ScriptedServer, client: CTraderClient) -> None:
    with ScriptedServer() as elsewhere:
        server.then(reply(307, b"", Location=f"{elsewhere.url}/trade/place"))
        assert isinstance(place(client), Unknown)
        assert elsewhere.connections == 0


def test_the_environment_has_no_say(
    server: ScriptedServer, client: CTraderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, refusing())
    server.then(reply(200, PLACED))
    assert place(client) == CONFIRMED


def test_evidence_is_bounded_and_keeps_no_secret(server: ScriptedServer, client: CTraderClient) -> None:
    echo = f"boom {SECRET} {TOKEN} \x00 ".encode()
    server.then(reply(500, echo * 1000), reply(200, echo * 1000), reply(422, error("BAD", echo.decode())))
    outcomes = [place(client) for _ in range(3)]
    for outcome in outcomes:
        assert SECRET not in repr(outcome)
        assert TOKEN not in repr(outcome)
        assert "\x00" not in repr(outcome)
    for outcome in outcomes[:2]:
        assert isinstance(outcome, Unknown)
        assert "boom" in outcome.evidence
        assert len(outcome.evidence) <= MAX_EVIDENCE_CHARS
    assert SECRET not in repr(config_of(server.url)) + repr(REF)
    assert TOKEN not in repr(REF)
