"""An open socket ends soon after the right to it does, and not because nobody can tell."""

from collections.abc import Callable

import pytest
from channels.layers import InMemoryChannelLayer
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from django.utils import timezone

from ctrader_app.consumers.sockets import watch
from ctrader_app.consumers.sockets.threads import in_database_thread
from ctrader_app.ledger.access import issue_ticket, issue_token
from ctrader_app.models import ApiToken, TradingAccount
from tests.consumers.conftest import Browser, Open
from tests.consumers.service import FakeService
from tests.support.operations import make_account
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.usefixtures("enqueued")

PATHS = ["/ws/prices/{}/EURUSD/", "/ws/accounts/{}/"]


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many credentials each round looked at; one round follows another."""
    counts: list[int] = []
    look = watch._credential_owners

    def counted(credentials: list[watch.Credential]) -> dict[watch.Credential, object]:
        counts.append(len(credentials))
        return look(credentials)

    monkeypatch.setattr(watch, "_credential_owners", counted)
    monkeypatch.setattr(watch, "RECHECK_S", 0.02)
    return counts


async def further(looks: list[int], rounds: int = 3) -> None:
    """Wait until some rounds have begun after now."""
    enough = len(looks) + rounds
    await wait_until_async(lambda: len(looks) >= enough)


async def is_open(browser: Browser) -> bool:
    await browser.joined()
    return True


def revoke() -> None:
    ApiToken.objects.update(revoked_at=timezone.now())


def shut_out() -> None:
    User.objects.update(is_active=False)


def remove_user() -> None:
    User.objects.all().delete()


def give_away() -> None:
    TradingAccount.objects.update(user=User.objects.create(username="somebody else"))


def remove_account() -> None:
    TradingAccount.objects.all().delete()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("change", "code"),
    [(revoke, 4001), (shut_out, 4001), (remove_user, 4001), (give_away, 4003), (remove_account, 4003)],
)
async def test_the_socket_of_a_token_ends_with_the_right_to_it(
    path: str, change: Callable[[], None], code: int, account: TradingAccount, browse: Open, service: FakeService,
    looks: list[int], layer: InMemoryChannelLayer,
) -> None:  # fmt: skip
    browser = await (await browse(path.format(account.pk))).joined()
    await further(looks)
    assert await is_open(browser)
    await in_database_thread(change)
    assert await browser.ended() == code
    assert not layer.groups


def sign_out(cookie: dict[str, str]) -> None:
    client = Client()
    client.cookies["sessionid"] = cookie["cookie"].partition("=")[2]
    client.logout()


def expire(cookie: dict[str, str]) -> None:
    Session.objects.update(expire_date=timezone.now())


def change_password(cookie: dict[str, str]) -> None:
    user = User.objects.get()
    user.set_password("another one")
    user.save()


def become_another(cookie: dict[str, str]) -> None:
    other = Client()
    other.force_login(User.objects.create(username="another"))
    session = SessionStore(cookie["cookie"].partition("=")[2])
    session.update(dict(other.session.items()))
    session.save()


@pytest.mark.parametrize("change", [sign_out, expire, change_password, become_another])
async def test_the_socket_of_a_session_ends_with_the_session(
    change: Callable[[dict[str, str]], None], account: TradingAccount, cookie: dict[str, str], browse: Open,
    looks: list[int],
) -> None:  # fmt: skip
    browser = await (await browse(f"/ws/accounts/{account.pk}/", headers=cookie)).joined()
    by_token = await (await browse(f"/ws/accounts/{account.pk}/")).joined()
    await further(looks)
    assert await is_open(browser)
    await in_database_thread(change, cookie)
    assert await browser.ended() == 4001
    await further(looks)
    assert await is_open(by_token)


async def test_the_socket_of_a_ticket_lives_by_its_user(
    account: TradingAccount, browse: Open, looks: list[int]
) -> None:
    ticket = await in_database_thread(issue_ticket, account.user)
    browser = await (await browse(f"/ws/accounts/{account.pk}/?ticket={ticket}", headers={})).joined()
    await in_database_thread(revoke)
    await further(looks)
    assert await is_open(browser)
    await in_database_thread(shut_out)
    assert await browser.ended() == 4001


async def test_others_stay(account: TradingAccount, browse: Open, looks: list[int]) -> None:
    other = await in_database_thread(make_account)
    token = await in_database_thread(issue_token, other.user, "test")
    stays = await (await browse(f"/ws/accounts/{other.pk}/", headers={"authorization": f"Bearer {token}"})).joined()
    goes = await (await browse(f"/ws/accounts/{account.pk}/")).joined()
    await in_database_thread(lambda: ApiToken.objects.filter(user=account.user).update(revoked_at=timezone.now()))
    assert await goes.ended() == 4001
    await further(looks)
    assert await is_open(stays)


async def test_sockets_of_one_credential_cost_one_look(account: TradingAccount, browse: Open, looks: list[int]) -> None:
    opened = [await (await browse(f"/ws/accounts/{account.pk}/")).joined() for _ in range(5)]
    await further(looks)
    assert set(looks) == {1}
    for browser in opened:
        await browser.leave()
    assert not watch.watch()._seats
    assert watch.watch()._keeper is None


async def test_a_database_that_is_away_closes_nothing(
    account: TradingAccount, cookie: dict[str, str], browse: Open, looks: list[int]
) -> None:
    path = f"/ws/accounts/{account.pk}/"
    opened = [await (await browse(path, headers=headers)).joined() for headers in (None, cookie)]
    refused: list[None] = []

    def away(_self: BaseDatabaseWrapper) -> None:
        refused.append(None)
        raise OperationalError("away")

    with pytest.MonkeyPatch.context() as outage:
        outage.setattr(BaseDatabaseWrapper, "cursor", away)
        await wait_until_async(lambda: len(refused) >= 3)
        for browser in opened:
            assert await is_open(browser)
    await further(looks)
    for browser in opened:
        assert await is_open(browser)
    await in_database_thread(shut_out)
    assert [await browser.ended() for browser in opened] == [4001, 4001]


async def test_a_session_store_that_fails_closes_nothing_and_hides_nobody_else(
    account: TradingAccount, cookie: dict[str, str], browse: Open, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_token = await (await browse(f"/ws/accounts/{account.pk}/")).joined()
    by_session = await (await browse(f"/ws/accounts/{account.pk}/", headers=cookie)).joined()

    def broken(_self: SessionStore) -> None:
        raise ConnectionError("the store is away")

    monkeypatch.setattr(SessionStore, "load", broken)
    await in_database_thread(revoke)
    assert await by_token.ended() == 4001
    await further(looks)
    assert await is_open(by_session)


async def test_a_session_signed_with_a_former_key_is_read_and_left_as_it_is(
    account: TradingAccount, cookie: dict[str, str], browse: Open, looks: list[int], settings: LazySettings
) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a newer key"
    browser = await (await browse(f"/ws/accounts/{account.pk}/", headers=cookie)).joined()
    await further(looks)
    assert await is_open(browser)
    key = cookie["cookie"].partition("=")[2]
    assert await in_database_thread(lambda: list(Session.objects.values_list("pk", flat=True))) == [key]
