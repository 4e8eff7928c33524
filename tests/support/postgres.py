"""A PostgreSQL of the test run's own."""

import re
import shutil
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import (
    ManagedProcess,
    ProcessFailedError,
    make_folder,
    service_user,
)

SUPERUSER = "postgres"
_INITDB_TIMEOUT_S = 60.0
# A crash of the machine may lose everything: nothing here is worth a single fsync. The commits of a server that is
# killed are the product's to look after, and this one makes that hard: it confirms them before they are written.
_SPEED = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"]


class PostgresServer:
    """PostgreSQL on a free port of loopback; superuser `postgres`, no password, data in a temporary folder.

    Restarts, in order or after SIGKILL, keep port and data.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._programs = find_postgres()
        self._user = service_user("postgres")
        self._next_name = 0
        self.folder = make_folder("postgres", self._user)
        self._data = self.folder / "data"
        settings = [*_SPEED, f"listen_addresses={LOOPBACK}", f"unix_socket_directories={self.folder}"]
        self.process = ManagedProcess(
            "postgres",
            [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
            + [part for setting in settings for part in ("-c", setting)],
            log_path=self.folder / "postgres.log",
            cwd=self.folder,
            user=self._user,
            # The fast shutdown; SIGTERM would wait for every client to leave.
            stop_signal=signal.SIGINT,
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start it and wait until it takes queries; about 1.5 s the first time (initdb), 0.2 s later."""
        if not self._data.exists():
            self._initialize()
        self.process.start()
        self.process.wait_for(self.answers, 30.0, "answer to a query")
        return self

    def _initialize(self) -> None:
        command = [
            str(self._programs / "initdb"), "-D", str(self._data), "-A", "trust", "-U", SUPERUSER,
            "-E", "UTF8", "--no-locale", "--no-sync",
        ]  # fmt: skip
        setup = ManagedProcess("initdb", command, log_path=self.folder / "initdb.log", cwd=self.folder, user=self._user)
        with setup:
            if setup.wait_for_exit(_INITDB_TIMEOUT_S) != 0:
                raise ProcessFailedError(f"initdb failed\n{setup.log_tail()}")

    def stop(self) -> None:
        """The fast shutdown: clients are cut off, the data stay."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL to every process of the server; the next start recovers."""
        self.process.kill()

    def restart(self) -> Self:
        """Stop and start on the same port with the same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def answers(self) -> bool:
        """Whether it takes a query."""
        try:
            with self.connect():
                return True
        except psycopg.OperationalError:
            return False

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A new connection in autocommit mode; the caller closes it."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=3)

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases, in the form that DATABASE_URL takes."""
        return f"postgresql://{SUPERUSER}@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str | None = None, template: str | None = None) -> str:
        """Create a database, as a copy of `template` when given (nobody may be connected to it); returns its name."""
        if name is None:
            self._next_name += 1
            name = f"test_{self._next_name}"
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
        with self.connect() as connection:
            connection.execute(statement)
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database and cut off whoever uses it; harmless when it does not exist."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def find_postgres() -> Path:
    """The folder of the newest PostgreSQL's programs; ProcessFailedError says how to install it."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda folder: int(re.sub(r"\D", "", folder.parent.name) or 0))
    found = shutil.which("initdb")
    if found is None:
        raise ProcessFailedError("PostgreSQL is not installed (apt-get install postgresql)")
    return Path(found).resolve().parent
