"""Put messages on the queue without ever holding up, or failing, a caller that has money at stake.

The ledger is the outbox: what cannot be published now is published by the sweep. So operations are handed to one
background thread, which owns its own connection (py-amqp connections belong to one thread) and gives a broken or
blocked broker a few seconds at most. Reconciliations, whose trigger is acknowledged only once their task is safe,
are published by their caller and confirmed.
"""

import atexit
import logging
import os
import threading
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Any

from celery import current_app
from kombu import Connection, Producer
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

SOCKET_TIMEOUT_S = 5.0
"""A broker under a memory alarm accepts a publish and never confirms it: no read may wait longer than this."""

BACKLOG = 10_000
"""Messages waiting for the thread. Beyond it they are left to the sweep."""

FLUSH_S = 3.0
"""How long a process that ends gives its last messages."""


class PublishError(Exception):
    """The broker did not confirm the message. It may or may not be queued."""


@dataclass(frozen=True, slots=True)
class Message:
    """One task to publish."""

    task: str
    args: tuple[str, ...]
    task_id: str | None = None
    delay_s: float = 0.0


class Publisher:
    """One connection, for one thread. ``send`` confirms or raises PublishError within a few seconds."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def send(self, message: Message) -> None:
        """Publish, once again on a new connection if the old one proves dead: a message twice does no harm."""
        fresh = self._connection is None
        try:
            self._send(message)
        except self._errors() as error:
            self.close()
            if fresh:
                raise PublishError(f"{message.task}: {error!r}") from error
            self.send(message)

    def _send(self, message: Message) -> None:
        if self._connection is None or self._producer is None:
            self._connection = _connect()
            # One channel for all messages: opening one, with its confirms, costs three round trips.
            self._producer = current_app.amqp.Producer(self._connection)
        options: dict[str, Any] = {"task_id": message.task_id} if message.task_id else {}
        if message.delay_s > 0:
            options["countdown"] = message.delay_s
        current_app.send_task(message.task, args=message.args, producer=self._producer, retry=False, **options)

    def _errors(self) -> tuple[type[BaseException], ...]:
        if self._connection is None:
            return (OSError, OperationalError)
        return (OSError, OperationalError, *self._connection.connection_errors, *self._connection.channel_errors)

    def close(self) -> None:
        """Drop the connection; the next send makes a new one."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            # collect() closes the socket; close() would talk to a broker that may not answer.
            connection.collect(socket_timeout=0.1)


def _connect() -> Connection:
    connection = current_app.connection_for_write(connect_timeout=SOCKET_TIMEOUT_S)
    if connection.transport.driver_type == "amqp":
        connection.transport_options = {
            **(connection.transport_options or {}),
            "read_timeout": SOCKET_TIMEOUT_S,
            "write_timeout": SOCKET_TIMEOUT_S,
        }
    return connection


class BackgroundPublisher:
    """A thread that publishes what it is handed. ``hand_over`` returns at once and never raises."""

    def __init__(self) -> None:
        self._messages: Queue[Message] = Queue(BACKLOG)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ctrader-publisher", daemon=True)
        self._thread.start()

    def hand_over(self, message: Message) -> None:
        """Publish soon. A message that cannot be taken is left to the sweep."""
        try:
            self._messages.put_nowait(message)
        except Full:
            logger.warning("%s%r left to the sweep: the publisher is %s messages behind", *_named(message), BACKLOG)

    def _run(self) -> None:
        publisher = Publisher()
        while True:
            try:
                message = self._messages.get(timeout=0.5)
            except Empty:
                if self._stopping.is_set():
                    publisher.close()
                    return
                continue
            try:
                publisher.send(message)
            except PublishError as error:
                logger.warning("%s%r left to the sweep: %s", *_named(message), error)
            except Exception:  # the thread must outlive whatever a driver raises; the row is safe in the ledger
                logger.exception("%s%r left to the sweep", *_named(message))
                publisher.close()
            finally:
                self._messages.task_done()

    def flush(self) -> None:
        """Give what is waiting a bounded time to leave."""
        self._stopping.set()
        self._thread.join(FLUSH_S)


def _named(message: Message) -> tuple[str, tuple[str, ...]]:
    return message.task, message.args


_lock = threading.Lock()
_background: dict[int, BackgroundPublisher] = {}
_local = threading.local()


def background() -> BackgroundPublisher:
    """This process's background publisher. A forked child makes its own: threads do not survive a fork."""
    pid = os.getpid()
    found = _background.get(pid)
    if found is not None:
        return found
    with _lock:
        if pid not in _background:
            _background.clear()
            _background[pid] = BackgroundPublisher()
            atexit.register(_background[pid].flush)
        return _background[pid]


def confirmed(message: Message) -> None:
    """Publish on this thread's own connection and return once the broker has it. Raises PublishError."""
    owner, publisher = getattr(_local, "publisher", (None, None))
    if publisher is None or owner != os.getpid():
        publisher = Publisher()
        _local.publisher = (os.getpid(), publisher)
    publisher.send(message)
