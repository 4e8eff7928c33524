"""The embedded system as a trader's program meets it: trades, refusals, prices, and whose they are."""

import contextlib
import json
import uuid
from typing import Any

import pytest
import requests

from tests.support.kin import is_alive
from tests.system.client import Api, Socket, has_ticket, lacks_ticket, new_key, socket_url
from tests.system.conftest import Embedded
from tests.system.embedded import EmbeddedVenue, resident_mb, run_inside

READY_WITHIN_S = 10.0
MOST_RESIDENT_MB = 250.0

STRANGER = """
from django.contrib.auth import get_user_model
from ctrader_app.ledger.access import issue_token
from ctrader_app.models import TradingAccount
import json
user = get_user_model().objects.create_user("stranger")
account = TradingAccount.objects.create(user=user, name="not the demo user's")
print(json.dumps([issue_token(user, "test"), str(account.pk)]))
"""


@pytest.fixture(scope="module")
def stranger(embedded: Embedded) -> Api:
    """Another user with an account."""
    token, account = json.loads(run_inside(embedded.system, STRANGER))
    return Api(embedded.api.root, token, account)


def test_it_is_ready_within_ten_seconds(embedded: Embedded) -> None:
    assert embedded.seconds_to_ready < READY_WITHIN_S
    assert is_alive(embedded.system.process.pid)
    ready = requests.get(f"{embedded.api.root}/readyz", timeout=10).json()
    assert {name: check["status"] for name, check in ready["checks"].items()} == dict.fromkeys(
        ("database", "broker", "layer", "microservice", "stream", "prices"), "ok"
    )


def test_a_trade_goes_round_through_the_api(embedded: Embedded) -> None:
    api, key = embedded.api, new_key()
    placed = api.trade(key=key, volume="0.2", label="system-test")
    assert placed.status == 200
    operation = placed.body
    assert (operation["kind"], operation["state"], operation["idempotency_key"]) == ("place", "succeeded", key)
    result = operation["result"]
    assert (result["status"], result["symbol"], result["volume"]) == ("filled", "EURUSD", 0.2)
    position_id = str(result["opened_position_ticket"])
    assert result["position_info"]["ticket"] == result["opened_position_ticket"]
    row = api.positions()[position_id]
    assert (row["symbol"], row["direction"], row["volume"]) == ("EURUSD", "BUY", 0.2)
    assert row["open_price"] == pytest.approx(result["price"])

    again = api.trade(key=key, volume="0.2", label="system-test")
    assert (again.status, again.body["id"]) == (200, operation["id"])
    assert len(api.positions()) == 1

    stop_loss = round(api.bid() - 0.01, 5)
    assert api.protect(position_id, stop_loss=stop_loss).status == 200
    assert api.positions()[position_id]["stop_loss"] == pytest.approx(stop_loss)
    part = api.close(position_id, 0.05)
    assert part.status == 200
    assert part.body["result"]["retcode"] == 10009
    assert api.positions()[position_id]["volume"] == pytest.approx(0.15)
    assert api.close(position_id).status == 200
    assert position_id not in api.positions()


def test_a_working_order_is_listed_and_cancelled(embedded: Embedded) -> None:
    api = embedded.api
    placed = api.trade(order_type="LIMIT", limit_price=round(api.bid() - 0.01, 5))
    assert placed.body["result"]["status"] == "pending"
    assert placed.body["result"]["opened_position_ticket"] is None
    order_id = placed.body["result"]["order_id"]
    assert [row["ticket"] for row in api.get("{}/orders")] == [order_id]
    cancelled = api.cancel(str(order_id))
    assert (cancelled.status, cancelled.body["result"]["order_id"]) == (200, order_id)
    assert api.get("{}/orders") == []


def test_snapshots_are_read(embedded: Embedded) -> None:
    api = embedded.api
    info = api.get("{}/account-info")
    assert info["currency"] == "USD"
    assert info["equity"] > 0
    candles = api.get("{}/candles/EURUSD/M1?count=50")
    assert len(candles) == 50
    assert [bar["timestamp"] for bar in candles] == sorted({bar["timestamp"] for bar in candles})
    assert api.get("{}/symbols/XAUUSD")["symbol"] == "XAUUSD"
    assert [account["id"] for account in api.get("accounts")] == [api.account]


def test_prices_and_bars_arrive_and_move(embedded: Embedded) -> None:
    with embedded.api.prices() as socket:
        seen = {socket.wait_price()["bid"]}
        while len(seen) < 3:
            seen.add(socket.wait_price()["bid"])
        socket.say(type="subscribe", timeframe="M1")
        bar = socket.wait_for(lambda frame: frame["type"] == "new_candle", "bar")["data"]
        assert (bar["symbol"], bar["timeframe"]) == ("EURUSD", "M1")
        assert bar["time"] % 60 == 0
        assert bar["low"] <= bar["close"] <= bar["high"]


