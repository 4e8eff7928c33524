"""Accounts for the tests of the books."""

import pytest
from django.contrib.auth import get_user_model

from ctrader_app.models import TradingAccount


@pytest.fixture
def account(db: None) -> TradingAccount:
    """An account with a login at the broker."""
    user = get_user_model().objects.create_user("owner")
    return TradingAccount.objects.create(user=user, broker_login="1000001", name="demo")
