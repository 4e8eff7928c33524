"""One plant for all cards; what a card breaks, it mends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Ground:
    """The servers that plants stand on."""

    rabbitmq: RabbitMQServer
    redis: RedisServer
    postgres: PostgresServer
    template: str
    blocker: DjangoDbBlocker


@pytest.fixture(scope="package")
def ground(
    rabbitmq: RabbitMQServer,
    redis_server: RedisServer,
    postgres: PostgresServer,
    postgres_template: str,
    django_db_blocker: DjangoDbBlocker,
) -> Ground:
    """RabbitMQ, Redis and PostgreSQL."""
    return Ground(rabbitmq, redis_server, postgres, postgres_template, django_db_blocker)


@contextmanager
def running_plant(ground: Ground, **settings: object) -> Iterator[Plant]:
    """A plant, running with these settings. Django in this process is on its database, and publishes to its broker."""
    rabbitmq, postgres = ground.rabbitmq, ground.postgres
    amqp_url = lasting_amqp_url(rabbitmq)
    database = postgres.create_database(template=ground.template)
    settings = {**TIMEOUTS, **settings}
    system = ProductionSystem(
        database_url=postgres.url(database),
        amqp_url=amqp_url,
        redis_url=ground.redis.fresh_url(),
        extra_env={name: str(value) for name, value in settings.items()},
        microservice_arguments=["--speed", "0"],
    )
    _forget_publisher()
    with (
        ground.blocker.unblock(),
        django_on(postgres.url(database)),
        override_settings(CTRADER_API_BASE_URL=system.api_base_url, **settings),
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


@pytest.fixture(scope="package")
def plant(ground: Ground) -> Iterator[Plant]:
    """The plant that the cards are played on, one after the other."""
    with running_plant(ground) as plant:
        yield plant


@pytest.fixture
def trader(plant: Plant) -> Iterator[Trader]:
    """A new account, no fault armed."""
    yield plant.new_trader()
    plant.venue.disarm()
