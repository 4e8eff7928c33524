"""Fixtures that make pytest-celery's `celery_setup` the project's own: its app, its worker, RabbitMQ, its database.

    def test_something(celery_setup: LocalSetup) -> None:
        celery_setup.app.send_task("ctrader.sync", ...)
        celery_setup.worker.kill()
        celery_setup.worker.restart()
        celery_setup.broker.restart()

Override `celery_worker_environment` to tell the worker of a microservice, `celery_backend_cluster` for another
result backend.
"""

import runpy
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from django.test import override_settings
from pytest_celery import CeleryBackendCluster, CeleryBrokerCluster, CeleryWorkerCluster

from config.celery import app as project_app
from tests.support.celery_nodes import (
    DatabaseNode,
    LocalSetup,
    RabbitMQNode,
    RedisNode,
    WorkerContainer,
    WorkerNode,
    pointed_at,
)
from tests.support.postgres import PostgresServer
from tests.support.processes import REPOSITORY
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer
from tests.support.system import system_environment


class ProjectSetup(LocalSetup):
    """The project's app."""

    project_app = project_app


def project_celery_settings(broker_url: str) -> dict[str, Any]:
    """What celeryconfig.py says for this broker: some of it depends on the kind of broker."""
    with override_settings(CELERY_BROKER_URL=broker_url):
        names = runpy.run_path(str(REPOSITORY / "celeryconfig.py"))
    return {name: value for name, value in names.items() if name.startswith(("broker_", "worker_"))}


@pytest.fixture
def celery_broker_cluster(rabbitmq: RabbitMQServer, amqp_url: str) -> Iterator[CeleryBrokerCluster]:
    """RabbitMQ, in a virtual host of the test's own."""
    node = RabbitMQNode(rabbitmq, amqp_url)
    yield CeleryBrokerCluster(node)
    node.teardown()


@pytest.fixture
def celery_backend_cluster(postgres: PostgresServer, postgres_db: str) -> CeleryBackendCluster:
    """Django's database, a fresh PostgreSQL one that this process reads too."""
    return CeleryBackendCluster(DatabaseNode(postgres.process))


@pytest.fixture
def celery_redis_cluster(redis_server: RedisServer, redis_url: str) -> Iterator[CeleryBackendCluster]:
    """Results on Redis, for whoever overrides `celery_backend_cluster` with it (benchmarks)."""
    node = RedisNode(redis_server, redis_url)
    yield CeleryBackendCluster(node)
    node.teardown()


@pytest.fixture
def celery_worker_environment(amqp_url: str, postgres_db: str) -> dict[str, str]:
    """The worker's environment: the same broker and database as this process; no microservice."""
    return system_environment(database_url=postgres_db, amqp_url=amqp_url)


@pytest.fixture
def celery_worker_cluster(
    celery_worker_environment: dict[str, str],
    celery_broker_cluster: CeleryBrokerCluster,
    celery_backend_cluster: CeleryBackendCluster,
) -> Iterator[CeleryWorkerCluster]:
    """One worker of the project, in a process of its own, ready."""
    container = WorkerContainer("config", celery_worker_environment, queue=project_app.conf.task_default_queue)
    with container.running():
        yield CeleryWorkerCluster(WorkerNode(container, project_app))


@pytest.fixture
def celery_setup_cls() -> type[LocalSetup]:
    """The setup whose app is the project's."""
    return ProjectSetup


@pytest.fixture
def celery_setup_app(
    celery_setup_cls: type[LocalSetup], celery_setup_config: dict[str, Any], celery_setup_name: str
) -> Iterator[Celery]:
    """The project's app, in this process, publishing to the test's broker until the test ends."""
    app = celery_setup_cls.create_setup_app(celery_setup_config, celery_setup_name)
    changes = {**project_celery_settings(celery_setup_config["broker_url"]), **celery_setup_config}
    with pointed_at(app, changes):
        yield app
