"""One queue, read on a connection of its own, for as long as the worker lives.

kombu's ConsumerMixin is not used for three reasons: it looks at heartbeats only while nothing arrives, so a broker
closes the connection of a busy reader that never acknowledges; an exception in a callback ends it; and it decodes
bodies by the content type that a stranger wrote on them. Here heartbeats are due by the clock, the handler decides
every message's fate without raising, and the raw body is handed over.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from kombu import Connection, Consumer, Queue
from kombu.exceptions import OperationalError

from ctrader_app.consumers.stream.budget import ErrorBudget
from ctrader_app.consumers.stream.counters import Tally
from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.consumers.stream.readahead import drain_of, transport_for
from ctrader_app.consumers.stream.sharing import MarketShare, PluginMissingError
from ctrader_app.consumers.stream.topology import Topology

logger = logging.getLogger(__name__)

DRAIN_S = 0.25
"""How soon a stop is noticed while nothing arrives."""

CONNECT_TIMEOUT_S = 5.0

ROUTED_AS_HEADER = "x-ctrader-routed-as"

_BOUNDED = {"read_timeout": 10.0, "write_timeout": 10.0}
"""Seconds for an answer of the broker. Waiting for messages has its own limit, :data:`DRAIN_S`."""

Handler = Callable[[Any], None]


class QueueReader:
    """Reads one queue and hands every kombu message to ``handle``, which must not raise for what a message holds.

    With ``share``, ``queue`` is but one of many, and the share decides which of them are read here. ``consuming`` is
    called each time that it has begun to.
    """

    def __init__(
        self,
        options: StreamOptions,
        topology: Topology,
        queue: Queue,
        handle: Handler,
        *,
        no_ack: bool,
        tally: Tally,
        stopping: threading.Event,
        share: MarketShare | None = None,
        consuming: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._topology = topology
        self._queue = queue
        self._share = share
        self._consuming = consuming
        self._handle = handle
        self._no_ack = no_ack
        self._tally = tally
        self._stopping = stopping
        self._connection: Connection | None = None
        self._channel: Any = None
        self._next_beat = 0.0
        self.budget = ErrorBudget(options.error_budget, options.first_pause_s, options.longest_pause_s)
        self.ready = threading.Event()

    def run(self) -> None:
        """Read until told to stop. Raises StreamFailedError when the error budget is used up."""
        while not self._stopping.is_set():
            error = self._until_lost()
            if error is None or self._stopping.is_set():
                return
            self._tally.add("reconnects")
            cause = str(error) if isinstance(error, PluginMissingError) else f"the broker is lost: {error!r}"
            logger.warning("%s: %s; trying again", self._queue.name, cause)
            self._stopping.wait(self.budget.spend(cause))

    def _until_lost(self) -> BaseException | None:
        """One connection's life; what ended it, None when that was the wish. It is dropped whatever happens."""
        connection = self._new_connection()
        errors: tuple[type[BaseException], ...] = (
            OperationalError, *connection.connection_errors, *connection.channel_errors, OSError,
        )  # fmt: skip
        politely = False
        try:
            self._session(connection)
            politely = True
        except errors as error:
            return error
        finally:
            self.ready.clear()
            self._connection = self._channel = None
            _drop(connection, politely=politely)
        return None

    def beat(self) -> bool:
        """Send, and look for, a heartbeat if one is due; for handlers that take long. Raises when the broker is gone.

        Returns whether one was due.
        """
        connection = self._connection
        if connection is None or time.monotonic() < self._next_beat:
            return False
        self._next_beat = time.monotonic() + self._options.heartbeat_s / 4
        if connection.supports_heartbeats:
            connection.heartbeat_check()
        return True

    def publish(self, exchange: str, routing_key: str, message: Any) -> None:
        """Pass a message on, as it is, on this reader's channel. Only from within ``handle``."""
        headers = {str(name): value for name, value in (message.headers or {}).items() if value is not None}
        headers[ROUTED_AS_HEADER] = routing_key_of(message)
        self._connection_producer().publish(
            raw_body(message),
            exchange=exchange,
            routing_key=routing_key,
            headers=headers,
            content_type="application/json",
            content_encoding="binary",
            delivery_mode=2,
            retry=False,
        )

    def _connection_producer(self) -> Any:
        if self._connection is None:
            raise ConnectionError("not connected")
        return self._connection.Producer(self._channel)

    def _new_connection(self) -> Connection:
        memory = self._options.in_memory
        return Connection(
            self._options.url,
            transport=transport_for(self._options.url),
            heartbeat=0 if memory else self._options.heartbeat_s,
            connect_timeout=CONNECT_TIMEOUT_S,
            # The in-memory broker polls; at 20 ms an event is handled within that time at next to no load.
            transport_options={"polling_interval": 0.02} if memory else {**_BOUNDED, **self._about()},
        )

    def _about(self) -> dict[str, object]:
        return {"client_properties": {"connection_name": f"reader of {self._queue.name}"}}

    def _session(self, connection: Connection) -> None:
        # At once: the pauses between attempts are ours, not kombu's 2 s.
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        channel: Any = connection.channel()
        # Bodies stay bytes, whatever encoding the message claims.
        channel.auto_decode = False
        self._topology.declare(channel)
        self._connection, self._channel = connection, channel
        self._next_beat = 0.0
        if self._share is None:
            self._consume(channel)
        else:
            self._share.join(connection, channel)
        self.ready.set()
        self._consuming()
        self._drain(connection)
        if self._share is not None:
            self._share.leave()

    def _consume(self, channel: Any) -> None:
        Consumer(
            channel,
            queues=[self._queue],
            on_message=self._handle,
            on_decode_error=self._undecodable,
            no_ack=self._no_ack,
            prefetch_count=None if self._no_ack else self._options.prefetch,
            auto_declare=False,
        ).consume()

    def _drain(self, connection: Connection) -> None:
        drain, stopped, share = drain_of(connection, DRAIN_S), self._stopping.is_set, self._share
        while not stopped():
            try:
                drain()
            except TimeoutError:
                self.budget.restore()
                if share is not None:
                    share.settle()
            if share is not None:
                share.tend()
            if self.beat():
                self.budget.restore()

    def _undecodable(self, message: Any, error: Exception) -> None:
        # kombu's own answer would be to acknowledge it. The handler judges the raw body, as it does every other's.
        logger.debug("kombu cannot make sense of a message: %r", error)
        self._handle(message)


def routing_key_of(message: Any) -> str:
    """The routing key under which the message was published, also when it was passed on since."""
    passed_on = (message.headers or {}).get(ROUTED_AS_HEADER)
    return str(passed_on or (message.delivery_info or {}).get("routing_key") or "")


def raw_body(message: Any) -> bytes:
    """The body as it arrived."""
    body = message.body
    return body if isinstance(body, bytes) else bytes(str(body or ""), "utf-8", "surrogatepass")


def _drop(connection: Connection, *, politely: bool) -> None:
    # Politeness waits for the broker's answer, which one that was lost will not give. What is unacknowledged goes
    # back to its queue either way.
    try:
        if politely:
            connection.release()
        else:
            connection.collect(socket_timeout=0.5)
    except Exception:  # whatever it says, it is being thrown away
        logger.debug("a connection made a last remark", exc_info=True)
