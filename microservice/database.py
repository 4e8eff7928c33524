"""The one SQLite file: effects, idempotency records and unsent events commit together.

One connection, used by one thread (the event loop's). The journal is a write-ahead log with ``synchronous=NORMAL``:
a killed process loses nothing that was committed; a power cut may lose the last commits but never tears the file.
"""

import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class StateError(RuntimeError):
    """The state file cannot be used; the message names it."""


class Database:
    """A connection with nestable transactions and hooks that run once a commit is done."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises StateError."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=5.0, cached_statements=256)
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-2000", "temp_store=MEMORY"):
                self._connection.execute(f"PRAGMA {pragma}")
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"cannot use {path}: {error}") from error
        self._depth = 0
        self._after_commit: list[Callable[[], None]] = []

    def create(self, script: str) -> None:
        """Create what is missing of a schema."""
        self._connection.executescript(script)

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(statement, values)

    def execute_many(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        """Run one statement for many rows."""
        self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything done inside, or nothing. A nested block joins the outer one."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._after_commit.clear()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        finally:
            self._depth = 0
        hooks, self._after_commit = self._after_commit, []
        for hook in hooks:
            hook()

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Run ``hook`` once the current transaction has committed; never if it rolls back."""
        if self._depth:
            self._after_commit.append(hook)
        else:
            hook()

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        self._connection.close()
        self._lock.close()


def _lock(path: Path) -> IO[bytes]:
    """Hold the state file for this process; the kernel lets go when the process dies, however it dies."""
    handle = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise StateError(f"{path} is in use by another microservice") from error
    return handle
