"""People at the back office, and rows for them to look at."""

import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from connectors.base import TradeRequest
from ctrader_app.domain.intents import PlaceIntent
from ctrader_app.domain.operations import State
from ctrader_app.models import Operation, OperationTransition, TradingAccount


@pytest.fixture(autouse=True)
def static_root(settings: Settings, tmp_path: Path) -> None:
    """A folder of collected files that exists, though empty: WhiteNoise warns of a missing one."""
    settings.STATIC_ROOT = tmp_path


def staff(name: str, *verbs: str) -> Client:
    """The signed-in client of a member of staff with these permissions on every table of the app."""
    user = User.objects.create_user(name, is_staff=True)
    for verb in verbs:
        permissions = Permission.objects.filter(content_type__app_label="ctrader_app", codename__startswith=f"{verb}_")
        user.user_permissions.add(*permissions)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def boss(db: None) -> Client:
    """A superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password=None))
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    """Staff who may look at everything and change nothing."""
    return staff("viewer", "view")


@pytest.fixture
def customer(db: None) -> Client:
    """Somebody who is signed in and no staff."""
    client = Client()
    client.force_login(User.objects.create_user("customer"))
    return client


@pytest.fixture
def account(db: None) -> TradingAccount:
    """A live account with an access token."""
    return TradingAccount.objects.create(
        user=User.objects.create_user("owner"),
        name="house",
        broker_login="1000001",
        environment="live",
        access_token="very-secret-token",
        balance=Decimal("1234.5"),
        currency="EUR",
    )


@pytest.fixture
def doubt(account: TradingAccount) -> Operation:
    """An order that may have left."""
    now = timezone.now()
    operation = Operation.objects.create(
        sequence=1,
        account=account,
        kind="place",
        state=State.IN_DOUBT.value,
        idempotency_key="key-of-the-doubt",
        fingerprint="f" * 64,
        parameters=PlaceIntent.of_request(TradeRequest("EURUSD", "0.1", "BUY")).parameters(),
        client_order_id="cid-of-the-doubt",
        deadline=now + timedelta(seconds=30),
        attempts=1,
        claimed_at=now,
        doubted_at=now,
        task_id=str(uuid.uuid4()),
        created_at=now,
        updated_at=now,
    )
    OperationTransition.objects.create(
        operation=operation,
        from_state="sending",
        to_state="in_doubt",
        reason="no answer",
        evidence="<script>alert(1)</script>",
        actor="ctrader.place on worker",
        at=now,
    )
    return operation
