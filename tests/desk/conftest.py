"""Fixtures of the desk: a user with an account on an in-memory platform, and a client that holds the user's token."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from connectors import factory
from ctrader_app.desk import health, metrics
from ctrader_app.desk.api import throttle
from ctrader_app.ledger import access
from ctrader_app.models import TradingAccount
from tests.desk.api_client import ApiClient
from tests.desk.fake_platform import FakePlatform


@pytest.fixture(autouse=True)
def fresh_counters() -> Iterator[None]:
    """No test finds what another one left in the process."""
    throttle.writes.clear()
    health.forget()
    metrics.page.forget()
    yield
    throttle.writes.clear()


@pytest.fixture(autouse=True)
def static_root(settings: Settings, tmp_path: Path) -> None:
    """WhiteNoise warns about a folder that only ``collectstatic`` makes."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def user(db: None) -> User:
    """The caller."""
    return User.objects.create(username="ada")


@pytest.fixture
def stranger(db: None) -> User:
    """Somebody else."""
    return User.objects.create(username="bob")


@pytest.fixture
def fake() -> Iterator[FakePlatform]:
    """The platform ``fake``, registered for this test."""
    platform = FakePlatform()
    factory.register_connector("fake", lambda _account: platform)
    yield platform
    del factory._factories["fake"]


@pytest.fixture
def account(user: User, fake: FakePlatform) -> TradingAccount:
    """The caller's account."""
    return TradingAccount.objects.create(user=user, platform="fake", name="Main", broker_login="1001")


@pytest.fixture
def foreign(stranger: User, fake: FakePlatform) -> TradingAccount:
    """Somebody else's account."""
    return TradingAccount.objects.create(user=stranger, platform="fake", broker_login="2002")


@pytest.fixture
def api(user: User, client: Client) -> ApiClient:
    """The API as the caller's program uses it: with a token, and CSRF enforced where it applies."""
    return ApiClient(Client(enforce_csrf_checks=True), access.issue_token(user, "tests"))
