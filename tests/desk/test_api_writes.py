"""The writes of the JSON API: what reaches the platform, and what each outcome looks like."""

from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import Settings

from connectors.base import TradeRequest
from connectors.errors import IdempotencyKeyReusedError, InvalidRequestError
from ctrader_app.models import Operation, TradingAccount
from tests.desk.api_client import ApiClient
from tests.desk.fake_platform import FakePlatform

ORDER = {"symbol": "EURUSD", "direction": "BUY", "lot_size": 0.1}


@pytest.fixture
def root(account: TradingAccount) -> str:
    return f"/api/accounts/{account.pk}"


def recorded(account: TradingAccount, state: str, **more: object) -> Operation:
    """A row of the ledger, as the platform would have left it."""
    now = timezone.now()
    return Operation.objects.create(
        sequence=1,
        account=account,
        kind="place",
        state=state,
        idempotency_key="k",
        fingerprint="f",
        parameters={},
        client_order_id="ct-1",
        deadline=now,
        created_at=now,
        updated_at=now,
        **more,
    )


def test_place_hands_over_every_field_exactly(api: ApiClient, root: str, fake: FakePlatform) -> None:
    body = {
        "symbol": "EURUSD",
        "direction": "SELL",
        "volume": "0.10",
        "order_type": "LIMIT",
        "limit_price": 1.1000000001,
        "stop_loss": "1.2",
        "tp_distance": 0.005,
        "label": "l",
        "comment": "c",
        "ttl": 5,
    }
    assert api.post(f"{root}/trades", body, key="k1").status == 202
    assert fake.last == {
        "request": TradeRequest(
            symbol="EURUSD",
            lot_size=Decimal("0.10"),
            direction="SELL",
            stop_loss=Decimal("1.2"),
            order_type="LIMIT",
            limit_price=Decimal("1.1000000001"),
            tp_distance=Decimal("0.005"),
            label="l",
            comment="c",
        ),
        "key": "k1",
        "ttl_s": 5.0,
    }


@pytest.mark.parametrize(
    ("settles_as", "wait", "status", "state"),
    [
        ("succeeded", "", 202, "queued"),
        ("succeeded", "?wait=2", 200, "succeeded"),
        ("refused", "?wait=2", 422, "refused"),
        ("expired", "?wait=2", 422, "expired"),
        ("failed", "?wait=2", 422, "failed"),
        ("queued", "?wait=2", 202, "queued"),
    ],
)
def test_the_status_follows_the_state(
    api: ApiClient, root: str, fake: FakePlatform, settles_as: str, wait: str, status: int, state: str
) -> None:
    fake.settles_as = settles_as
    answer = api.post(f"{root}/trades{wait}", ORDER)
    assert (answer.status, answer.json["state"]) == (status, state)
    assert fake.handles[0].waited_s == ([2.0] if wait else [])
    assert answer.response.headers["Location"] == "/api/operations/fake-1"
    if status == 200:
        assert answer.json["result"]["order_id"] == 7
    if status == 422:
        assert answer.json["error"] == {"code": "NO_MONEY", "message": "NO_MONEY: not enough"}


def test_the_recorded_operation_is_what_answers(
    api: ApiClient, root: str, fake: FakePlatform, account: TradingAccount
) -> None:
    row = recorded(account, "refused", error_code="BAD_VOLUME", error_message="off step", finished_at=timezone.now())
    fake.operation_id = str(row.pk)
    answer = api.post(f"{root}/trades", ORDER)
    assert answer.status == 422
    assert answer.json["id"] == str(row.pk)
    assert answer.json["error"] == {"code": "BAD_VOLUME", "message": "off step"}
    assert api.get(f"/api/operations/{row.pk}").json == answer.json
    assert api.get(f"{root}/operations").json == [answer.json]


def test_wait_is_bounded(api: ApiClient, root: str, fake: FakePlatform) -> None:
    api.post(f"{root}/trades?wait=9999", ORDER)
    assert fake.handles[0].waited_s == [30.0]


@pytest.mark.parametrize("wait", ["-1", "nan", "soon", ""])
def test_a_bad_wait_records_nothing(api: ApiClient, root: str, fake: FakePlatform, wait: str) -> None:
    answer = api.post(f"{root}/trades?wait={wait}", ORDER)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert not fake.calls


def test_close_in_part_and_in_whole(api: ApiClient, root: str, fake: FakePlatform) -> None:
    api.post(f"{root}/positions/11/close", {"volume": 0.05, "symbol": "EURUSD"}, key="k")
    assert fake.last == {"position_id": "11", "volume": Decimal("0.05"), "symbol": "EURUSD", "key": "k"}
    api.post(f"{root}/positions/11/close")
    assert fake.last == {"position_id": "11", "volume": None, "symbol": "", "key": None}


@pytest.mark.parametrize(
    ("body", "stop_loss", "take_profit"),
    [
        ({"stop_loss": 1.1}, Decimal("1.1"), None),
        ({"stop_loss": None}, Decimal(0), None),
        ({"stop_loss": 0, "take_profit": "1.5"}, Decimal(0), Decimal("1.5")),
        ({}, None, None),
    ],
)
def test_an_absent_level_is_kept_and_a_null_one_removed(
    api: ApiClient,
    root: str,
    fake: FakePlatform,
    body: dict[str, object],
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
) -> None:
    assert api.call("PATCH", f"{root}/positions/11/protection", body).status == 202
    assert (fake.last["stop_loss"], fake.last["take_profit"]) == (stop_loss, take_profit)


