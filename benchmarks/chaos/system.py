"""Everything that a run needs and may break: servers, the product's processes, and Django here on their database."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from django.test.utils import override_settings

import benchmarks.site  # noqa: F401 - sets Django up for the imports below
from config.celery import app as celery_app
from tests.support.database import django_on, migrate
from tests.support.operations import Venue
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer
from tests.support.system import ProductionSystem

CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 3.0
SETTLING_LAG_S = 5.0
"""Shorter than in production (3, 10 and 30 s), so that what has to wait for them does not make a run last an hour."""

WORKERS = 2


@dataclass(frozen=True)
class Site:
    """What can be broken, and the venue that counts what really happened."""

    rabbitmq: RabbitMQServer
    postgres: PostgresServer
    system: ProductionSystem
    venue: Venue


@contextmanager
def running_site(*, replays: bool) -> Iterator[Site]:
    """RabbitMQ, PostgreSQL, Redis, microservice, worker, beat and stream worker, each a process of its own."""
    with ExitStack() as stack:
        rabbitmq = stack.enter_context(RabbitMQServer())
        postgres = stack.enter_context(PostgresServer())
        redis = stack.enter_context(RedisServer())
        database_url = postgres.url(postgres.create_database())
        migrate(database_url)
        system = ProductionSystem(
            database_url=database_url,
            amqp_url=rabbitmq.url(),
            redis_url=redis.url(0),
            microservice_arguments=["--speed", "0"],
            concurrency=WORKERS,
            extra_env=_environment(replays),
        )
        stack.callback(system.close)
        assert system.microservice is not None
        for process in (system.microservice, system.worker, system.beat, system.stream):
            process.start()
        for process in (system.microservice, system.worker, system.beat, system.stream):
            system.wait_ready(process)
        os.environ.update(system.env)
        stack.enter_context(django_on(database_url))
        stack.enter_context(override_settings(CTRADER_API_BASE_URL=system.api_base_url))
        celery_app.conf.update(
            broker_url=rabbitmq.url(), broker_transport_options={"confirm_publish": True, "max_retries": 0}
        )
        yield Site(rabbitmq, postgres, system, Venue(system.api_base_url))


def _environment(replays: bool) -> dict[str, str]:
    return {
        "DJANGO_LOG_LEVEL": "WARNING",
        "DATABASE_CONN_MAX_AGE": "600",
        "CTRADER_CONNECT_TIMEOUT_SECONDS": str(CONNECT_TIMEOUT_S),
        "CTRADER_READ_TIMEOUT_SECONDS": str(READ_TIMEOUT_S),
        "CTRADER_SETTLING_LAG_SECONDS": str(SETTLING_LAG_S),
        "CTRADER_IDEMPOTENT_WRITES": "true" if replays else "false",
    }
