"""Who is let in. A socket without rights is accepted, told why it is closed, and joins nothing."""

import uuid

import pytest
from channels.layers import InMemoryChannelLayer
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError

from ctrader_app.consumers import auth
from ctrader_app.consumers.auth import is_own_page
from ctrader_app.consumers.sockets import base
from ctrader_app.consumers.sockets.threads import in_database_thread
from ctrader_app.ledger.access import issue_ticket, issue_token
from ctrader_app.models import ApiToken, TradingAccount
from tests.consumers.conftest import Open
from tests.consumers.service import FakeService
from tests.support.operations import make_account

pytestmark = pytest.mark.usefixtures("enqueued")

PATHS = ["/ws/prices/{}/EURUSD/", "/ws/accounts/{}/"]


def nothing_happened(layer: InMemoryChannelLayer, service: FakeService) -> bool:
    return not layer.groups and not service.calls


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer "}, {"cookie": "sessionid=wrong"}]
)
async def test_a_stranger_is_told_4001(
    path: str, headers: dict[str, str], account: TradingAccount, browse: Open, layer: InMemoryChannelLayer,
    service: FakeService,
) -> None:  # fmt: skip
    browser = await browse(path.format(account.pk), headers=headers)
    assert await browser.close_code() == 4001
    assert nothing_happened(layer, service)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("whose", ["foreign", "unknown", "malformed"])
async def test_an_account_that_is_not_yours_or_not_at_all_is_4003(
    path: str, whose: str, browse: Open, layer: InMemoryChannelLayer, service: FakeService
) -> None:
    foreign = await in_database_thread(make_account)
    reference = {"foreign": str(foreign.pk), "unknown": str(uuid.uuid4()), "malformed": "1000001"}[whose]
    browser = await browse(path.format(reference))
    assert await browser.close_code() == 4003
    assert nothing_happened(layer, service)


@pytest.mark.parametrize("path", ["/ws/", "/ws/prices/x/", "/ws/unheard/of/"])
async def test_an_address_that_leads_nowhere_is_refused_like_any_other(path: str, browse: Open) -> None:
    assert await (await browse(path)).close_code() == 4003
    assert await (await browse(path, headers={})).close_code() == 4001


async def test_a_token_opens_sockets_until_it_is_revoked(
    account: TradingAccount, browse: Open, service: FakeService
) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/")
    assert (await browser.frame())["type"] == "live_price"
    await in_database_thread(ApiToken.objects.update, revoked_at="2026-01-01T00:00:00Z")
    assert await (await browse(f"/ws/prices/{account.pk}/EURUSD/")).close_code() == 4001


async def test_a_ticket_opens_one_socket(account: TradingAccount, browse: Open, service: FakeService) -> None:
    ticket = await in_database_thread(issue_ticket, account.user)
    path = f"/ws/prices/{account.pk}/EURUSD/?ticket={ticket}"
    assert (await (await browse(path, headers={})).frame())["type"] == "live_price"
    assert await (await browse(path, headers={})).close_code() == 4001


async def test_whoever_shows_a_bad_ticket_is_not_saved_by_a_cookie(
    account: TradingAccount, cookie: dict[str, str], browse: Open
) -> None:
    browser = await browse(f"/ws/accounts/{account.pk}/?ticket=wrong", headers=cookie)
    assert await browser.close_code() == 4001


async def test_a_query_of_a_thousand_fields_is_no_ticket(account: TradingAccount, browse: Open) -> None:
    browser = await browse(f"/ws/accounts/{account.pk}/?{'a&' * 1000}", headers={"host": "desk.example"})
    assert await browser.close_code() == 4001


@pytest.mark.parametrize("origin", [None, "http://desk.example", "https://desk.example:443"])
async def test_a_cookie_counts_on_pages_of_this_site_and_for_programs(
    origin: str | None, account: TradingAccount, cookie: dict[str, str], browse: Open, service: FakeService
) -> None:
    headers = cookie if origin is None else {**cookie, "origin": origin}
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/", headers=headers)
    assert (await browser.frame())["type"] == "live_price"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://desk.example.evil.example", "http://["])
async def test_a_cookie_does_not_count_on_pages_of_another_site(
    origin: str, account: TradingAccount, cookie: dict[str, str], browse: Open
) -> None:
    browser = await browse(f"/ws/prices/{account.pk}/EURUSD/", headers={**cookie, "origin": origin})
    assert await browser.close_code() == 4001


async def test_a_session_that_ended_counts_no_more(
    account: TradingAccount, cookie: dict[str, str], browse: Open
) -> None:
    await in_database_thread(SessionStore(cookie["cookie"].partition("=")[2]).delete)
    assert await (await browse(f"/ws/accounts/{account.pk}/", headers=cookie)).close_code() == 4001


async def test_a_user_who_was_shut_out_gets_nowhere(
    account: TradingAccount, cookie: dict[str, str], browse: Open
) -> None:
    await in_database_thread(User.objects.update, is_active=False)
    assert await (await browse(f"/ws/accounts/{account.pk}/", headers=cookie)).close_code() == 4001
    assert await (await browse(f"/ws/accounts/{account.pk}/")).close_code() == 4001


def test_a_trusted_site_is_as_good_as_our_own(settings: pytest.FixtureRequest) -> None:
    host = {"host": "desk.example"}
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example", "https://*.friends.example"]  # type: ignore[attr-defined]
    assert is_own_page({**host, "origin": "https://trusted.example"})
    assert is_own_page({**host, "origin": "https://a.friends.example"})
    assert not is_own_page({**host, "origin": "http://trusted.example"})
    assert not is_own_page({**host, "origin": "https://enemies.example"})
    assert not is_own_page({**host, "origin": "http://desk.example:8080"})


async def test_a_user_has_so_many_sockets_and_no_more(
    account: TradingAccount, browse: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "SOCKETS_PER_USER", 2)
    kept = [await browse(f"/ws/accounts/{account.pk}/") for _ in range(2)]
    assert base.open_sockets() == 2
    assert await (await browse(f"/ws/accounts/{account.pk}/")).close_code() == 4029
    await kept[0].leave()
    await browse(f"/ws/accounts/{account.pk}/")
    assert base.open_sockets() == 2
    other = await in_database_thread(make_account)
    token = await in_database_thread(issue_token, other.user, "other")
    await browse(f"/ws/accounts/{other.pk}/", headers={"authorization": f"Bearer {token}"})
    assert base.open_sockets() == 3


@pytest.mark.parametrize("path", PATHS)
async def test_with_the_database_away_a_browser_is_told_to_try_again(
    path: str, account: TradingAccount, browse: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4001 would have it sign in again, which it cannot either."""

    def away(_token: str) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(auth, "user_of_token", away)
    browser = await browse(path.format(account.pk), headers={"authorization": "Bearer whatever"})
    assert await browser.close_code() == 1013
