"""Wait for operations to end: one thread and one query for all that this process waits for.

Looking is what cannot miss: the outcome is a committed row, whoever wrote it and whatever became of their messages.
The interval follows the age of the youngest wait, so that a fresh one costs little time and an old one little work.
"""

import logging
import os
import threading
import time
from concurrent.futures import Future
from uuid import UUID

from django.db import connections

from ctrader_app.domain.operations import FINAL
from ctrader_app.models import Operation

logger = logging.getLogger(__name__)

SHORTEST_S = 0.002
LONGEST_S = 0.25
SHARE_OF_AGE = 0.15
"""A wait that has lasted t is looked at again after 0.15 t: that is the most that looking adds to it."""


class Watcher:
    """Completes a future for each operation once its row is final."""

    def __init__(self) -> None:
        self._waits: dict[UUID, list[Future[Operation]]] = {}
        self._youngest = 0.0
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="ctrader-watcher", daemon=True).start()

    def watch(self, operation_id: UUID) -> "Future[Operation]":
        """A future of the final row."""
        future: Future[Operation] = Future()
        with self._changed:
            self._waits.setdefault(operation_id, []).append(future)
            self._youngest = time.monotonic()
            self._changed.notify()
        return future

    def forget(self, operation_id: UUID, future: "Future[Operation]") -> None:
        """Nobody waits for this future any more."""
        with self._changed:
            waits = self._waits.get(operation_id, [])
            if future in waits:
                waits.remove(future)
            if not waits:
                self._waits.pop(operation_id, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waits:
                    # Nothing to look at, perhaps for hours: an idle connection would only go stale.
                    connections.close_all()
                    self._changed.wait()
                wanted = list(self._waits)
            self._look(wanted)
            age = time.monotonic() - self._youngest
            with self._changed:
                self._changed.wait(max(SHORTEST_S, min(age * SHARE_OF_AGE, LONGEST_S)))

    def _look(self, wanted: list[UUID]) -> None:
        try:
            finals = list(Operation.objects.filter(pk__in=wanted, state__in=sorted(FINAL)))
        except Exception:  # the thread must outlive whatever a driver raises: every waiter depends on it
            logger.warning("the database did not answer the watcher; it will ask again", exc_info=True)
            connections.close_all()
            time.sleep(LONGEST_S)
            return
        for operation in finals:
            with self._changed:
                waits = self._waits.pop(operation.pk, [])
            for future in waits:
                if future.set_running_or_notify_cancel():
                    future.set_result(operation)


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
