"""Every page of the back office opens for staff, for nobody else, and shows nothing it should not."""

from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult
from pytest_django import DjangoAssertNumQueries

from ctrader_app.ledger import access
from ctrader_app.models import (
    ApiToken,
    DeadLetter,
    Deal,
    Operation,
    Order,
    Position,
    ReconciliationRun,
    StreamWorker,
    SubscriptionLease,
    TradingAccount,
    TradingControl,
)
from tests.admin.conftest import staff

pytestmark = pytest.mark.django_db

MODELS = (
    *("tradingaccount", "tradingcontrol", "operation", "position", "order", "deal", "deadletter"),
    *("reconciliationrun", "subscriptionlease", "streamworker", "apitoken"),
)
READ_ONLY = tuple(name for name in MODELS if name not in ("tradingaccount", "tradingcontrol"))


def changelist(model: str) -> str:
    return reverse(f"admin:ctrader_app_{model}_changelist")


def change(model: str, pk: object) -> str:
    return reverse(f"admin:ctrader_app_{model}_change", args=[pk])


@pytest.fixture
def rows(account: TradingAccount, doubt: Operation) -> dict[str, object]:
    """One row of everything, by model."""
    now = timezone.now()
    book = {"account": account, "symbol": "EURUSD", "direction": "BUY", "volume": Decimal("0.1")}
    position = Position.objects.create(
        **book, position_id="77", open_price=Decimal("1.1"), observed_at=now, client_order_id=doubt.client_order_id
    )
    order = Order.objects.create(
        **book, order_id="88", order_type="LIMIT", price=Decimal("1.2"), observed_at=now, placed_at=now
    )
    deal = Deal.objects.create(
        **book,
        ticket="99",
        position_id="77",
        is_entry=True,
        reason="expert",
        price=Decimal("1.1"),
        profit=Decimal(0),
        commission=Decimal(0),
        swap=Decimal(0),
        executed_at=now,
    )
    access.issue_token(account.user, "robot")
    return {
        "tradingaccount": account.pk,
        "tradingcontrol": TradingControl.objects.create().pk,
        "operation": doubt.pk,
        "position": position.pk,
        "order": order.pk,
        "deal": deal.pk,
        "deadletter": DeadLetter.objects.create(reason="NOT_JSON", body=b"<b>{", size=4).pk,
        "reconciliationrun": ReconciliationRun.objects.create(account=account, cause="event", requested_at=now).pk,
        "subscriptionlease": SubscriptionLease.objects.create(
            account=account, symbol="EURUSD", holder="socket", expires_at=now
        ).pk,
        "streamworker": StreamWorker.objects.create(name="host:1", started_at=now, seen_at=now).pk,
        "apitoken": ApiToken.objects.get().pk,
    }


class TestEveryPage:
    @pytest.mark.parametrize("model", MODELS)
    def test_opens_for_staff_who_may_look(self, viewer: Client, rows: dict[str, object], model: str) -> None:
        assert viewer.get(changelist(model)).status_code == 200
        page = viewer.get(change(model, rows[model]))
        assert page.status_code == 200
        assert 'name="_save"' not in page.content.decode()

    @pytest.mark.parametrize("model", MODELS)
    def test_is_closed_to_everybody_else(self, customer: Client, rows: dict[str, object], model: str) -> None:
        for client in (Client(), customer):
            for url in (changelist(model), change(model, rows[model])):
                answer = client.get(url)
                assert answer.status_code == 302
                assert "/admin/login/" in answer["Location"]
        nobody = staff("nobody")
        assert nobody.get(changelist(model)).status_code == 403
        assert nobody.get(change(model, rows[model])).status_code == 403

    @pytest.mark.parametrize("model", READ_ONLY)
    def test_of_what_the_system_writes_is_read_only_even_for_a_superuser(
        self, boss: Client, rows: dict[str, object], model: str
    ) -> None:
        page = boss.get(change(model, rows[model])).content.decode()
        assert 'name="_save"' not in page
        assert "deletelink" not in page
        assert boss.post(change(model, rows[model]), {}).status_code == 403
        delete = reverse(f"admin:ctrader_app_{model}_delete", args=[rows[model]])
        assert boss.post(delete, {"post": "yes"}).status_code == 403
        if model != "apitoken":
            assert boss.get(reverse(f"admin:ctrader_app_{model}_add")).status_code == 403

    @pytest.mark.parametrize("model", MODELS)
    def test_can_be_searched_and_filtered(self, boss: Client, rows: dict[str, object], model: str) -> None:
        assert boss.get(changelist(model), {"q": "1000001"}).status_code == 200


