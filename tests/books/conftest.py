"""Accounts for the tests of the books, and what browsers are sent of them."""

from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.dispatch import Signal

from ctrader_app.broadcast import account as push
from ctrader_app.ledger import signals
from ctrader_app.models import Position, TradingAccount


@pytest.fixture
def account(db: None) -> TradingAccount:
    """An account with a login at the broker."""
    return new_account()


@pytest.fixture
def account_anywhere(each_database: str) -> TradingAccount:
    """The same on SQLite and on PostgreSQL, with real commits and locks."""
    return new_account()


def new_account() -> TradingAccount:
    """An owner and their account."""
    user = get_user_model().objects.create_user("owner")
    return TradingAccount.objects.create(user=user, broker_login="1000001", name="demo")


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """(kind, content) of every message for the account's sockets."""
    messages: list[tuple[str, object]] = []
    for kind in ("open_positions_update", "pending_orders_update", "account_info_update"):

        def send(_account_id: object, content: object, kind: str = kind) -> None:
            messages.append((kind, content))

        monkeypatch.setattr(push, kind, send)
    return messages


@pytest.fixture
def heard() -> Iterator[list[tuple[str, str]]]:
    """(signal, position id) of every signal a host gets."""
    events: list[tuple[str, str]] = []
    receivers: list[tuple[Signal, object]] = []
    for name in ("position_opened", "position_changed", "position_closed"):

        def listen(position: Position, account: TradingAccount, name: str = name, **_kwargs: object) -> None:
            assert position.pk is not None
            assert position.account == account
            events.append((name, position.position_id))

        signal: Signal = getattr(signals, name)
        signal.connect(listen)
        receivers.append((signal, listen))
    yield events
    for signal, receiver in receivers:
        signal.disconnect(receiver)  # type: ignore[arg-type]
