"""A consumer of the events exchange, bound as the contract says that consumers bind."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kombu import Connection, Exchange, Queue, binding

PATTERNS = ("account.#", "price.#", "candle.#", "positions.#", "position.#")
WAIT_S = 15.0


@dataclass(frozen=True)
class Heard:
    """One event as it arrived."""

    routing_key: str
    envelope: dict[str, Any]

    @property
    def type(self) -> str:
        """The type that decides."""
        return str(self.envelope["type"])

    @property
    def payload(self) -> dict[str, Any]:
        """What it says."""
        payload: dict[str, Any] = self.envelope["payload"]
        return payload

    def is_about(self, account_id: str) -> bool:
        """Whether it names this account, by either id."""
        names = ("account_id", "broker_login", "internal_account_id")
        return account_id in [str(self.envelope.get(name)) for name in names]


class Listener:
    """Hears everything that is published while it is open; `heard` keeps all of it."""

    def __init__(self, amqp_url: str, exchange: str) -> None:
        self._connection = Connection(amqp_url)
        self._events = Exchange(exchange, type="topic", durable=True)
        self._queue = Queue(
            f"contract-{uuid.uuid4()}",
            exclusive=True,
            auto_delete=True,
            bindings=[binding(self._events, key) for key in PATTERNS],
        )
        self.heard: list[Heard] = []

    def __enter__(self) -> Self:
        try:
            channel = self._connection.channel()
            self._events(channel).declare()
            consumer = self._connection.Consumer(self._queue, no_ack=True, on_message=self._take, channel=channel)
            consumer.consume()
        except BaseException:
            self._connection.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.release()

    def _take(self, message: Any) -> None:
        self.heard.append(Heard(message.delivery_info["routing_key"], json.loads(message.body)))

    def wait_for(
        self, event_type: str, account_id: str, what: Callable[[dict[str, Any]], bool] = lambda _: True, count: int = 1
    ) -> list[Heard]:
        """The first `count` events of a type about an account whose payload fits; AssertionError after 15 s."""
        deadline = time.monotonic() + WAIT_S
        while True:
            found = [
                each
                for each in self.heard
                if each.type == event_type and each.is_about(account_id) and what(each.payload)
            ]
            if len(found) >= count:
                return found[:count]
            left_s = deadline - time.monotonic()
            seen = sorted({each.type for each in self.heard if each.is_about(account_id)})
            assert left_s > 0, f"{len(found)} of {count} {event_type} within {WAIT_S:g} s; heard {seen}"
            try:
                self._connection.drain_events(timeout=min(left_s, 1.0))
            except TimeoutError:
                continue