class TestAccounts:
    def form(self, account: TradingAccount, **changes: str) -> dict[str, str]:
        return {
            "user": str(account.user_id),
            "name": account.name,
            "platform": "ctrader",
            "environment": "live",
            "broker_login": account.broker_login,
            "trading_enabled": "on",
            "new_access_token": "",
            **changes,
        }

    def test_the_access_token_is_never_shown(self, boss: Client, account: TradingAccount) -> None:
        for url in (changelist("tradingaccount"), change("tradingaccount", account.pk)):
            page = boss.get(url).content.decode()
            assert "very-secret-token" not in page
            assert "gAAAA" not in page, "nor the encrypted text"
        again = boss.post(
            change("tradingaccount", account.pk), self.form(account, name="", user="", new_access_token="x")
        )
        assert 'value="x"' not in again.content.decode(), "nor what was typed, when the form comes back"

    def test_an_empty_field_keeps_the_token_and_a_new_one_replaces_it(
        self, boss: Client, account: TradingAccount
    ) -> None:
        url = change("tradingaccount", account.pk)
        assert boss.post(url, self.form(account, name="renamed")).status_code == 302
        account.refresh_from_db()
        assert (account.name, account.access_token) == ("renamed", "very-secret-token")
        boss.post(url, self.form(account, new_access_token="another-token"))
        account.refresh_from_db()
        assert account.access_token == "another-token"
        assert not LogEntry.objects.filter(change_message__contains="another-token").exists()
        boss.post(url, self.form(account, clear_access_token="on"))
        account.refresh_from_db()
        assert account.access_token == ""

    def test_live_money_is_not_to_be_overlooked(
        self, viewer: Client, account: TradingAccount, doubt: Operation
    ) -> None:
        for model in ("tradingaccount", "operation"):
            assert "<strong>LIVE</strong>" in viewer.get(changelist(model)).content.decode()

    def test_the_kill_switch_is_an_action_that_is_logged(self, boss: Client, account: TradingAccount) -> None:
        url = changelist("tradingaccount")
        boss.post(url, {"action": "stop_opening", "_selected_action": [str(account.pk)]})
        account.refresh_from_db()
        assert account.trading_enabled is False
        assert "stopped" in LogEntry.objects.get().change_message
        boss.post(url, {"action": "allow_opening", "_selected_action": [str(account.pk)]})
        account.refresh_from_db()
        assert account.trading_enabled is True

    @pytest.mark.parametrize("action", ["stop_opening", "reconcile_now"])
    def test_who_may_only_look_cannot_switch(self, viewer: Client, account: TradingAccount, action: str) -> None:
        url = changelist("tradingaccount")
        assert f'value="{action}"' not in viewer.get(url).content.decode()
        viewer.post(url, {"action": action, "_selected_action": [str(account.pk)]})
        account.refresh_from_db()
        assert account.trading_enabled is True
        assert not ReconciliationRun.objects.exists()

    def test_there_is_one_global_switch(self, boss: Client) -> None:
        add = reverse("admin:ctrader_app_tradingcontrol_add")
        assert boss.post(add, {"reason": "drill"}).status_code == 302
        control = TradingControl.objects.get()
        assert (control.opening_enabled, control.reason) == (False, "drill")
        assert boss.get(add).status_code == 403


