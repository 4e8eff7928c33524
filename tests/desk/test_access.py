"""Tokens, tickets and ownership."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.utils import timezone

from ctrader_app.ledger import access
from ctrader_app.models import ApiToken, SocketTicket, TradingAccount


def test_a_token_lets_its_user_in_and_is_not_stored(user: User) -> None:
    token = access.issue_token(user, "laptop")
    assert access.user_of_token(token) == user
    row = ApiToken.objects.get()
    assert row.name == "laptop"
    assert token not in (row.digest, row.name)
    assert access.issue_token(user, "laptop") != token


@pytest.mark.parametrize("token", ["", "x", "x" * 10_000, "ключ", "\ud800", "x\0y"])
def test_no_other_token_lets_anybody_in(user: User, token: str) -> None:
    access.issue_token(user, "")
    assert access.user_of_token(token) is None
    assert access.redeem_ticket(token) is None


def test_a_revoked_token_and_an_inactive_user_stay_out(user: User) -> None:
    token, ticket = access.issue_token(user, ""), access.issue_ticket(user)
    User.objects.update(is_active=False)
    assert access.user_of_token(token) is None
    assert access.redeem_ticket(ticket) is None
    User.objects.update(is_active=True)
    assert access.user_of_token(token) == user
    ApiToken.objects.update(revoked_at=timezone.now())
    assert access.user_of_token(token) is None


def test_a_ticket_opens_once(user: User) -> None:
    ticket = access.issue_ticket(user)
    assert access.redeem_ticket(ticket) == user
    assert access.redeem_ticket(ticket) is None


def test_a_ticket_lives_for_30_seconds(user: User) -> None:
    ticket = access.issue_ticket(user)
    row = SocketTicket.objects.get()
    assert timedelta(seconds=25) < row.expires_at - timezone.now() <= timedelta(seconds=30)
    SocketTicket.objects.update(expires_at=timezone.now())
    assert access.redeem_ticket(ticket) is None


def test_expired_tickets_go_when_new_ones_come(user: User) -> None:
    access.issue_ticket(user)
    live = access.issue_ticket(user)
    SocketTicket.objects.filter(pk=SocketTicket.objects.earliest("pk").pk).update(expires_at=timezone.now())
    access.issue_ticket(user)
    assert SocketTicket.objects.count() == 2
    assert access.redeem_ticket(live) == user


def test_a_ticket_that_a_rival_redeems_in_between_opens_nothing(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = access.issue_ticket(user)
    won: list[User | None] = []
    filtered = SocketTicket.objects.filter

    def rival_before_the_delete(*args: object, **kwargs: object) -> object:
        if "pk" in kwargs and not won:
            won.append(None)
            won[0] = access.redeem_ticket(ticket)
        return filtered(*args, **kwargs)

    monkeypatch.setattr(SocketTicket.objects, "filter", rival_before_the_delete)
    assert access.redeem_ticket(ticket) is None
    assert won == [user]


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_gets_in() -> None:
    user = User.objects.create(username="ada")
    ticket = access.issue_ticket(user)
    start = threading.Barrier(4)
    let_in: list[User | None] = []

    def redeem() -> None:
        start.wait(timeout=10)
        try:
            let_in.append(access.redeem_ticket(ticket))
        finally:
            connection.close()

    threads = [threading.Thread(target=redeem) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(let_in, key=bool) == [None, None, None, user]


def test_only_the_owner_gets_the_account(user: User, stranger: User) -> None:
    account = TradingAccount.objects.create(user=user)
    assert access.owned_account(user, account.pk) == account
    assert access.owned_account(user, str(account.pk)) == account
    assert access.owned_account(stranger, account.pk) is None
    assert access.owned_account(AnonymousUser(), account.pk) is None
    assert access.owned_account(user, uuid.uuid4()) is None


@pytest.mark.parametrize("account_id", ["", "x", "1001", "../admin", "0" * 100, "\0", "ж"])
def test_a_malformed_account_id_is_nobodys(user: User, account_id: str) -> None:
    assert access.owned_account(user, account_id) is None
