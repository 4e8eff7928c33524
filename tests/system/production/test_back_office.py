"""The admin over HTTP: everything is to be seen by those who may, and by nobody else."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django_celery_results.models import TaskResult
from kombu import Connection, Exchange

from ctrader_app.models import DeadLetter, TradingAccount
from tests.support.waiting import wait_until
from tests.system.client import Api, Browser
from tests.system.production.conftest import Production
from tests.system.traders import new_user

PASSWORD = "correct horse battery staple"
ACCESS_TOKEN = "venue-token-that-no-page-may-show"


@pytest.fixture(scope="module")
def pages(production: Production) -> dict[str, str]:
    """The pages of one account's life, and a word that each must hold."""
    trader: Api = production.new_trader(access_token=ACCESS_TOKEN)
    position_id = trader.opened()
    operation = trader.get("{}/operations")[0]
    refused = trader.trade(symbol="NOSUCHSYMBOL").body
    wait_until(TaskResult.objects.filter(task_id=operation["id"]).exists, 10.0, "the task's result")
    with Connection(production.amqp_url) as connection:
        producer = connection.Producer(exchange=Exchange("ctrader.events", type="topic", durable=True))
        producer.publish(b"<script>alert(1)</script>", routing_key="positions.snapshot", content_encoding="utf-8")
    letters = DeadLetter.objects.filter(reason="not_json", body=b"<script>alert(1)</script>")
    wait_until(letters.exists, 20.0, "the dead letter")
    result = TaskResult.objects.get(task_id=operation["id"])
    ours, results = "/admin/ctrader_app", "/admin/django_celery_results/taskresult/"
    name = str(TradingAccount.objects.get(pk=trader.account))
    wait_until(trader.positions, 10.0)
    return {
        "/admin/": "Operations",
        f"{ours}/tradingaccount/": name,
        f"{ours}/tradingaccount/{trader.account}/change/": name,
        f"{ours}/operation/": "succeeded",
        f"{ours}/operation/{operation['id']}/change/": operation["client_order_id"],
        f"{ours}/operation/{refused['id']}/change/": refused["error"]["code"],
        f"{ours}/position/": "EURUSD",
        f"{ours}/deal/": position_id,
        f"{ours}/reconciliationrun/": "done",
        f"{ours}/streamworker/": "worker",
        f"{ours}/subscriptionlease/": "lease",
        f"{ours}/deadletter/": "not_json",
        f"{ours}/deadletter/{letters[0].pk}/change/": "&lt;script&gt;",
        results: "ctrader.place",
        f"{results}{result.pk}/change/": "ctrader.place",
    }


@pytest.fixture
def browser(production: Production) -> Iterator[Browser]:
    """Nobody yet."""
    with Browser(production.system.web_url) as browser:
        yield browser


def _signed_in(browser: Browser, user: User) -> Browser:
    browser.sign_in(user.username, PASSWORD)
    return browser


def test_a_superuser_opens_every_page(browser: Browser, pages: dict[str, str]) -> None:
    _signed_in(browser, new_user(password=PASSWORD, is_staff=True, is_superuser=True))
    for path, word in pages.items():
        page = browser.get(path)
        assert page.status_code == 200, path
        assert word in page.text, path
        assert ACCESS_TOKEN not in page.text, path
        assert "<script>alert" not in page.text, path


@pytest.mark.parametrize("who", ["nobody", "user", "staff without rights"])
def test_nobody_else_does(browser: Browser, pages: dict[str, str], who: str) -> None:
    if who != "nobody":
        _signed_in(browser, new_user(password=PASSWORD, is_staff=who != "user"))
    for path, word in pages.items():
        if path == "/admin/" and who == "staff without rights":
            continue
        page = browser.get(path)
        assert page.status_code == (403 if who == "staff without rights" else 302), path
        assert word not in page.text, path
