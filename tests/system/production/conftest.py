"""One production system for all tests of this folder; what a test kills, it starts again."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pytest_django import DjangoDbBlocker

from tests.support.database import django_on
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer
from tests.support.system import ProductionSystem
from tests.system.brokers import lasting_amqp_url
from tests.system.client import Api
from tests.system.traders import new_trader
from tests.system.venue import SystemVenue


@dataclass(frozen=True)
class Production:
    """The five processes, the servers they share, and the control endpoints of the paper venue."""

    system: ProductionSystem
    rabbitmq: RabbitMQServer
    redis: RedisServer
    postgres: PostgresServer
    amqp_url: str
    venue: SystemVenue

    def new_trader(self, **account: str) -> Api:
        """A new user with a new account."""
        return new_trader(self.system.web_url, **account)


@pytest.fixture(scope="package")
def production(
    rabbitmq: RabbitMQServer,
    redis_server: RedisServer,
    postgres: PostgresServer,
    postgres_template: str,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Production]:
    """The system, ready; Django, in this process, is on its database."""
    amqp_url = lasting_amqp_url(rabbitmq)
    name = postgres.create_database(template=postgres_template)
    url = postgres.url(name)
    system = ProductionSystem(database_url=url, amqp_url=amqp_url, redis_url=redis_server.fresh_url())
    with django_db_blocker.unblock(), django_on(url), system:
        venue = SystemVenue(system.api_base_url)
        yield Production(system, rabbitmq, redis_server, postgres, amqp_url, venue)
        venue.end()
    postgres.drop_database(name)


@pytest.fixture
def trader(production: Production) -> Api:
    """An account with nothing open and an open session at the venue: a fault must not strike a 401."""
    trader = production.new_trader()
    assert trader.positions() == {}
    return trader


@pytest.fixture
def gbpusd_stands_still(production: Production) -> Iterator[None]:
    """So that only the test moves its price."""
    production.venue.hold("GBPUSD", 1.3)
    yield
    production.venue.let_go("GBPUSD")


@pytest.fixture(autouse=True)
def _whole_again(production: Production) -> Iterator[None]:
    """A test that failed between a kill and a start leaves nothing dead to the others."""
    yield
    for process in production.system.processes:
        if not process.running:
            process.start()
            production.system.wait_ready(process)
