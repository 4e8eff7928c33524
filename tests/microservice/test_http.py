"""The HTTP front over a real socket: authorization, shapes, refusals, limits."""

import socket
from typing import Any

import msgspec
import pytest
import requests

from ctrader_app.wire.endpoints import Endpoint
from tests.microservice.conftest import Start
from tests.microservice.service import ACCOUNT, INTERNAL, SECRET, Service


@pytest.mark.parametrize("endpoint", [*Endpoint], ids=lambda endpoint: endpoint.path)
@pytest.mark.parametrize("token", [None, "Bearer wrong", f"Bearer {SECRET}x", SECRET, "Bearer "])
def test_every_endpoint_wants_the_secret(shared: Service, endpoint: Endpoint, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    answer = requests.request(endpoint.method, shared.url + endpoint.path, headers=headers, timeout=5)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("path", ["/_faults", "/_effects", "/openapi.json", "/deals", "/orders", "/nowhere"])
def test_so_do_the_extras(shared: Service, path: str) -> None:
    assert requests.get(shared.url + path, timeout=5).status_code == 401


def test_health_is_public(shared: Service) -> None:
    answer = requests.get(f"{shared.url}/healthz", timeout=5)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_the_request_id_comes_back(shared: Service) -> None:
    given = shared.session.get(f"{shared.url}/healthz", headers={"X-Request-ID": "abc-1"}, timeout=5)
    assert given.headers["X-Request-ID"] == "abc-1"
    assert len(shared.get("/nowhere").headers["X-Request-ID"]) == 36
    refused = requests.get(f"{shared.url}/price", headers={"X-Request-ID": "abc-2"}, timeout=5)
    assert refused.headers["X-Request-ID"] == "abc-2"


def test_an_account_must_be_connected(shared: Service) -> None:
    body = {"account_id": "unknown", "symbol": "EURUSD", "direction": "BUY", "volume": 1, "timeframe": "M1"}
    bodies: dict[Endpoint, dict[str, Any]] = {
        Endpoint.CLOSE: {"position_id": "1"},
        Endpoint.MODIFY_PROTECTION: {"position_id": "1", "stop_loss": None, "take_profit": None},
        Endpoint.CANCEL_ORDER: {"order_id": "1"},
        Endpoint.SYNC_DATA: {"position_id": "1"},
    }
    for endpoint in Endpoint:
        if endpoint in {Endpoint.CONNECT, Endpoint.DISCONNECT}:
            continue
        full = {**body, **bodies.get(endpoint, {})}
        answer = (
            shared.get(endpoint.path, **full)
            if endpoint.method == "GET"
            else shared.post(endpoint.path, "some-key", **full)
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "ACCOUNT_NOT_CONNECTED"), endpoint


def test_connect_is_idempotent_and_resumes(start: Start) -> None:
    service = start(speed=0.0)
    first = service.connect()
    assert first["status"] == "connected"
    assert service.connect() == first
    service.open()
    assert service.post("/disconnect", account_id=ACCOUNT).json() == {"status": "disconnected"}
    assert service.get("/account-info", account_id=ACCOUNT).status_code == 401
    service.connect()
    assert len(service.read("/open-positions")["open_positions"]) == 1
    service.app.stop()
    again = start(speed=0.0)
    assert len(again.read("/open-positions")["open_positions"]) == 1, "accounts stay connected over a restart"
    assert again.connect()["session_id"] != first["session_id"]


def test_reads_have_the_shapes_of_the_contract(service: Service) -> None:
    service.bid(1.1)
    figures = service.read("/account-info")
    assert {"balance", "equity", "margin", "free_margin", "margin_level", "currency", "leverage"} <= set(figures)
    assert all(isinstance(figures[name], int | float) for name in ("balance", "equity", "margin_level"))
    assert service.read("/open-positions") == {"open_positions": [], "pending_orders": []}
    quote = service.read("/price", symbol="eurusd")
    assert (quote["symbol"], quote["bid"], quote["ask"]) == ("EURUSD", 1.1, 1.10008)
    assert quote["time"].endswith("Z")
    info = service.read("/symbol-info", symbol="USDJPY")
    assert (info["digits"], info["tick_size"], info["pip_size"], info["contract_size"]) == (3, 0.001, 0.01, 100000)
    assert (info["lot_step"], info["min_lot"], info["max_lot"], info["quote_currency"]) == (0.01, 0.01, 100, "JPY")


def test_a_trade_from_place_to_sync(service: Service) -> None:
    service.bid(1.1)
    placed = service.place(client_order_id="c-1", label="L", comment="C", stop_loss=1.09, take_profit=1.12).json()
    assert placed["status"] == "filled"
    assert (placed["price"], placed["volume"], placed["client_order_id"]) == (1.10008, 0.1, "c-1")
    assert all(placed[name].isdecimal() for name in ("order_id", "position_id", "deal_id"))
    (row,) = service.read("/open-positions")["open_positions"]
    assert (row["position_id"], row["symbol"], row["direction"]) == (placed["position_id"], "EURUSD", "BUY")
    assert (row["stop_loss"], row["take_profit"], row["profit"]) == (1.09, 1.12, -0.8)
    assert (row["client_order_id"], row["label"], row["comment"]) == ("c-1", "L", "C")
    closed = service.close(placed["position_id"], 0.04).json()
    assert (closed["close_price"], closed["closed_volume"], closed["remaining_volume"]) == (1.1, 0.04, 0.06)
    story = service.read("/trade/sync-data", position_id=placed["position_id"], symbol="EURUSD")
    assert (story["is_closed_on_platform"], story["platform_remaining_size"]) == (False, 0.06)
    assert story["final_profit"] is None
    assert [(deal["type"], deal["entry"], deal["volume"]) for deal in story["deals"]] == [(0, 0, 0.1), (1, 1, 0.04)]
    assert story["deals"][0]["client_order_id"] == "c-1"
    assert story["latest_deal_timestamp"] == story["deals"][1]["time"]
    assert service.close(placed["position_id"], 0.06).status_code == 200
    story = service.read("/trade/sync-data", position_id=placed["position_id"], symbol="EURUSD")
    assert (story["is_closed_on_platform"], story["platform_remaining_size"]) == (True, 0)
    assert story["final_profit"] == pytest.approx(-0.8)
    assert story["error_message"] is None
    assert len(service.read("/deals")["deals"]) == 3
    assert service.read("/orders", client_order_id="c-1")["orders"][0]["deal_id"] == placed["deal_id"]


def test_pending_and_cancel(service: Service) -> None:
    placed = service.place(order_type="LIMIT", limit_price=1.0, client_order_id="c-2").json()
    assert (placed["status"], placed["order_id"].isdecimal()) == ("pending", True)
    (row,) = service.read("/open-positions")["pending_orders"]
    assert (row["order_id"], row["order_type"], row["price"]) == (placed["order_id"], "LIMIT", 1.0)
    answer = service.post("/order/cancel", "k", account_id=ACCOUNT, order_id=placed["order_id"])
    assert answer.json() == {"order_id": placed["order_id"], "status": "cancelled"}


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/price", {"symbol": "NOPE"}, 404, "UNKNOWN_SYMBOL"),
        ("/symbol-info", {"symbol": "NOPE"}, 404, "UNKNOWN_SYMBOL"),
        ("/price", {}, 400, "INVALID_REQUEST"),
        ("/candles", {"symbol": "EURUSD", "timeframe": "M7"}, 400, "UNKNOWN_TIMEFRAME"),
        ("/candles", {"symbol": "EURUSD", "timeframe": "M1", "count": "0"}, 400, "INVALID_REQUEST"),
        ("/candles", {"symbol": "EURUSD", "timeframe": "M1", "count": "many"}, 400, "INVALID_REQUEST"),
        ("/candles", {"symbol": "EURUSD", "timeframe": "M1", "start": "yesterday"}, 400, "INVALID_REQUEST"),
        (
            "/candles",
            {"symbol": "EURUSD", "timeframe": "M1", "start": "2026-01-02", "end": "2026-01-01"},
            400,
            "INCORRECT_BOUNDARIES",
        ),
        ("/trade/sync-data", {"position_id": "20000001", "symbol": "EURUSD"}, 404, "POSITION_NOT_FOUND"),
        ("/trade/sync-data", {"position_id": "'; DROP TABLE", "symbol": "EURUSD"}, 404, "POSITION_NOT_FOUND"),
    ],
)
def test_reads_that_fail_say_why(shared: Service, path: str, query: dict[str, str], status: int, code: str) -> None:
    answer = shared.get(path, account_id=ACCOUNT, **query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"volume": -0.1}, 422, "TRADING_BAD_VOLUME"),
        ({"volume": 0.015}, 422, "TRADING_BAD_VOLUME"),
        ({"volume": 1e300}, 422, "TRADING_BAD_VOLUME"),
        ({"volume": "1e999999999"}, 422, "TRADING_BAD_VOLUME"),
        ({"volume": "1e-999999999"}, 422, "TRADING_BAD_VOLUME"),
        ({"volume": "much"}, 400, "INVALID_REQUEST"),
        ({"volume": None}, 400, "INVALID_REQUEST"),
        ({"volume": True}, 400, "INVALID_REQUEST"),
        ({"direction": "UP"}, 400, "INVALID_REQUEST"),
        ({"symbol": "NOPE"}, 404, "UNKNOWN_SYMBOL"),
        ({"symbol": 7}, 400, "INVALID_REQUEST"),
        ({"stop_loss": 3.0}, 422, "TRADING_BAD_STOPS"),
        ({"stop_loss": -1}, 422, "TRADING_BAD_STOPS"),
        ({"order_type": "LIMIT"}, 422, "TRADING_BAD_PRICES"),
        ({"order_type": "LIMIT", "limit_price": 1.0000001}, 422, "TRADING_BAD_PRICES"),
        ({"volume": 90}, 422, "NOT_ENOUGH_MONEY"),
        ({"client_order_id": "x" * 51}, 400, "INVALID_REQUEST"),
        ({"label": "x" * 101}, 400, "INVALID_REQUEST"),
        ({"comment": "x" * 513}, 400, "INVALID_REQUEST"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "ORDER_EXPIRED"),
        ({"expires_at": "soon"}, 400, "INVALID_REQUEST"),
    ],
)
def test_orders_that_do_not_fit(shared: Service, changes: dict[str, Any], status: int, code: str) -> None:
    answer = shared.place(**changes)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert shared.effects(account_id=ACCOUNT)["orders"] == 0


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"account_id": NaN}', b"[" * 20_000, b'{"a":' * 10_000]
)
def test_bodies_that_are_no_requests(shared: Service, body: bytes) -> None:
    answer = shared.session.post(f"{shared.url}/trade/place", data=body, headers={"Idempotency-Key": "k"}, timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")


def test_unknown_fields_are_ignored_and_ids_may_be_numbers(service: Service) -> None:
    answer = service.place(account_id=int(ACCOUNT), surprise={"deep": [1]})
    assert answer.status_code == 200
    position = int(answer.json()["position_id"])
    body = {"account_id": ACCOUNT, "position_id": position, "symbol": "EURUSD", "volume": 0.1}
    assert service.post("/trade/close", "k", **body).status_code == 200


def test_modify_without_one_of_the_levels_is_malformed(service: Service) -> None:
    position = service.open(take_profit=2.0)
    body = {"account_id": ACCOUNT, "position_id": position, "symbol": "EURUSD", "stop_loss": 0.9}
    assert service.post("/trade/modify-protection", "a", **body).status_code == 400
    assert service.read("/open-positions")["open_positions"][0]["take_profit"] == 2.0
    answer = service.post("/trade/modify-protection", "b", **body, take_profit=None)
    assert answer.json() == {"position_id": position, "stop_loss": 0.9, "take_profit": None}


def test_a_body_is_bounded(shared: Service) -> None:
    answer = shared.place(comment="x" * 70_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_wrong_paths_and_methods_have_the_shape_of_an_error(shared: Service) -> None:
    assert shared.get("/nowhere").json()["error"]["code"] == "NOT_FOUND"
    assert shared.get("/trade/place").json()["error"]["code"] == "METHOD_NOT_ALLOWED"


def test_answers_are_not_held_back_by_the_kernel(service: Service) -> None:
    """Head and body are two writes; without TCP_NODELAY the second waits for the acknowledgement of the first."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5):
        listening = service.app._socket
        assert listening is not None
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_prefix_of_the_deployment(start: Start) -> None:
    service = start(speed=0.0, api_prefix="/api/v1")
    body = {"account_id": ACCOUNT, "internal_account_id": INTERNAL}
    assert service.post("/api/v1/connect", **body).status_code == 200
    assert service.get("/api/v1/healthz").status_code == 200


def test_candles_over_http(service: Service) -> None:
    answer = service.read("/candles", symbol="us500.CASH", timeframe="m5", count=50)
    assert (answer["symbol"], answer["timeframe"], len(answer["candles"])) == ("US500.cash", "M5", 50)
    times = [bar["time"] for bar in answer["candles"]]
    window = service.read("/candles", symbol="US500.cash", timeframe="M5", start=times[10], end=times[19])
    assert window["candles"] == answer["candles"][10:20]
    assert set(window["candles"][0]) == {"time", "open", "high", "low", "close", "volume", "tick_volume"}


def test_the_document_describes_what_is_mounted(service: Service) -> None:
    document = service.get("/openapi.json").json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert {(endpoint.method, endpoint.path) for endpoint in Endpoint} <= described
    place = document["paths"]["/trade/place"]["post"]
    assert "Idempotency-Key" in [parameter["name"] for parameter in place["parameters"] if parameter["required"]]
    body = document["components"]["schemas"]["PlaceRequest"]
    assert {"account_id", "symbol", "direction", "volume"} <= set(body["required"])
    assert body["properties"]["volume"]["type"] == "number"
    references = [part.split('"')[0] for part in msgspec.json.encode(document).decode().split("schemas/")[1:]]
    assert set(references) <= set(document["components"]["schemas"])
    for method, path in described:  # every row answers: nothing is described that is not there
        answer = service.session.request(method, service.url + path, json={}, timeout=5)
        assert answer.status_code != 404, path
