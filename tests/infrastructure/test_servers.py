"""Every server helper starts, answers, restarts, and leaves no process behind."""

import asyncio
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection
from kombu import Connection, Exchange
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from tests.support.chromium import Chromium
from tests.support.database import django_on
from tests.support.kin import is_alive
from tests.support.postgres import PostgresServer
from tests.support.processes import make_folder
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until


def processes_of(folder: Path) -> list[int]:
    """Living processes that name this folder in their command line or environment, or work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            inside = str(folder) in str((process / "cwd").readlink())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if (inside or str(folder).encode() in words) and is_alive(pid):
            found.append(pid)
    return found


def assert_nothing_left(folder: Path) -> None:
    assert not folder.exists()
    wait_until(lambda: not processes_of(folder), 5.0, lambda: f"still alive: {processes_of(folder)}")


def send_and_receive(url: str, queue: str, text: str) -> str:
    with Connection(url) as client:
        simple = client.SimpleQueue(queue)
        simple.put(text)
        message = simple.get(timeout=5)
        message.ack()
        simple.close()
        return str(message.payload)


def test_the_search_for_leftovers_finds_a_living_server() -> None:
    with RedisServer() as server:
        assert server.process.pid in processes_of(server.folder)


def test_redis_restarts_on_its_port_and_leaves_nothing() -> None:
    with RedisServer() as server, redis.Redis.from_url(server.fresh_url()) as client:
        client.set("a", "1")
        assert client.get("a") == b"1"
        server.kill()
        assert not server.answers()
        server.start()
        assert client.get("a") is None
        first, folder = server.process.pid, server.folder
        server.restart()
        assert server.process.pid != first
        assert server.answers()
    assert_nothing_left(folder)


def test_each_test_has_a_redis_database_of_its_own(redis_server: RedisServer) -> None:
    with (
        redis.Redis.from_url(redis_server.fresh_url()) as mine,
        redis.Redis.from_url(redis_server.fresh_url()) as yours,
    ):
        mine.set("a", "1")
        assert yours.get("a") is None


def test_postgres_keeps_its_data_over_a_crash_and_leaves_nothing() -> None:
    with PostgresServer() as server:
        folder = server.folder
        name = server.create_database()
        with server.connect(name) as client:
            client.execute("CREATE TABLE notes (text text)")
            client.execute("INSERT INTO notes VALUES ('kept')")
        copy = server.create_database(template=name)
        server.restart()
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            server.connect(name)
        server.start()
        with server.connect(copy) as client:
            assert client.execute("SELECT text FROM notes").fetchall() == [("kept",)]
        server.drop_database(copy)
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            server.connect(copy)
    assert_nothing_left(folder)


@pytest.mark.timeout(180)
def test_rabbitmq_keeps_durable_messages_over_restart_and_crash_and_leaves_nothing() -> None:
    with RabbitMQServer(plugins=["rabbitmq_consistent_hash_exchange"]) as server:
        folder = server.folder
        url = server.url(server.fresh_vhost())
        with Connection(url) as client:
            client.SimpleQueue("kept").put("over the restart")
        server.restart()
        with Connection(url) as client:
            message = client.SimpleQueue("kept").get(timeout=5)
            assert message.payload == "over the restart"
            message.requeue()
        server.kill()
        assert not server.answers()
        server.start()
        with Connection(url) as client:
            assert client.SimpleQueue("kept").get(timeout=5).payload == "over the restart"
            Exchange("hashed", type="x-consistent-hash", channel=client.default_channel).declare()
    assert_nothing_left(folder)


def test_each_test_has_a_vhost_of_its_own(rabbitmq: RabbitMQServer, amqp_url: str) -> None:
    other = rabbitmq.url(rabbitmq.fresh_vhost())
    assert other != amqp_url
    assert send_and_receive(amqp_url, "mine", "here") == "here"
    with Connection(amqp_url) as mine, Connection(other) as yours:
        mine.SimpleQueue("q").put("for me")
        assert yours.SimpleQueue("q").qsize() == 0
        assert mine.SimpleQueue("q").qsize() == 1


def test_a_memory_alarm_blocks_publishers_until_it_is_cleared(rabbitmq: RabbitMQServer, amqp_url: str) -> None:
    rabbitmq.raise_memory_alarm()
    # Without the read timeout the wait for the confirmation would never end.
    client = Connection(amqp_url, transport_options={"confirm_publish": True, "read_timeout": 1})
    try:
        producer = client.Producer()
        with pytest.raises(TimeoutError):
            producer.publish("held back", routing_key="nowhere")
    finally:
        rabbitmq.clear_memory_alarm()
        client.release()
    assert send_and_receive(amqp_url, "free", "again") == "again"


def test_chromium_shows_a_page_and_leaves_nothing() -> None:
    with Chromium() as browser:
        folder = browser.folder
        with browser.attached() as attached:
            page = attached.new_context().new_page()
            page.set_content("<h1 id=a>hello</h1>")
            assert page.inner_text("#a") == "hello"
    assert_nothing_left(folder)


def test_a_folder_belongs_to_whom_it_is_given() -> None:
    folder = make_folder("owner")
    try:
        assert folder.stat().st_mode & 0o077 == 0
    finally:
        shutil.rmtree(folder)


def test_postgres_url_is_a_migrated_database_of_ones_own(
    postgres_url: str, postgres: PostgresServer, postgres_template: str
) -> None:
    with psycopg.connect(postgres_url) as client:
        tables = {
            row[0] for row in client.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        }
    assert {"django_migrations", "auth_user"} <= tables


def test_the_orm_follows_postgres_db_in_every_thread(postgres_db: str) -> None:
    def where() -> str:
        name = str(connection.settings_dict["NAME"])
        vendor = connection.vendor
        User.objects.create_user(f"made-in-{threading.current_thread().name}")
        connection.close()
        return f"{vendor} {name}"

    with ThreadPoolExecutor(max_workers=1) as pool:
        elsewhere = pool.submit(where).result()
    assert elsewhere == where() == f"postgresql {postgres_db.rpartition('/')[2]}"
    assert User.objects.count() == 2


@pytest.mark.django_db
def test_leaving_another_database_brings_the_open_transaction_back(postgres_url: str) -> None:
    User.objects.create_user("in-sqlite")
    with django_on(postgres_url):
        assert connection.vendor == "postgresql"
        assert not User.objects.exists()
    assert connection.vendor == "sqlite"
    assert connection.in_atomic_block
    assert User.objects.get().username == "in-sqlite"


def test_plain_database_tests_run_on_sqlite_and_start_empty(db: None) -> None:
    assert connection.vendor == "sqlite"
    assert not User.objects.exists()


def test_each_database_is_the_one_it_says(each_database: str) -> None:
    assert each_database.startswith(connection.vendor)
    assert not connection.in_atomic_block
    assert not User.objects.exists()
    User.objects.create_user("left over")


@pytest.mark.django_db(transaction=True)
def test_sqlite_is_a_file_with_the_locks_of_production() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone() == ("wal",)
    assert Path(str(connection.settings_dict["NAME"])).is_file()


def test_a_page_in_the_browser_and_the_orm_in_one_test(page: Page, postgres_db: str) -> None:
    page.set_content("<h1 id=a>hello</h1>")
    assert page.inner_text("#a") == "hello"
    User.objects.create_user("beside-the-browser")
    assert User.objects.count() == 1


async def test_an_asynchronous_test_runs_after_one_with_a_browser() -> None:
    assert asyncio.get_running_loop().is_running()


def test_a_page_cannot_reach_another_machine(page: Page) -> None:
    with pytest.raises(PlaywrightError, match=r"ERR_NAME_NOT_RESOLVED|ERR_ADDRESS_UNREACHABLE"):
        page.goto("http://example.org/")
