"""The demonstration user, account and token of the embedded system."""

import os

from django.contrib.auth import get_user_model

from connectors.trading_service import TradingService
from ctrader_app.ledger.access import adopt_token
from ctrader_app.models import TradingAccount

USERNAME = "demo"
PROBE_SYMBOL = "EURUSD"


def ensure_demo() -> TradingAccount:
    """The demo account, made at the first start; its owner can also open the admin. Password and token are kept in
    the state folder, so that they are the same at each start."""
    user, is_new = get_user_model().objects.get_or_create(
        username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
    )
    if is_new or not user.check_password(password()):
        user.set_password(password())
        user.save()
    adopt_token(user, "embedded", token())
    account, _ = TradingAccount.objects.get_or_create(user=user, name="Paper", defaults={"environment": "demo"})
    return account


def password() -> str:
    """The demo user's password."""
    return os.environ["EMBEDDED_PASSWORD"]


def token() -> str:
    """The demo user's API token."""
    return os.environ["EMBEDDED_TOKEN"]


def prove_tradable(account: TradingAccount) -> None:
    """Open the account's session and read a price. Raises ConnectorError while a trade would not work."""
    service = TradingService(account)
    service.connect_sync()
    service.get_live_price_sync(PROBE_SYMBOL)
