"""The stand-in's events: published through kombu, under keys that begin with the account."""

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kombu import Connection, Exchange
from kombu.pools import reset as close_pools

TICK_INTERVAL_S = 0.1
_CLOSED = None


class Publisher:
    """A queue of events, a thread that publishes them in order, and the beat of the subscribed streams.

    `produce` is called every `TICK_INTERVAL_S` in that thread: it adds the prices and bars that were subscribed to.
    """

    def __init__(self, amqp_url: str, exchange: str, produce: Callable[[], None]) -> None:
        self._url = amqp_url
        self._exchange = Exchange(exchange, type="topic", durable=True)
        self._produce = produce
        self._events: queue.Queue[tuple[str, bytes] | None] = queue.Queue(maxsize=10_000)
        self._thread = threading.Thread(target=self._run, name="standin-publisher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Publish what waits, then end."""
        self._events.put(_CLOSED)
        self._thread.join(10.0)
        close_pools()

    def add(self, event_type: str, account: str, internal_account: str | None, payload: dict[str, Any]) -> None:
        """Queue one event. Does not block while there is room for ten thousand."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        envelope = {
            "event_id": str(uuid.uuid4()), "event_version": 1, "source": "ctrader", "platform": "cTrader",
            "type": event_type, "account_id": account, "occurred_at": now, "sent_at": now, "payload": payload,
        }  # fmt: skip
        if internal_account is not None:
            envelope["internal_account_id"] = internal_account
        self._events.put((f"account.{account}.{event_type}", json.dumps(envelope).encode()))

    def _run(self) -> None:
        with Connection(self._url) as connection:
            producer = connection.Producer(exchange=self._exchange)
            due_s = time.monotonic()
            while True:
                try:
                    event = self._events.get(timeout=max(0.0, due_s - time.monotonic()))
                except queue.Empty:
                    self._produce()
                    due_s = time.monotonic() + TICK_INTERVAL_S
                    continue
                if event is _CLOSED:
                    return
                key, body = event
                producer.publish(
                    body, routing_key=key, content_type="application/json", content_encoding="utf-8",
                    declare=[self._exchange], retry=True, retry_policy={"max_retries": 100, "interval_max": 0.3},
                )  # fmt: skip
