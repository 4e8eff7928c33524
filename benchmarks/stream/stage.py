"""The servers that the stream benchmarks share, one account, and the processes that are measured on them."""

import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from kombu import Connection

from benchmarks.stream.worker import bench_options
from ctrader_app.broadcast.groups import price_group
from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.consumers.stream.topology import Topology
from ctrader_app.models import TradingAccount
from tests.support.database import django_on, migrate
from tests.support.postgres import PostgresServer
from tests.support.processes import ManagedProcess, make_folder
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer
from tests.support.system import system_environment


@dataclass(frozen=True, slots=True)
class Stage:
    """RabbitMQ, Redis and PostgreSQL of the benchmark's own, Django of this process on the latter."""

    rabbitmq: RabbitMQServer
    redis: RedisServer
    database_url: str
    account: TradingAccount

    @property
    def account_id(self) -> str:
        """The account that all ticks are of."""
        return str(self.account.pk)

    def options(self, *, bounded: bool = False) -> StreamOptions:
        """Queues that nobody used before; ``bounded`` as the product's are."""
        return bench_options(self.rabbitmq.url(), f"bench-{uuid.uuid4().hex[:12]}", bounded=bounded)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Of one of the product's processes."""
        return system_environment(
            database_url=self.database_url,
            amqp_url=self.rabbitmq.url(),
            redis_url=self.redis.url(),
            extra={"DJANGO_LOG_LEVEL": "WARNING", **(extra or {})},
        )

    def groups(self, symbols: Sequence[str]) -> list[str]:
        """The groups of the account's prices."""
        return [price_group(self.account.pk, symbol) for symbol in symbols]

    @contextmanager
    def process(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[ManagedProcess]:
        """``python -m module`` while the block runs."""
        folder = make_folder("bench")
        command = [sys.executable, "-m", module, *arguments]
        name = module.rpartition(".")[2]
        process = ManagedProcess(name, command, log_path=folder / f"{name}.log", env=env or self.environment())
        try:
            with process:
                yield process
            assert "Traceback" not in process.log(), process.log_tail()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def declare(options: StreamOptions) -> None:
    """Make the exchanges and queues exist, for a peer that only consumes."""
    with Connection(options.url) as connection:
        Topology(options).declare(connection.channel())


def is_consumed(options: StreamOptions) -> bool:
    """Whether somebody consumes the market queue."""
    found = _look_at_market(options)
    return found is not None and found.consumer_count > 0


def waiting(options: StreamOptions) -> int:
    """How many messages are in the market queue."""
    found = _look_at_market(options)
    return 0 if found is None else int(found.message_count)


def _look_at_market(options: StreamOptions) -> Any:
    with Connection(options.url) as connection:
        channel: Any = connection.channel()
        try:
            return channel.queue_declare(f"{options.stem}.market", passive=True)
        except connection.channel_errors:
            return None


@contextmanager
def stage() -> Iterator[Stage]:
    """Everything started."""
    with ExitStack() as stack:
        rabbitmq = stack.enter_context(RabbitMQServer())
        redis = stack.enter_context(RedisServer())
        postgres = stack.enter_context(PostgresServer())
        database_url = postgres.url(postgres.create_database())
        migrate(database_url)
        stack.enter_context(django_on(database_url))
        user = get_user_model().objects.create_user("bench")
        account = TradingAccount.objects.create(user=user, name="bench", broker_login="1000001")
        yield Stage(rabbitmq, redis, database_url, account)
