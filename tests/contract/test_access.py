"""The secret: on every request."""

import uuid

import pytest

from tests.contract.target import Caller, error_of

ENDPOINTS = [
    ("GET", "/account-info"),
    ("GET", "/open-positions"),
    ("GET", "/symbol-info"),
    ("GET", "/candles"),
    ("GET", "/price"),
    ("GET", "/trade/sync-data"),
    ("POST", "/connect"),
    ("POST", "/disconnect"),
    ("POST", "/trade/place"),
    ("POST", "/trade/close"),
    ("POST", "/trade/modify-protection"),
    ("POST", "/order/cancel"),
    ("POST", "/subscribe/price"),
    ("POST", "/unsubscribe/price"),
    ("POST", "/subscribe/candles"),
    ("POST", "/unsubscribe/candles"),
]


def _full(caller: Caller) -> dict[str, object]:
    """All that any endpoint asks for: only the secret may be what is missing."""
    return {
        "account_id": caller.account_id, "internal_account_id": str(uuid.uuid4()), "symbol": caller.symbol,
        "timeframe": "M1", "count": 1, "position_id": "1", "order_id": "1", "direction": "BUY", "volume": 0.1,
        "order_type": "MARKET", "client_order_id": uuid.uuid4().hex, "stop_loss": None, "take_profit": None,
    }  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize("secret", ["", "Bearer wrong", "Basic d3Jvbmc6d3Jvbmc="], ids=["none", "wrong", "basic"])
def test_without_the_secret_nothing_is_answered(caller: Caller, method: str, path: str, secret: str) -> None:
    full = _full(caller)
    headers = {"Authorization": secret, "Idempotency-Key": str(uuid.uuid4())}
    options = {"params": full} if method == "GET" else {"json": full}
    answer = caller.request(method, path, headers=headers, **options)
    assert answer.status in (401, 403)
    error_of(answer)
    if path == "/trade/place":
        assert caller.positions() == {}


def test_an_unknown_path_is_a_typed_error(caller: Caller) -> None:
    answer = caller.get("/no-such-endpoint")
    assert answer.status == 404
    error_of(answer)