def test_the_account_socket_tells_the_whole_life_of_a_trade(embedded: Embedded) -> None:
    api = embedded.api
    with api.account_socket() as socket:
        placed = api.trade(wait_s=None)
        assert placed.status == 202
        operation_id = placed.body["id"]
        done = socket.wait_operation(operation_id, "succeeded")
        position_id = str(done["result"]["opened_position_ticket"])
        states = [
            frame["data"]["state"]
            for frame in socket.heard
            if frame["type"] == "operation_update" and frame["data"]["id"] == operation_id
        ]
        assert states == [state for state in ("queued", "sending", "succeeded") if state in states]
        rows = socket.wait_positions(has_ticket(position_id), "the new position")
        row = next(row for row in rows if str(row["ticket"]) == position_id)
        assert (row["symbol"], row["type"], row["volume"]) == ("EURUSD", 0, 0.1)
        closed = api.close(position_id, wait_s=None)
        socket.wait_operation(closed.body["id"], "succeeded")
        socket.wait_positions(lacks_ticket(position_id), "the position's end")
        figures = socket.wait_for(
            lambda frame: frame["type"] == "account_update" and "account_info" in frame["data"], "figures"
        )
        assert figures["data"]["account_info"]["currency"] == "USD"


@pytest.mark.parametrize(
    "order",
    [
        {"symbol": "NOSUCHSYMBOL"},
        {"volume": "0.015"},
        {"volume": "-0.1"},
        {"volume": 0},
        {"stop_loss": 9.9},
        {"direction": "SELL", "stop_loss": 0.1},
        {"take_profit": 0.1},
    ],
    ids=str,
)
def test_a_wrong_order_is_refused_with_a_code(embedded: Embedded, order: dict[str, Any]) -> None:
    api = embedded.api
    before = api.positions()
    reply = api.trade(**order)
    assert reply.status in (400, 422)
    assert reply.error_code
    assert reply.body["error"]["message"]
    assert reply.status == 400 or reply.body["state"] == "refused"
    assert api.positions() == before


def test_what_is_not_there_cannot_be_changed(embedded: Embedded) -> None:
    api = embedded.api
    for reply in (api.close("987654321"), api.protect("987654321", stop_loss=1.0), api.cancel("987654321")):
        assert (reply.status, reply.body["state"]) == (422, "refused")
        assert reply.error_code.endswith("NOT_FOUND")


def test_an_order_that_filled_is_not_cancelled(embedded: Embedded) -> None:
    api = embedded.api
    with EmbeddedVenue(embedded.system) as venue:
        price = round(api.bid("GBPUSD") - 0.02, 5)
        placed = api.trade(symbol="GBPUSD", order_type="LIMIT", limit_price=price)
        order_id = str(placed.body["result"]["order_id"])
        venue.move("GBPUSD", price - 0.001)
        cancelled = api.cancel(order_id)
        assert (cancelled.status, cancelled.body["state"], cancelled.error_code) == (422, "refused", "ORDER_FILLED")
        filled = [row for row in api.positions().values() if row["symbol"] == "GBPUSD"]
        assert len(filled) == 1
        assert api.close(filled[0]["position_id"]).status == 200


def test_a_key_with_other_parameters_is_a_conflict(embedded: Embedded) -> None:
    api, key = embedded.api, new_key()
    position_id = api.opened(key=key)
    reply = api.trade(key=key, volume=0.2)
    assert (reply.status, reply.error_code) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert list(api.positions()) == [position_id]
    assert api.close(position_id).status == 200


def test_somebody_elses_account_is_not_there(embedded: Embedded, stranger: Api) -> None:
    api = embedded.api
    operation = api.trade(symbol="NOSUCHSYMBOL").body["id"]
    trespassers = [
        Api(api.root, api.token, stranger.account),
        Api(api.root, stranger.token, api.account),
        Api(api.root, api.token, str(uuid.uuid4())),
        Api(api.root, api.token, "not-an-id"),
    ]
    for trespasser in trespassers:
        assert trespasser.trade().status == 404
        assert trespasser.call("GET", "{}/positions").status == 404
        with trespasser.account_socket() as socket:
            assert socket.close_code() == 4003
        with trespasser.prices() as socket:
            assert socket.close_code() == 4003
    assert Api(api.root, stranger.token, "").call("GET", f"operations/{operation}").status == 404
    assert [account["id"] for account in stranger.get("accounts")] == [stranger.account]


def test_without_a_sign_in_nothing_is_told(embedded: Embedded) -> None:
    api = embedded.api
    for token in ("", "wrong"):
        nobody = Api(api.root, token, api.account)
        assert nobody.trade().status == 401
        assert nobody.call("GET", "accounts").status == 401
        assert nobody.call("POST", "ws-ticket").status == 401
    used = api.ticket()
    with Socket(socket_url(api.root, f"prices/{api.account}/EURUSD/?ticket={used}")) as first:
        first.wait_price()
        for query in ("", "?ticket=wrong", f"?ticket={used}"):
            with Socket(socket_url(api.root, f"prices/{api.account}/EURUSD/{query}")) as socket:
                assert socket.close_code() == 4001
    with Socket(socket_url(api.root, f"accounts/{api.account}/"), {"Authorization": "Bearer wrong"}) as socket:
        assert socket.close_code() == 4001


def test_it_stays_small_after_trades_and_sockets(embedded: Embedded) -> None:
    api = embedded.api
    symbols = ("EURUSD", "GBPUSD", "XAUUSD", "BTCUSD")
    with contextlib.ExitStack() as stack:
        prices = [stack.enter_context(api.prices(symbol)) for symbol in symbols]
        stack.enter_context(api.account_socket())
        for _ in range(5):
            assert api.close(api.opened()).status == 200
        for socket, symbol in zip(prices, symbols, strict=True):
            socket.wait_price(symbol)
        assert resident_mb(embedded.system) < MOST_RESIDENT_MB
