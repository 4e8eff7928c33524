"""Production's processes with the stand-in in the place of the bundled microservice, under a path prefix.

Once with a service that replays under an Idempotency-Key and words its answers in every other way that the contract
allows, once with one that does not replay: there the same request twice would be done twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from ctrader_app.models import Deal, Operation, Position
from tests.settings import TEST_SHARED_SECRET
from tests.standin.dialect import Dialect
from tests.standin.service import StandIn
from tests.support.database import django_on
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer
from tests.support.system import ProductionSystem
from tests.support.waiting import wait_until
from tests.system.brokers import lasting_amqp_url
from tests.system.client import Api, Browser, Reply, has_ticket, lacks_ticket
from tests.system.traders import new_trader, new_user, steps_of

PREFIX = "/api/v1"
READ_TIMEOUT_S = 1.5
TOO_LATE_S = 2.5
BOOKS_S = 30.0
PASSWORD = "correct horse battery staple"
PATHS = {
    "place": "/trade/place", "close": "/trade/close", "modify": "/trade/modify-protection", "cancel": "/order/cancel",
}  # fmt: skip


@dataclass(frozen=True)
class Elsewhere:
    """The system and the other service."""

    system: ProductionSystem
    service: StandIn

    @property
    def replays(self) -> bool:
        """Whether the service keeps the promise of CTRADER_IDEMPOTENT_WRITES."""
        return self.service.replays


@pytest.fixture(scope="module", params=["replays", "does not replay"])
def elsewhere(
    request: pytest.FixtureRequest,
    rabbitmq: RabbitMQServer,
    redis_server: RedisServer,
    postgres: PostgresServer,
    postgres_template: str,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Elsewhere]:
    """Both, running; Django, in this process, is on the system's database."""
    replays = request.param == "replays"
    amqp_url = lasting_amqp_url(rabbitmq)
    name = postgres.create_database(template=postgres_template)
    url = postgres.url(name)
    service = StandIn(
        TEST_SHARED_SECRET,
        amqp_url=amqp_url,
        prefix=PREFIX,
        dialect=Dialect(aliases=replays, pending_orders=not replays),
        replays=replays,
        sessions=True,
    )
    system = ProductionSystem(
        database_url=url,
        amqp_url=amqp_url,
        redis_url=redis_server.fresh_url(),
        api_base_url=service.base_url,
        extra_env={
            "CTRADER_API_PREFIX": PREFIX,
            "CTRADER_IDEMPOTENT_WRITES": str(replays).lower(),
            "CTRADER_READ_TIMEOUT_SECONDS": str(READ_TIMEOUT_S),
        },
    )
    with django_db_blocker.unblock(), django_on(url), service, system:
        yield Elsewhere(system, service)
    postgres.drop_database(name)


@pytest.fixture
def service(elsewhere: Elsewhere) -> Iterator[StandIn]:
    """The other service, with no fault armed."""
    elsewhere.service.disarm()
    yield elsewhere.service
    elsewhere.service.disarm()


@pytest.fixture
def trader(elsewhere: Elsewhere) -> Api:
    """An account that goes by its broker login on the wire, with an open session."""
    user = new_user()
    trader = new_trader(elsewhere.system.web_url, broker_login=f"77{user.pk:06d}")
    assert trader.positions() == {}
    return trader


def _begun(trader: Api, kind: str) -> tuple[str, Callable[[], Reply]]:
    """What a write of this kind is about at the venue ("" until it is there), and the write."""
    if kind == "place":
        return "", lambda: trader.trade(wait_s=None)
    if kind == "cancel":
        order = trader.trade(order_type="LIMIT", limit_price=1.0)
        order_id = str(order.body["result"]["order_id"])
        return order_id, lambda: trader.cancel(order_id, wait_s=None)
    position_id = trader.opened()
    if kind == "close":
        return position_id, lambda: trader.close(position_id, 0.04, wait_s=None)
    return position_id, lambda: trader.protect(position_id, wait_s=None, stop_loss=1.01)


