"""Wait for operations to end: one thread, and one connection, for all that this process waits for.

Looking at the rows is what cannot miss: the outcome is a committed row, whoever wrote it and whatever became of their
messages. PostgreSQL moreover calls when a row becomes final (migration 0003), which spares most of the looking; where a
call does not come through (SQLite, a pooler that shares connections), looking finds it a little later.
"""

import logging
import os
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from uuid import UUID

from django.db import connection, connections

from ctrader_app.ledger.operations import Standing, ended_among

logger = logging.getLogger(__name__)

CHANNEL = "ctrader_operations"
"""On which PostgreSQL names each operation that becomes final: the trigger of migration 0003 says the same."""

SHORTEST_S = 0.002
SHORTEST_WHEN_CALLED_S = 0.03
LONGEST_S = 0.25
SHARE_OF_AGE = 0.15
"""A wait that has lasted t is looked at again after 0.15 t: that is the most that looking adds to it."""

IDLE_S = 30.0
"""How long the connection is kept with nothing to wait for: beyond it, it would only go stale."""


class Watcher:
    """Completes a future for each operation once its row is final."""

    def __init__(self) -> None:
        self._waits: dict[UUID, list[Future[Standing]]] = {}
        self._youngest = 0.0
        self._changed = threading.Condition()
        self._is_called = False
        self._ended = False
        threading.Thread(target=self._run, name="ctrader-watcher", daemon=True).start()

    def watch(self, operation_id: UUID) -> "Future[Standing]":
        """A future of the final row.

        The caller looks at the row once after this: what ended before is seen by that look, what ends later by ours.
        """
        future: Future[Standing] = Future()
        with self._changed:
            self._waits.setdefault(operation_id, []).append(future)
            self._youngest = time.monotonic()
            self._changed.notify()
        return future

    def forget(self, operation_id: UUID, future: "Future[Standing]") -> None:
        """Nobody waits for this future any more."""
        with self._changed:
            waits = self._waits.get(operation_id, [])
            if future in waits:
                waits.remove(future)
            if not waits:
                self._waits.pop(operation_id, None)

    def end(self) -> None:
        """Let the thread end once nobody waits; a new watcher takes over what comes."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                self._listen()
                self._look(list(self._waits))
                self._until_next_look()
            except Exception:  # the thread must outlive whatever a driver raises: every waiter depends on it
                logger.warning("the database did not answer the watcher; it will ask again", exc_info=True)
                self._disconnect()
                time.sleep(LONGEST_S)
        self._disconnect()

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not self._waits:
                if self._ended:
                    return False
                if not self._changed.wait(IDLE_S):
                    self._disconnect()
        return True

    def _listen(self) -> None:
        if connection.vendor == "postgresql" and not self._is_called:
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            self._is_called = True

    def _look(self, wanted: list[UUID]) -> None:
        for operation_id, standing in ended_among(wanted).items():
            with self._changed:
                waits = self._waits.pop(operation_id, [])
            for future in waits:
                if future.set_running_or_notify_cancel():
                    future.set_result(standing)

    def _until_next_look(self) -> None:
        """Wait until it is time to look at all again; look at once at those that are called meanwhile."""
        share = (time.monotonic() - self._youngest) * SHARE_OF_AGE
        if not self._is_called:
            with self._changed:
                self._changed.wait(max(SHORTEST_S, min(share, LONGEST_S)))
            return
        deadline = time.monotonic() + max(SHORTEST_WHEN_CALLED_S, min(share, LONGEST_S))
        while self._waits and (left := deadline - time.monotonic()) > 0:
            calls = connection.connection.notifies(timeout=left, stop_after=1)
            called = [operation_id for call in calls if (operation_id := UUID(call.payload)) in self._waits]
            if called:
                self._look(called)

    def _disconnect(self) -> None:
        self._is_called = False
        with suppress(Exception):
            connections.close_all()


_lock = threading.Lock()
_watchers: dict[int, Watcher] = {}


def watcher() -> Watcher:
    """This process's watcher; a forked child makes its own."""
    pid = os.getpid()
    with _lock:
        if pid not in _watchers:
            _watchers.clear()
            _watchers[pid] = Watcher()
        return _watchers[pid]


def end_watcher() -> None:
    """Let this process's watcher go, with its connection: the database that it watches is about to be another one."""
    with _lock:
        for ended in _watchers.values():
            ended.end()
        _watchers.clear()
