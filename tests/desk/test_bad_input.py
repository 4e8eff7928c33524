"""Bad input at the JSON API, with the real platform behind it: nothing is recorded, nothing can be sent."""

import pytest
from django.contrib.auth.models import User

from ctrader_app.models import Operation, TradingAccount
from tests.desk.api_client import ApiClient

ORDER = {"symbol": "EURUSD", "direction": "BUY", "lot_size": "0.1"}
NUMBERS = [
    "NaN",
    "-NaN",
    "Infinity",
    "-inf",
    "1e999",
    "1e-999999999",
    "0.00000000000000000001",
    "1.10000000000000000001",
    "9" * 40,
    "-0.1",
    "0x10",
    "1,5",
    "",
    "much",
    True,
    [1],
    {"lots": 1},
]


@pytest.fixture
def real(user: User) -> TradingAccount:
    """The caller's account on cTrader."""
    return TradingAccount.objects.create(user=user, platform="ctrader", name="Real")


@pytest.fixture
def root(real: TradingAccount) -> str:
    return f"/api/accounts/{real.pk}"


def as_sent(key: str) -> str:
    """A header as a web server hands it over."""
    return key.encode().decode("latin-1")


@pytest.mark.parametrize("number", NUMBERS, ids=str)
@pytest.mark.parametrize("field", ["lot_size", "stop_loss", "take_profit", "sl_distance", "tp_distance"])
def test_a_number_that_is_none_is_refused(api: ApiClient, root: str, field: str, number: object) -> None:
    answer = api.post(f"{root}/trades", {**ORDER, field: number})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert not Operation.objects.exists()


@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_so_it_is_in_every_other_write(api: ApiClient, root: str, number: object) -> None:
    for method, path, body in [
        ("POST", "trades", {**ORDER, "order_type": "LIMIT", "limit_price": number}),
        ("POST", "positions/7/close", {"volume": number}),
        ("PATCH", "positions/7/protection", {"stop_loss": number}),
        ("PATCH", "positions/7/protection", {"take_profit": number, "stop_loss": "1.1"}),
    ]:
        assert api.call(method, f"{root}/{path}", body).status == 400, path
    assert not Operation.objects.exists()


@pytest.mark.parametrize("raw", [b"NaN", b"Infinity", b"1e400", b"-1", b"0", b"0." + b"0" * 19 + b"1", b"01", b"1."])
def test_a_bare_number_that_is_none_is_refused(api: ApiClient, root: str, raw: bytes) -> None:
    body = b'{"symbol": "EURUSD", "direction": "BUY", "lot_size": %s}' % raw
    assert api.call("POST", f"{root}/trades", raw=body).status == 400
    assert not Operation.objects.exists()


def test_numbers_as_text_are_read_exactly(api: ApiClient, root: str) -> None:
    first = api.post(f"{root}/trades", {**ORDER, "lot_size": "0.10", "stop_loss": "1.0500000001"}, key="k")
    again = api.post(f"{root}/trades", {**ORDER, "lot_size": 0.1, "stop_loss": 1.0500000001}, key="k")
    assert (first.status, again.status) == (202, 202)
    assert first.json["id"] == again.json["id"]
    assert (first.json["parameters"]["volume"], first.json["parameters"]["stop_loss"]) == ("0.1", "1.0500000001")


@pytest.mark.parametrize("key", ["", "   ", "k" * 201, "k" * 10_000, "a\tb", "a\x7fb", "\u200b", "\x85"])
def test_a_key_that_names_nothing_is_refused(api: ApiClient, root: str, key: str) -> None:
    answer = api.post(f"{root}/trades", ORDER, key=as_sent(key))
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "idempotency_key" in answer.json["error"]["message"]
    assert not Operation.objects.exists()


@pytest.mark.parametrize("key", ["k" * 200, "Auftrag für Müller №7 🚀", "ключ", "キー", "a b", "~!#/=?%20", "'; --"])
def test_any_other_text_is_a_key(api: ApiClient, root: str, key: str) -> None:
    first, again = (api.post(f"{root}/trades", ORDER, key=as_sent(key)) for _ in range(2))
    assert first.json["id"] == again.json["id"]
    assert first.json["idempotency_key"] == key
    other = api.post(f"{root}/trades", {**ORDER, "lot_size": "0.2"}, key=as_sent(key))
    assert (other.status, other.code) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert Operation.objects.count() == 1


def test_a_key_that_is_no_utf_8_is_read_as_it_came(api: ApiClient, root: str) -> None:
    assert api.post(f"{root}/trades", ORDER, key="caf\xe9").json["idempotency_key"] == "café"


def test_keys_that_look_alike_are_two(api: ApiClient, root: str) -> None:
    """Composed and decomposed, upper and lower case, with a blank inside: other text, other intent."""
    keys = ["\xe9", "e\u0301", "K", "k", "k k", "k  k"]
    ids = {api.post(f"{root}/trades", ORDER, key=as_sent(key)).json["id"] for key in keys}
    assert len(ids) == len(keys)


def test_equal_keys_of_two_accounts_do_not_meet(api: ApiClient, root: str, user: User) -> None:
    other = TradingAccount.objects.create(user=user, platform="ctrader", name="Other")
    one = api.post(f"{root}/trades", ORDER, key="k")
    two = api.post(f"/api/accounts/{other.pk}/trades", {**ORDER, "lot_size": "0.2"}, key="k")
    assert (one.status, two.status) == (202, 202)
    assert one.json["id"] != two.json["id"]


@pytest.mark.parametrize("position_id", ["x" * 65, "%20", "a%00b", "a%0Ab"])
def test_an_id_that_can_be_none_is_refused(api: ApiClient, root: str, position_id: str) -> None:
    for method, path in [
        ("POST", f"positions/{position_id}/close"),
        ("DELETE", f"orders/{position_id}"),
    ]:
        assert api.call(method, f"{root}/{path}").status == 400, path
    assert not Operation.objects.exists()