def test_the_flows_and_what_browsers_see_of_them(elsewhere: Elsewhere, service: StandIn, trader: Api) -> None:
    with trader.account_socket() as socket, trader.prices() as prices:
        assert prices.wait_price()["bid"] == float(service.venue.instruments["EURUSD"].bid)
        prices.say(type="subscribe", timeframe="M1")
        bar = prices.wait_for(lambda frame: frame["type"] == "new_candle", "bar")["data"]
        assert (bar["time"] % 60, bar["tick_volume"]) == (0, 3)

        placed = trader.trade(stop_loss=1.05, sl_distance=None, label="other", comment="elsewhere")
        assert placed.body["result"]["price"] == pytest.approx(1.1001)
        position_id = str(placed.body["result"]["opened_position_ticket"])
        socket.wait_positions(has_ticket(position_id), "the new position")
        row = trader.positions()[position_id]
        assert (row["direction"], row["volume"], row["stop_loss"]) == ("BUY", 0.1, 1.05)
        assert trader.protect(position_id, take_profit=1.2).status == 200
        row = trader.positions()[position_id]
        assert (row["stop_loss"], row["take_profit"]) == (1.05, 1.2)
        assert trader.close(position_id, 0.04).body["result"]["remaining_volume"] == pytest.approx(0.06)
        assert trader.close(position_id).status == 200
        socket.wait_positions(lacks_ticket(position_id), "the position's end")
    closed = Position.objects.filter(account_id=trader.account_id, position_id=position_id, is_settled=True)
    wait_until(closed.exists, BOOKS_S, "the closed position is settled")
    deals = Deal.objects.filter(account_id=trader.account_id, position_id=position_id).order_by("executed_at", "pk")
    assert [(deal.is_entry, str(deal.volume.normalize())) for deal in deals] == [
        (True, "0.1"), (False, "0.04"), (False, "0.06"),
    ]  # fmt: skip

    order = trader.trade(order_type="LIMIT", limit_price=1.0)
    assert order.body["result"]["status"] == "pending"
    if service.dialect.pending_orders:
        assert [row["ticket"] for row in trader.get("{}/orders")] == [order.body["result"]["order_id"]]
    assert trader.cancel(str(order.body["result"]["order_id"])).status == 200


def test_a_stop_that_fires_reaches_the_books(service: StandIn, trader: Api) -> None:
    position_id = trader.opened(symbol="GBPUSD", stop_loss=1.28)
    opened = Position.objects.filter(account_id=trader.account_id, position_id=position_id, is_open=True)
    wait_until(opened.exists, BOOKS_S, "the position is in the books")
    service.venue.move("GBPUSD", Decimal("1.27"))
    service.venue.move("GBPUSD", Decimal("1.30"))
    closed = Position.objects.filter(account_id=trader.account_id, position_id=position_id, is_settled=True)
    wait_until(closed.exists, BOOKS_S, "the stop is in the books")
    assert closed[0].close_price == Decimal("1.27")
    assert Deal.objects.get(account_id=trader.account_id, position_id=position_id, is_entry=False).reason == "sl"


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"symbol": "NOSUCHSYMBOL"}, "SYMBOL_NOT_FOUND"),
        ({"volume": "0.015"}, "INVALID_VOLUME"),
        ({"stop_loss": 1.2}, "TRADING_BAD_STOPS"),
        ({"volume": 50}, "NOT_ENOUGH_MONEY"),
    ],
)
def test_refusals_and_rejections_keep_their_code(
    service: StandIn, trader: Api, order: dict[str, Any], code: str
) -> None:
    reply = trader.trade(**order)
    assert (reply.status, reply.body["state"], reply.error_code) == (422, "refused", code)
    assert service.venue.effects_of("place", reply.body["client_order_id"]) == 0


def test_an_order_that_filled_is_not_cancelled(service: StandIn, trader: Api) -> None:
    order = trader.trade(symbol="GBPUSD", order_type="LIMIT", limit_price=1.25)
    service.venue.move("GBPUSD", Decimal("1.249"))
    service.venue.move("GBPUSD", Decimal("1.30"))
    reply = trader.cancel(str(order.body["result"]["order_id"]))
    assert (reply.status, reply.body["state"], reply.error_code) == (422, "refused", "ORDER_FILLED")


def test_a_session_that_the_service_forgot_is_opened_again(service: StandIn, trader: Api) -> None:
    trader.opened()
    service.forget_sessions()
    reply = trader.trade()
    assert (reply.status, reply.body["state"]) == (200, "succeeded")
    assert service.venue.effects_of("place", reply.body["client_order_id"]) == 1


def test_a_secret_that_is_wrong_is_a_refusal_and_never_an_empty_account(service: StandIn, trader: Api) -> None:
    position_id = trader.opened()
    right, service.secret = service.secret, "another secret"
    try:
        reply = trader.trade()
        assert (reply.status, reply.body["state"], reply.error_code) == (422, "refused", "AUTHENTICATION_FAILED")
        assert trader.call("GET", "{}/positions").status == 502
        assert trader.call("GET", "{}/account-info").error_code == "AUTHENTICATION_ERROR"
    finally:
        service.secret = right
    assert list(trader.positions()) == [position_id]


