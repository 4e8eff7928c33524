"""Who may call the API, and for which account."""

import uuid

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from ctrader_app.ledger import access
from ctrader_app.models import ApiToken, Operation, TradingAccount
from tests.desk.api_client import Answer, ApiClient
from tests.desk.fake_platform import FakePlatform

ORDER = {"symbol": "EURUSD", "direction": "BUY", "lot_size": 0.1}


@pytest.fixture
def session(user: User) -> ApiClient:
    """The API as a signed-in browser uses it, with CSRF enforced."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    return ApiClient(browser)


def csrf_token(session: ApiClient) -> str:
    session.client.get("/")
    return session.client.cookies["csrftoken"].value


def test_nobody_gets_nothing(account: TradingAccount, fake: FakePlatform) -> None:
    nobody = ApiClient(Client(enforce_csrf_checks=True))
    for method, path in [
        ("GET", "/api/accounts"),
        ("POST", f"/api/accounts/{account.pk}/trades"),
        ("POST", "/api/ws-ticket"),
        ("GET", f"/api/operations/{uuid.uuid4()}"),
    ]:
        answer = nobody.call(method, path, ORDER if method == "POST" else None)
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
        assert answer.response.headers["WWW-Authenticate"] == "Bearer"
    assert not fake.calls


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer nope", "Basic YTpi", "nope", ""])
def test_a_wrong_authorization_is_not_rescued_by_the_session(session: ApiClient, header: str) -> None:
    assert session.get("/api/accounts").status == 200
    assert session.call("GET", "/api/accounts", Authorization=header).status == 401


def test_a_token_needs_no_csrf_token_and_a_revoked_one_is_refused(api: ApiClient, account: TradingAccount) -> None:
    assert api.post(f"/api/accounts/{account.pk}/trades", ORDER).status == 202
    ApiToken.objects.update(revoked_at=timezone.now())
    assert api.get("/api/accounts").status == 401


def test_a_session_needs_its_csrf_token_to_write(
    session: ApiClient, account: TradingAccount, fake: FakePlatform
) -> None:
    path = f"/api/accounts/{account.pk}/trades"
    answer = session.post(path, ORDER)
    assert (answer.status, answer.code) == (403, "CSRF_FAILED")
    assert session.call("POST", path, ORDER, X_CSRFToken="x" * 32).status == 403
    assert not fake.calls
    assert session.call("POST", path, ORDER, X_CSRFToken=csrf_token(session)).status == 202
    assert session.get(f"/api/accounts/{account.pk}/positions").status == 200


def test_a_form_with_the_csrf_token_in_its_body_still_closes_nothing(
    session: ApiClient, account: TradingAccount, fake: FakePlatform
) -> None:
    answer = session.call(
        "POST",
        f"/api/accounts/{account.pk}/positions/1/close",
        raw=f"csrfmiddlewaretoken={csrf_token(session)}&volume=0.01".encode(),
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status == 415
    assert not fake.calls


def calls_on(api: ApiClient, account_id: object) -> list[Answer]:
    root = f"/api/accounts/{account_id}"
    return [
        api.post(f"{root}/trades", ORDER),
        api.post(f"{root}/positions/1/close", {}),
        api.call("PATCH", f"{root}/positions/1/protection", {"stop_loss": 1}),
        api.call("DELETE", f"{root}/orders/1"),
        *(
            api.get(f"{root}/{path}")
            for path in (
                "account-info", "positions", "orders", "deals", "operations", "price/EURUSD", "candles/EURUSD/M1",
                "symbols/EURUSD",
            )
        ),
    ]  # fmt: skip


def test_somebody_elses_an_unknown_and_a_malformed_account_look_the_same(
    api: ApiClient, foreign: TradingAccount, fake: FakePlatform
) -> None:
    answers = [calls_on(api, account_id) for account_id in (foreign.pk, uuid.uuid4(), "nonsense")]
    assert {answer.status for group in answers for answer in group} == {404}
    assert len({answer.response.content for group in answers for answer in group}) == 1
    assert answers[0][0].code == "ACCOUNT_NOT_FOUND"
    assert not fake.calls
    assert api.get("/api/accounts").json == []


def test_somebody_elses_operation_looks_unknown(
    api: ApiClient, account: TradingAccount, foreign: TradingAccount
) -> None:
    now = timezone.now()
    row = Operation.objects.create(
        sequence=1, account=foreign, kind="place", idempotency_key="k", fingerprint="f", parameters={},
        client_order_id="ct-1", deadline=now, created_at=now, updated_at=now,
    )  # fmt: skip
    answers = [api.get(f"/api/operations/{key}") for key in (row.pk, uuid.uuid4(), "nonsense")]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.response.content for answer in answers}) == 1


def test_wrong_methods_and_paths_answer_in_json(api: ApiClient, account: TradingAccount) -> None:
    answer = api.call("PUT", f"/api/accounts/{account.pk}/trades", {})
    assert (answer.status, answer.code) == (405, "METHOD_NOT_ALLOWED")
    assert answer.response.headers["Allow"] == "POST"
    for path in ("/api/", "/api/nothing/here", f"/api/accounts/{account.pk}", "/api/nothing%0D%0Ahere"):
        assert (api.get(path).status, api.get(path).code) == (404, "NOT_FOUND")
    assert api.post("/api/nothing", {}).status == 404


def test_a_failure_of_ours_answers_in_json_and_tells_nothing(
    api: ApiClient, account: TradingAccount, fake: FakePlatform
) -> None:
    fake.error = DatabaseError("password=hunter2")
    answer = api.get(f"/api/accounts/{account.pk}/positions")
    assert (answer.status, answer.code) == (500, "INTERNAL_ERROR")
    assert b"hunter2" not in answer.response.content


def test_a_ticket_is_the_callers(api: ApiClient, user: User) -> None:
    answer = api.post("/api/ws-ticket")
    assert answer.status == 200
    assert answer.json["expires_in"] == 30
    assert answer.response.headers["Cache-Control"] == "no-store"
    assert access.redeem_ticket(answer.json["ticket"]) == user
