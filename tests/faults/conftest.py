"""One plant for all cards; what a card breaks, it mends."""

from collections.abc import Iterator

import pytest
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from config.celery import app as project_app
from ctrader_app.connector import close_shared_clients
from ctrader_app.tasks import publisher
from tests.faults.plant import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, FaultyVenue, Plant, Trader
from tests.support.celery_fixtures import project_celery_settings
from tests.support.celery_nodes import pointed_at
from tests.support.database import django_on
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer
from tests.support.system import ProductionSystem
from tests.system.brokers import lasting_amqp_url

TIMEOUTS = {
    "CTRADER_CONNECT_TIMEOUT_SECONDS": CONNECT_TIMEOUT_S,
    "CTRADER_READ_TIMEOUT_SECONDS": READ_TIMEOUT_S,
    "CTRADER_SETTLING_LAG_SECONDS": 0.0,
}


def _forget_publisher() -> None:
    # It keeps its connection to the broker that it met first, for as long as the process lives.
    for background in publisher._background.values():
        background.flush()
    publisher._background.clear()


@pytest.fixture(scope="package")
def plant(
    rabbitmq: RabbitMQServer,
    redis_server: RedisServer,
    postgres: PostgresServer,
    postgres_template: str,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Plant]:
    """The plant, running. Django in this process is on its database, and publishes to its broker."""
    amqp_url = lasting_amqp_url(rabbitmq)
    database = postgres.create_database(template=postgres_template)
    system = ProductionSystem(
        database_url=postgres.url(database),
        amqp_url=amqp_url,
        redis_url=redis_server.fresh_url(),
        extra_env={name: str(value) for name, value in TIMEOUTS.items()},
        microservice_arguments=["--speed", "0"],
    )
    _forget_publisher()
    with (
        django_db_blocker.unblock(),
        django_on(postgres.url(database)),
        override_settings(CTRADER_API_BASE_URL=system.api_base_url, **TIMEOUTS),
        pointed_at(project_app, project_celery_settings(amqp_url)),
    ):
        plant = Plant(system, rabbitmq, postgres, database, FaultyVenue(system.api_base_url))
        needed = [plant.microservice, system.worker, system.beat]
        try:
            for process in needed:
                process.start()
            for process in needed:
                system.wait_ready(process)
            yield plant
        finally:
            plant.venue.end()
            system.close()
            _forget_publisher()
            close_shared_clients()
    postgres.drop_database(database)


@pytest.fixture
def trader(plant: Plant) -> Iterator[Trader]:
    """A new account, no fault armed."""
    yield plant.new_trader()
    plant.venue.disarm()