@pytest.mark.parametrize("fault", ["drop_after", "late"])
@pytest.mark.parametrize("kind", ["place", "close", "modify"])
def test_an_answer_that_is_lost_after_execution(service: StandIn, trader: Api, kind: str, fault: str) -> None:
    subject, write = _begun(trader, kind)
    service.arm(PATHS[kind], "drop_after" if fault == "drop_after" else "late", seconds=TOO_LATE_S)
    operation = trader.settled(write().body["id"])
    assert operation["state"] == "succeeded"
    assert steps_of(operation["id"]) == ["queued", "sending", "in_doubt", "succeeded"]
    assert service.venue.effects_of(kind, subject or operation["client_order_id"]) == 1


def test_a_lost_answer_to_a_cancellation(elsewhere: Elsewhere, service: StandIn, trader: Api) -> None:
    order_id, write = _begun(trader, "cancel")
    service.arm(PATHS["cancel"], "drop_after")
    operation_id = str(write().body["id"])
    if elsewhere.replays:
        assert trader.settled(operation_id)["state"] == "succeeded"
    else:
        # An order that is gone may have filled: without a replay or a history that is for a person to find out.
        _looked_at(operation_id, times=3)
        _decide(elsewhere, operation_id, decision="happened", venue_id=order_id)
        assert trader.operation(operation_id)["state"] == "succeeded"
    assert service.venue.effects_of("cancel", order_id) == 1


def test_an_order_that_got_lost_on_its_way(elsewhere: Elsewhere, service: StandIn, trader: Api) -> None:
    service.arm(PATHS["place"], "drop_before")
    operation_id = str(trader.trade(wait_s=None).body["id"])
    if elsewhere.replays:
        operation = trader.settled(operation_id)
        assert operation["state"] == "succeeded"
        assert service.venue.effects_of("place", operation["client_order_id"]) == 1
        return
    # It is nowhere to be seen, which proves nothing: it may have opened and closed. Never sent again, never guessed.
    _looked_at(operation_id, times=3)
    _decide(elsewhere, operation_id, decision="not_happened")
    operation = trader.operation(operation_id)
    assert (operation["state"], operation["error"]["code"]) == ("failed", "NO_EFFECT")
    assert service.venue.effects_of("place", operation["client_order_id"]) == 0


def test_an_execution_that_takes_longer_than_anybody_waits(service: StandIn, trader: Api) -> None:
    service.arm(PATHS["place"], "slow", seconds=TOO_LATE_S)
    operation = trader.settled(str(trader.trade(wait_s=None).body["id"]))
    assert operation["state"] == "succeeded"
    assert service.venue.effects_of("place", operation["client_order_id"]) == 1


def test_no_key_was_ever_sent_twice_to_a_service_that_does_not_replay(elsewhere: Elsewhere, service: StandIn) -> None:
    """Looks back on all that this module has done."""
    keys = [key for _, key in service.requests]
    assert None not in keys
    assert len(keys) > 10
    if not elsewhere.replays:
        # A 401 is the service's word that it did nothing.
        assert {key for key in keys if keys.count(key) > 1} == set(service.unconnected)
        assert all(keys.count(key) <= 2 for key in keys)
    assert Operation.objects.filter(state="sending").count() == 0


def _looked_at(operation_id: str, times: int) -> None:
    looks = Operation.objects.filter(pk=operation_id, state="in_doubt", resolutions__gte=times)
    wait_until(looks.exists, 30.0, f"the doubt was examined {times} times and is one")


def _decide(elsewhere: Elsewhere, operation_id: str, **decision: str) -> None:
    """A person settles the doubt in the admin."""
    boss = new_user(password=PASSWORD, is_staff=True, is_superuser=True)
    page = f"/admin/ctrader_app/operation/{operation_id}/change/"
    with Browser(elsewhere.system.web_url) as browser:
        browser.sign_in(boss.username, PASSWORD)
        assert "in_doubt" in browser.get("/admin/ctrader_app/operation/").text
        settle = f"/admin/ctrader_app/operation/{operation_id}/settle/"
        assert settle in browser.get(page).text
        assert browser.post(settle, {**decision, "is_sure": "on"}).status_code == 302