def test_cancel(api: ApiClient, root: str, fake: FakePlatform) -> None:
    assert api.call("DELETE", f"{root}/orders/5?wait=1", key="k").status == 200
    assert fake.calls == [("cancel", {"order_id": "5", "key": "k"})]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({**ORDER, "stop_los": 1.0}, "stop_los"),
        ({**ORDER, "lot_size": True}, "lot_size"),
        ({**ORDER, "lot_size": "much"}, "lot_size"),
        ({**ORDER, "volume": 0.2}, "differ"),
        ({"symbol": "EURUSD", "direction": "BUY"}, "lot_size is missing"),
        ({"symbol": "EURUSD", "lot_size": 1}, "direction"),
        ({**ORDER, "label": "x" * 101}, "label"),
        ({**ORDER, "ttl": 0}, "ttl"),
        ([], "object"),
    ],
)
def test_what_is_not_understood_is_refused(
    api: ApiClient, root: str, fake: FakePlatform, body: object, says: str
) -> None:
    answer = api.post(f"{root}/trades", body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert says in answer.json["error"]["message"]
    assert not fake.calls


@pytest.mark.parametrize("path", ["positions/11/close", "positions/11/protection"])
def test_an_unknown_field_is_refused_everywhere(api: ApiClient, root: str, fake: FakePlatform, path: str) -> None:
    method = "POST" if path.endswith("close") else "PATCH"
    assert api.call(method, f"{root}/{path}", {"volum": 1}).status == 400
    assert not fake.calls


def test_a_field_given_twice_is_refused(api: ApiClient, root: str, fake: FakePlatform) -> None:
    raw = b'{"symbol": "EURUSD", "direction": "BUY", "lot_size": 0.01, "lot_size": 0.1}'
    answer = api.call("POST", f"{root}/trades", raw=raw)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "lot_size is given twice" in answer.json["error"]["message"]
    assert not fake.calls


def test_a_number_of_any_length_is_left_to_the_platform(api: ApiClient, root: str, fake: FakePlatform) -> None:
    raw = b'{"symbol": "EURUSD", "direction": "BUY", "lot_size": %s}' % (b"1" * 60_000)
    assert api.call("POST", f"{root}/trades", raw=raw).status == 202
    assert len(fake.calls) == 1


@pytest.mark.parametrize("raw", [b"{", b"nope", b"\xff\xfe", b'{"symbol": NaN}', b'{"symbol":"E","direction":"B"} x'])
def test_what_is_not_json_is_refused(api: ApiClient, root: str, fake: FakePlatform, raw: bytes) -> None:
    answer = api.call("POST", f"{root}/trades", raw=raw)
    assert (answer.status, answer.code) == (400, "NOT_JSON")
    assert not fake.calls


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_a_form_never_passes_for_an_empty_body(
    api: ApiClient, root: str, fake: FakePlatform, content_type: str
) -> None:
    answer = api.call("POST", f"{root}/positions/11/close", raw=b"volume=0.01", content_type=content_type)
    assert answer.status == 415
    assert not fake.calls


def test_a_body_without_a_type_is_refused(api: ApiClient, root: str, fake: FakePlatform) -> None:
    assert api.call("POST", f"{root}/positions/11/close", raw=b'{"volume":1}', content_type="").status == 415
    assert api.call("POST", f"{root}/positions/11/close", content_type="").status == 202


def test_a_large_body_is_refused(api: ApiClient, root: str, fake: FakePlatform) -> None:
    answer = api.call("POST", f"{root}/trades", raw=b" " * (64 * 1024 + 1))
    assert (answer.status, answer.code) == (413, "BODY_TOO_LARGE")
    assert not fake.calls


def test_a_reused_key_is_a_conflict(api: ApiClient, root: str, fake: FakePlatform) -> None:
    fake.error = IdempotencyKeyReusedError("another intent", operation_id="op")
    answer = api.post(f"{root}/trades", ORDER, key="k")
    assert (answer.status, answer.code) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert answer.json["error"]["details"] == {"operation_id": "op"}


def test_an_argument_that_the_platform_rejects_is_a_bad_request(api: ApiClient, root: str, fake: FakePlatform) -> None:
    fake.error = InvalidRequestError("lot_size must be above zero")
    answer = api.post(f"{root}/trades", {**ORDER, "lot_size": -1})
    assert (answer.status, answer.json["error"]["message"]) == (400, "lot_size must be above zero")


def test_writes_are_bounded_in_their_rate(api: ApiClient, root: str, fake: FakePlatform, settings: Settings) -> None:
    settings.CTRADER_API_WRITES_PER_MINUTE = 2
    assert [api.post(f"{root}/trades", ORDER).status for _ in range(3)] == [202, 202, 429]
    answer = api.post(f"{root}/trades", ORDER)
    assert answer.code == "THROTTLED"
    assert 1 <= int(answer.response.headers["Retry-After"]) <= 31
    assert len(fake.calls) == 2
    assert api.get(f"{root}/positions").status == 200
