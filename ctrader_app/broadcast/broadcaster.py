"""The one door to the channel layer for synchronous code: threads offer, one event loop sends.

A message leaves at once while there are few. A round is followed by a pause in proportion to what it cost, and what is
replaced between two rounds was never worth encoding. ``settings.CTRADER_RELAY_EVERY_TICK`` sends everything
instead, in order, within a bound. A layer that does not answer costs memory up to that bound and nothing else; what
could not be sent is tried again, unless something newer has replaced it.
"""

import asyncio
import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Hashable
from functools import partial

from django.conf import settings

from ctrader_app.broadcast.conflation import EveryStore, Item, LatestStore, Store
from ctrader_app.broadcast.delivery import Delivery
from ctrader_app.broadcast.messages import Message, conflation_key

logger = logging.getLogger(__name__)

PENDING_LIMIT = 50_000
"""Items that may wait: with about 1 KB each, 50 MB in the worst case, and ten times the symbols of a large venue."""

REST = 3.0
"""A round is followed by a pause of so many times what it took, so that sending takes at most a quarter of the time.
Two threads share one interpreter: what the sender takes, the thread that reads the broker lacks. A round for one
message takes some 0.3 ms, so idle nobody waits for a pause; what comes within it is sent together, at a fraction of
the cost. Measured by the clock because it also tells how slow the machine and how busy the interpreter is."""

LONGEST_REST_S = 0.05
"""20 pictures a second, more than an eye follows in a figure."""

RETRY_PAUSE_S = 0.2
RETRY_PAUSE_LIMIT_S = 2.0
CLOSE_TIMEOUT_S = 1.0


class Broadcaster:
    """Sends messages to groups. Made by :func:`get_broadcaster`; safe between threads."""

    def __init__(self, *, every_message: bool = False, limit: int = PENDING_LIMIT) -> None:
        self._store: Store = EveryStore(limit) if every_message else LatestStore(limit)
        self._delivery = Delivery()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owns_loop = False
        self._scheduled = False
        self._task: asyncio.Task[None] | None = None
        self.retries = 0

    def send(self, group: str, message: Message) -> None:
        """Send ``message`` to ``group``, soon. Never blocks, never raises; replaces what it makes obsolete."""
        self.offer(group, conflation_key(message), lambda: message)

    def offer(self, group: str, key: Hashable, build: Callable[[], Message]) -> None:
        """As :meth:`send`, for a message that is built only if nothing of the same group and key replaces it."""
        self._store.put(Item(group, key, build))
        loop = self._loop
        # A loop that closed with work scheduled on it will never say that the work is done.
        if not self._scheduled or loop is None or loop.is_closed():
            self._schedule()

    def use_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send on this running loop from now on.

        In-memory layers keep their queues on the loop of the server: only there may they be fed. When that loop is
        closed, the broadcaster goes back to a loop of its own.
        """
        with self._lock:
            self._loop, self._owns_loop, self._scheduled = loop, False, False
        if len(self._store):
            self._schedule()

    def stats(self) -> dict[str, int]:
        """Since the start: sent, unsendable, retries, and by type of message conflated (replaced unsent, as in
        ``conflated.price_tick``) and dropped (beyond the bound); and how many wait now, ``pending``."""
        return {
            "sent": self._delivery.sent,
            "unsendable": self._delivery.unsendable,
            "retries": self.retries,
            "pending": len(self._store),
            **{f"conflated.{kind}": count for kind, count in self._store.conflated.copy().items()},
            **{f"dropped.{kind}": count for kind, count in self._store.dropped.copy().items()},
        }

    def flush(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Wait until nothing waits to be sent; False when that took longer. Not for use on the sending loop."""
        finished = threading.Event()
        with self._lock:
            loop = self._loop
        if loop is None or loop.is_closed():
            return not len(self._store)
        try:
            loop.call_soon_threadsafe(self._notify_when_idle, finished)
        except RuntimeError:
            return False
        return finished.wait(timeout_s)

    def close(self) -> None:
        """Give what waits a moment to leave, then stop the loop if it is ours."""
        self.flush()
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._owns_loop and not loop.is_closed():
            loop.call_soon_threadsafe(loop.stop)

    # -- between the threads and the loop ------------------------------------------------------------------------

    def _schedule(self) -> None:
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                self._loop, self._owns_loop = _start_loop(), True
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._start_rounds, self._loop)
            except RuntimeError:  # closed between the two lines; the next message finds that out
                self._scheduled = False

    def _start_rounds(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._rounds())
            self._task.add_done_callback(self._rounds_ended)

    def _rounds_ended(self, task: asyncio.Task[None]) -> None:
        self._scheduled = False
        if not task.cancelled() and task.exception() is not None:
            logger.error("a round of sending failed", exc_info=task.exception())
        elif len(self._store) and not task.cancelled():
            self._schedule()

    def _notify_when_idle(self, finished: threading.Event) -> None:
        if self._task is None or self._task.done():
            finished.set()
        else:
            self._task.add_done_callback(lambda _task: finished.set())

    async def _rounds(self) -> None:
        retry_pause_s = RETRY_PAUSE_S
        while True:
            batch = self._store.take()
            if not batch:
                return
            started_s = time.monotonic()
            failed = await self._delivery.send(batch)
            if failed:
                self.retries += 1
                self._store.restore(failed)
                await asyncio.sleep(retry_pause_s)
                retry_pause_s = min(retry_pause_s * 2, RETRY_PAUSE_LIMIT_S)
                continue
            retry_pause_s = RETRY_PAUSE_S
            await asyncio.sleep(min(REST * (time.monotonic() - started_s), LONGEST_REST_S))


def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    threading.Thread(target=run, name="ctrader-broadcast", daemon=True).start()
    return loop


_broadcaster: Broadcaster | None = None
_guard = threading.Lock()


def get_broadcaster() -> Broadcaster:
    """The process's broadcaster, made at first use. After a fork the child makes its own: threads do not survive."""
    global _broadcaster  # noqa: PLW0603 - one a process, by design
    with _guard:
        if _broadcaster is None:
            _broadcaster = Broadcaster(every_message=bool(getattr(settings, "CTRADER_RELAY_EVERY_TICK", False)))
            atexit.register(partial(_close_at_exit, _broadcaster))
        return _broadcaster


def _close_at_exit(broadcaster: Broadcaster) -> None:
    if broadcaster is _broadcaster:
        broadcaster.close()


def _forget_after_fork() -> None:
    global _broadcaster, _guard  # noqa: PLW0603 - the parent's lock may have been held while it forked
    _broadcaster = None
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
