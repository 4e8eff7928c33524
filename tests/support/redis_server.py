"""A Redis of the test run's own."""

import shutil
import socket
from types import TracebackType
from typing import Self

from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ManagedProcess, ProcessFailedError, make_folder, service_user

DATABASES = 4096
"""Enough for one a test: an empty Redis database costs nothing."""


class RedisServer:
    """Redis on a free port of loopback, in memory only: a restart comes back empty on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._next_database = 0
        user = service_user("redis")
        self.folder = make_folder("redis", user)
        self.process = ManagedProcess(
            "redis",
            [
                find_redis(), "--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self.folder),
                "--save", "", "--appendonly", "no", "--databases", str(DATABASES),
            ],
            log_path=self.folder / "redis.log",
            cwd=self.folder,
            user=user,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start it and wait until it answers PING; about 20 ms."""
        self.process.start()
        self.process.wait_for(self.answers, 10.0, "PONG")
        return self

    def stop(self) -> None:
        """Stop it; `start` brings it back empty."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def restart(self) -> Self:
        """Stop and start on the same port."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def answers(self) -> bool:
        """Whether it answers a PING."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def url(self, database: int = 0) -> str:
        """The URL of one of its numbered databases."""
        return f"redis://{LOOPBACK}:{self.port}/{database}"

    def fresh_url(self) -> str:
        """The URL of a database that nobody had before. Channels of PUBLISH are shared by all databases."""
        self._next_database += 1
        if self._next_database >= DATABASES:
            raise ProcessFailedError(f"all {DATABASES} Redis databases of this run are used")
        return self.url(self._next_database)


def find_redis() -> str:
    """The redis-server program; ProcessFailedError says how to install it."""
    found = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ProcessFailedError("redis-server is not installed (apt-get install redis-server)")
    return found
