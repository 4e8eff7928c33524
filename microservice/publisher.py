"""The publisher: one thread that owns its broker connections. Nobody waits for it but the pump of state events.

State events go over a connection with publisher confirms and are kept until confirmed, over as many reconnections as
it takes. Market data goes over a second, unconfirmed one and is dropped when it is late: old prices are worthless.
"""

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import kombu

from ctrader_app.wire.headers import ACCOUNT_HEADER
from microservice.events import Message

_STALE_S = 2.0
_MARKET_CAPACITY = 4_000
_TIMEOUT_S = 10  # bounds a publish that a blocked broker never answers
_STOP_S = 3.0  # a thread stuck on a blocked broker is a daemon: it does not hold the process up
_HEARTBEAT_S = 30
_IDLE_S = 5.0
_FIRST_BACKOFF_S = 0.2
_LONGEST_BACKOFF_S = 5.0

logger = logging.getLogger("microservice.publisher")


@dataclass(slots=True)
class _Batch:
    left: deque[Message]
    done: Callable[[], None]


class _Link:
    """Two open connections with a producer each."""

    def __init__(self, url: str, exchange: kombu.Exchange) -> None:
        self._state = _connection(url, confirm=True)
        self._market = _connection(url, confirm=False)
        self.exchange = exchange
        self._state_producer = self._open(self._state)
        self._market_producer = self._open(self._market)

    def _open(self, connection: kombu.Connection) -> kombu.Producer:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)  # the backoff is ours
        return kombu.Producer(connection.default_channel, exchange=self.exchange, auto_declare=True)

    def send(self, message: Message, *, state: bool) -> None:
        producer = self._state_producer if state else self._market_producer
        producer.publish(
            message.body,
            routing_key=message.routing_key,
            content_type="application/json",
            content_encoding="utf-8",
            headers={ACCOUNT_HEADER: message.account_id},
            delivery_mode=2 if state else 1,
            message_id=message.event_id,
            type=message.type.value,
            retry=False,
        )

    def beat(self) -> None:
        """Keep both connections alive, and find out if one is dead."""
        for connection in (self._state, self._market):
            if not connection.supports_heartbeats:
                continue
            with suppress(TimeoutError):  # nothing is expected but heartbeats, which this reads
                connection.drain_events(timeout=0.001)
            connection.heartbeat_check()

    def close(self) -> None:
        for connection in (self._state, self._market):
            connection.release()


def _connection(url: str, *, confirm: bool) -> kombu.Connection:
    options: dict[str, object] = {}
    if not url.startswith("memory"):
        options = {"confirm_publish": confirm, "read_timeout": _TIMEOUT_S, "write_timeout": _TIMEOUT_S}
    return kombu.Connection(
        url, transport_options=options, connect_timeout=5, heartbeat=0 if not options else _HEARTBEAT_S
    )


class Publisher:
    """Thread-safe towards the event loop: ``market`` never blocks, ``state`` waits for the broker's word."""

    def __init__(self, url: str, exchange: str) -> None:
        self._url = url
        self._exchange = kombu.Exchange(exchange, type="topic", durable=True)
        self._wake = threading.Condition()
        self._market: deque[tuple[float, Message]] = deque(maxlen=_MARKET_CAPACITY)
        self._batch: _Batch | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="microservice-publisher", daemon=True)
        self.connected = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; what is unconfirmed stays in the outbox."""
        self._stopping.set()
        with self._wake:
            self._wake.notify()
        self._thread.join(timeout=_STOP_S)

    def market(self, messages: list[Message]) -> None:
        """Send market data, or forget it."""
        now = time.monotonic()
        with self._wake:
            self._market.extend((now, message) for message in messages)
            self._wake.notify()

    async def state(self, messages: list[Message]) -> None:
        """Send state events in order and return once the broker has confirmed all of them."""
        loop = asyncio.get_running_loop()
        confirmed: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not confirmed.done():
                confirmed.set_result(None)

        def done() -> None:
            try:
                loop.call_soon_threadsafe(finish)
            except RuntimeError:  # the loop is gone: the rows stay in the outbox and are sent again
                logger.warning("confirmed after the loop had closed")

        with self._wake:
            self._batch = _Batch(deque(messages), done)
            self._wake.notify()
        await confirmed

    # --- the thread ---

    def _run(self) -> None:
        backoff = _FIRST_BACKOFF_S
        while not self._stopping.is_set():
            try:
                with self._link() as link:
                    backoff = _FIRST_BACKOFF_S
                    self._serve(link)
            except Exception as error:  # noqa: BLE001 - the thread's boundary: whatever broke, connect anew
                logger.warning("event broker unavailable (%s); next try in %.1f s", type(error).__name__, backoff)
            if not self._stopping.wait(backoff * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter
                backoff = min(backoff * 2, _LONGEST_BACKOFF_S)

    @contextmanager
    def _link(self) -> Iterator[_Link]:
        link = _Link(self._url, self._exchange)
        self.connected = True
        logger.info("event broker connected")
        try:
            yield link
        finally:
            self.connected = False
            _close_quietly(link)

    def _serve(self, link: _Link) -> None:
        beaten = time.monotonic()
        while not self._stopping.is_set():
            with self._wake:
                if not self._market and self._batch is None:
                    self._wake.wait(_IDLE_S)
                batch = self._batch
            if batch is not None:
                self._send_batch(link, batch)
            self._send_market(link)
            if time.monotonic() - beaten >= _IDLE_S:
                beaten = time.monotonic()
                link.beat()

    def _send_batch(self, link: _Link, batch: _Batch) -> None:
        while batch.left:
            link.send(batch.left[0], state=True)
            batch.left.popleft()  # only once confirmed: a message in doubt is sent again
        with self._wake:
            self._batch = None
        batch.done()

    def _send_market(self, link: _Link) -> None:
        while True:
            with self._wake:
                if not self._market:
                    return
                taken_at, message = self._market.popleft()
            if time.monotonic() - taken_at <= _STALE_S:
                link.send(message, state=False)


def _close_quietly(link: _Link) -> None:
    try:
        link.close()
    except Exception as error:  # noqa: BLE001 - closing a dead connection may fail in any way; it is dead anyway
        logger.debug("closing the broker connection: %s", error)
