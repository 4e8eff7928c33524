"""The reads of the JSON API."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from connectors.errors import (
    AuthenticationError,
    ConnectionError,  # noqa: A004 - the name callers catch
    ConnectorError,
    RequestRefusedError,
    UnsupportedOperationError,
)
from ctrader_app.models import Deal, TradingAccount
from tests.desk.api_client import ApiClient
from tests.desk.fake_platform import FakePlatform


@pytest.fixture
def root(account: TradingAccount) -> str:
    return f"/api/accounts/{account.pk}"


def test_accounts(api: ApiClient, account: TradingAccount, foreign: TradingAccount) -> None:
    TradingAccount.objects.filter(pk=account.pk).update(balance=Decimal("1000.50"), currency="USD")
    assert api.get("/api/accounts").json == [
        {
            "id": str(account.pk),
            "name": "Main",
            "platform": "fake",
            "environment": "demo",
            "broker_login": "1001",
            "trading_enabled": True,
            "currency": "USD",
            "balance": 1000.5,
            "equity": None,
            "figures_at": None,
        }
    ]


def test_snapshots_are_what_trading_service_says(api: ApiClient, root: str, fake: FakePlatform) -> None:
    assert api.get(f"{root}/account-info").json == {
        "balance": 1000.0,
        "equity": 1001.5,
        "margin": 10.0,
        "free_margin": 991.5,
        "margin_level": 10015.0,
        "currency": "USD",
    }
    (position,) = api.get(f"{root}/positions").json
    assert (position["position_id"], position["stop_loss"], position["commission"]) == ("11", None, -0.35)
    assert api.get(f"{root}/orders").json == [{"ticket": 5, "symbol": "EURUSD", "type": "pending_order"}]
    assert api.get(f"{root}/symbols/EURUSD").json["digits"] == 5


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("EURUSD", "EURUSD"),
        ("BTC%2FUSD", "BTC/USD"),
        ("%23AAPL", "#AAPL"),
        ("US500.cash", "US500.cash"),
        ("GER40%2B", "GER40+"),
    ],
)
def test_symbols_with_special_characters(
    api: ApiClient, root: str, fake: FakePlatform, written: str, symbol: str
) -> None:
    assert api.get(f"{root}/price/{written}").json["symbol"] == symbol
    assert api.get(f"{root}/symbols/{written}").json["symbol"] == symbol
    (bar,) = api.get(f"{root}/candles/{written}/M5?count=10").json
    assert (bar["symbol"], bar["timeframe"]) == (symbol, "M5")
    assert fake.last == {"symbol": symbol, "timeframe": "M5", "count": 10}


@pytest.mark.parametrize("count", ["0", "1001", "-1", "ten", "", "1e3", "9" * 5000])
def test_the_count_of_candles_is_bounded(api: ApiClient, root: str, fake: FakePlatform, count: str) -> None:
    answer = api.get(f"{root}/candles/EURUSD/M1?count={count}")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert not fake.calls


def test_no_position_has_control_characters_in_its_id(api: ApiClient, root: str) -> None:
    answer = api.get(f"{root}/deals?position_id=%00")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def test_deals_come_from_the_books_newest_first(api: ApiClient, account: TradingAccount, root: str) -> None:
    for number, position in ((1, "11"), (2, "12"), (3, "11")):
        Deal.objects.create(
            account=account, ticket=str(100 + number), order_id="9", position_id=position, symbol="EURUSD",
            direction="SELL", is_entry=False, reason="sl", volume=Decimal("0.1"), price=Decimal("1.1"),
            profit=Decimal("-5.5"), commission=Decimal("-0.35"), swap=Decimal(0),
            executed_at=datetime(2026, 1, number, 12, tzinfo=UTC),
        )  # fmt: skip
    assert [deal["ticket"] for deal in api.get(f"{root}/deals").json] == [103, 102, 101]
    assert [deal["ticket"] for deal in api.get(f"{root}/deals?limit=1").json] == [103]
    (first, _) = api.get(f"{root}/deals?position_id=11").json
    assert first == {
        "ticket": 103, "order": 9, "time": 1767441600, "time_msc": 1767441600000, "type": 1, "entry": 1, "reason": 4,
        "position_id": 11, "volume": 0.1, "price": 1.1, "profit": -5.5, "commission": -0.35, "swap": 0.0,
        "symbol": "EURUSD", "comment": "", "magic": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ConnectionError("down"), 502, "CONNECTION_ERROR"),
        (ConnectionError("slow", code="READ_TIMEOUT"), 504, "READ_TIMEOUT"),
        (AuthenticationError("token expired"), 502, "AUTHENTICATION_ERROR"),
        (RequestRefusedError("no such symbol", code="SYMBOL_NOT_FOUND"), 404, "SYMBOL_NOT_FOUND"),
        (RequestRefusedError("no such symbol", code="UNKNOWN_SYMBOL"), 404, "UNKNOWN_SYMBOL"),
        (RequestRefusedError("market closed", code="MARKET_CLOSED"), 422, "MARKET_CLOSED"),
        (UnsupportedOperationError("cannot"), 501, "UNSUPPORTED_OPERATION"),
        (ConnectorError("odd"), 500, "CONNECTOR_ERROR"),
    ],
)
@pytest.mark.parametrize(
    "path", ["account-info", "positions", "orders", "price/EURUSD", "candles/EURUSD/M1", "symbols/EURUSD"]
)
def test_a_failed_read_is_an_error_and_never_empty(
    api: ApiClient, root: str, fake: FakePlatform, path: str, error: ConnectorError, status: int, code: str
) -> None:
    fake.error = error
    answer = api.get(f"{root}/{path}")
    assert (answer.status, answer.code) == (status, code)
    assert answer.json["error"]["message"] == error.message


def test_an_account_on_an_unregistered_platform(api: ApiClient, account: TradingAccount, root: str) -> None:
    TradingAccount.objects.filter(pk=account.pk).update(platform="elsewhere")
    assert api.get(f"{root}/positions").status == 501
