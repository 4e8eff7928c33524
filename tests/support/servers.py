"""Fixtures: real servers, each started when the first test asks for it and stopped at the end of the run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from pytest_django import DjangoDbBlocker

from tests.support.chromium import Chromium
from tests.support.database import django_on, migrate
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer
from tests.support.system import EmbeddedSystem, ProductionSystem

BROWSER_TIMEOUT_MS = 10_000
"""How long a page may take for anything before the test fails; Playwright's own 30 s hides what hangs."""


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQServer]:
    """RabbitMQ, one for the run. A test that stops or restarts it leaves it running."""
    with RabbitMQServer() as server:
        yield server


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQServer) -> str:
    """The URL of an empty virtual host of the test's own."""
    return rabbitmq.url(rabbitmq.fresh_vhost())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Redis, one for the run. A test that stops it leaves it running."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis database of the test's own (PUBLISH knows no databases: it reaches all)."""
    return redis_server.fresh_url()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """PostgreSQL, one for the run. A test that stops it leaves it running."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer, django_db_blocker: DjangoDbBlocker) -> str:
    """The name of a migrated, empty database, to be copied."""
    name = postgres.create_database("template_of_tests")
    with django_db_blocker.unblock():
        migrate(postgres.url(name))
    return name


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_template: str) -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database of the test's own, for other processes to use."""
    name = postgres.create_database(template=postgres_template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def postgres_db(postgres_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Django, in this process, on the database of `postgres_url`: real commits, real locks, any thread."""
    with django_db_blocker.unblock(), django_on(postgres_url):
        yield postgres_url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Path:
    """A migrated, empty SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    with django_db_blocker.unblock():
        migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_db(sqlite_template: Path, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Django, in this process, on an empty SQLite file of the test's own: real commits, any thread."""
    path = tmp_path / "database.sqlite3"
    shutil.copy(sqlite_template, path)
    url = f"sqlite:///{path}"
    with django_db_blocker.unblock(), django_on(url):
        yield url


@pytest.fixture(params=["sqlite_db", "postgres_db"])
def each_database(request: pytest.FixtureRequest) -> str:
    """Runs the test twice, on SQLite and on PostgreSQL, with real commits in any thread; the database's URL."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser process, one for the run."""
    with Chromium() as browser:
        yield browser


@pytest.fixture
def chromium_browser(chromium: Chromium) -> Iterator[Browser]:
    """Playwright attached to the browser for this test."""
    with chromium.attached() as browser:
        yield browser


@pytest.fixture
def browser_context(chromium_browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile: no cookies, no storage."""
    context = chromium_browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(BROWSER_TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def page(browser_context: BrowserContext) -> Page:
    """An empty page in a fresh profile."""
    return browser_context.new_page()


@pytest.fixture
def production_system(amqp_url: str, redis_url: str, postgres_db: str) -> Iterator[ProductionSystem]:
    """The five processes of production over servers of the test's own; Django, here, is on their database."""
    with ProductionSystem(database_url=postgres_db, amqp_url=amqp_url, redis_url=redis_url) as system:
        yield system


@pytest.fixture
def embedded_system() -> Iterator[EmbeddedSystem]:
    """`python -m config.embedded` over an empty state folder."""
    with EmbeddedSystem() as system:
        yield system