class TestOperations:
    def test_the_page_tells_its_life(self, viewer: Client, rows: dict[str, object], doubt: Operation) -> None:
        result = TaskResult.objects.create(task_id=doubt.task_id, status="SUCCESS")
        page = viewer.get(change("operation", doubt.pk)).content.decode()
        assert "key-of-the-doubt" in page
        assert "ctrader.place on worker" in page
        assert reverse("admin:django_celery_results_taskresult_change", args=[result.pk]) in page
        assert change("position", rows["position"]) in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script>alert(1)</script>" not in page

    def test_its_times_are_exact(self, viewer: Client, doubt: Operation) -> None:
        page = viewer.get(change("operation", doubt.pk)).content.decode()
        step = doubt.transitions.last()
        assert step
        assert f"{step.at:%Y-%m-%d %H:%M:%S}.{step.at.microsecond // 1000:03}" in page
        assert f"{doubt.created_at:%Y-%m-%d %H:%M:%S}" in page

    @pytest.mark.parametrize("query", ["key-of-the-doubt", "cid-of-the-doubt", "1000001"])
    def test_is_found_by_key_and_client_order_id(self, viewer: Client, doubt: Operation, query: str) -> None:
        assert change("operation", doubt.pk) in viewer.get(changelist("operation"), {"q": query}).content.decode()
        assert change("operation", doubt.pk) not in viewer.get(changelist("operation"), {"q": "other"}).content.decode()

    def test_doubts_are_counted_above_the_list(self, viewer: Client, doubt: Operation) -> None:
        page = viewer.get(changelist("operation")).content.decode()
        assert "In doubt: 1" in page
        assert "BUY 0.1 EURUSD MARKET" in page
        doubts = viewer.get(changelist("operation"), {"state__exact": "in_doubt"}).content.decode()
        assert change("operation", doubt.pk) in doubts

    def test_a_position_leads_to_its_operation(self, viewer: Client, rows: dict[str, object], doubt: Operation) -> None:
        page = viewer.get(change("position", rows["position"])).content.decode()
        assert change("operation", doubt.pk) in page

    def test_the_list_asks_no_question_per_row(
        self, boss: Client, doubt: Operation, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(20):
            Operation.objects.create(
                sequence=number + 2,
                account=doubt.account,
                kind="close",
                idempotency_key=f"key-{number}",
                fingerprint="f" * 64,
                parameters={},
                client_order_id=f"cid-{number}",
                deadline=timezone.now(),
                created_at=timezone.now(),
                updated_at=timezone.now(),
            )
        with django_assert_max_num_queries(12):
            boss.get(changelist("operation"))


class TestTokens:
    def test_a_token_is_shown_once(self, boss: Client, account: TradingAccount) -> None:
        add = reverse("admin:ctrader_app_apitoken_add")
        answer = boss.post(add, {"user": account.user_id, "name": "robot"})
        token = answer.context["token"]
        assert token in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]
        assert access.user_of_token(token) == account.user
        row = ApiToken.objects.get()
        for url in (changelist("apitoken"), change("apitoken", row.pk), add):
            page = boss.get(url).content.decode()
            assert token not in page
            assert row.digest not in page
        assert not LogEntry.objects.filter(change_message__contains=token).exists()

    def test_only_a_superuser_issues_tokens_in_another_name(self, account: TradingAccount) -> None:
        clerk = staff("clerk", "add", "view")
        add = reverse("admin:ctrader_app_apitoken_add")
        clerk.post(add, {"user": account.user_id, "name": "robot"})
        assert not ApiToken.objects.exists()
        clerk.post(add, {"user": User.objects.get(username="clerk").pk, "name": "mine"})
        assert ApiToken.objects.get().user.username == "clerk"

    def test_nobody_issues_one_without_the_permission(self, viewer: Client) -> None:
        assert viewer.get(reverse("admin:ctrader_app_apitoken_add")).status_code == 403
        assert viewer.post(reverse("admin:ctrader_app_apitoken_add"), {"name": "x", "user": 1}).status_code == 403

    def test_a_revoked_token_opens_nothing(self, boss: Client, viewer: Client, account: TradingAccount) -> None:
        token = access.issue_token(account.user, "robot")
        action = {"action": "revoke", "_selected_action": [str(ApiToken.objects.get().pk)]}
        viewer.post(changelist("apitoken"), action)
        assert access.user_of_token(token) == account.user
        boss.post(changelist("apitoken"), action)
        assert access.user_of_token(token) is None
