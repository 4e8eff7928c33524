"""A full queue that opens at a chosen moment.

The market queue has one active consumer at a time. The gate consumes first and holds one message, which it never
acknowledges; whoever is measured subscribes second and waits as a spare. The queue is filled, and when the gate goes,
the spare gets everything at once, the held message first. So nobody's start-up is measured, and nobody publishes
meanwhile.
"""

import socket
import time
from types import TracebackType
from typing import Any, Self

from kombu import Connection

from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.consumers.stream.topology import Topology
from tests.support.waiting import wait_until

HELD = b'{"event_version": 1, "type": "gate", "payload": {}}'
"""An event of a type that nobody knows."""


class Gate:
    """Before one market queue, on a connection of its own."""

    def __init__(self, options: StreamOptions) -> None:
        self._topology = Topology(options)
        # py-amqp would give up a broker that lets a publisher wait for a second, as it does under so much at once.
        patience = {"socket_settings": {socket.TCP_USER_TIMEOUT: 60_000}}
        self._connection = Connection(options.url, transport_options=patience)
        self._channel: Any = self._connection.channel()
        self._held: list[Any] = []

    def __enter__(self) -> Self:
        """Declare everything and take the place in front."""
        channel = self._channel
        self._topology.declare(channel)
        channel.basic_qos(0, 1, False)
        name = self._topology.market.name
        channel.queue_purge(name)
        channel.basic_consume(name, callback=self._held.append)
        channel.basic_publish(channel.prepare_message(HELD), exchange="", routing_key=name)
        while not self._held:
            self._connection.drain_events(timeout=10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.release()

    def wait_for_spare(self) -> None:
        """Wait until somebody stands behind the gate."""
        wait_until(lambda: self._look().consumer_count >= 2, 60, "the relay consumes")

    def fill(self, publishings: bytes, number: int) -> None:
        """Put ``number`` messages into the queue, as the bytes that publish them on channel 1."""
        before = self._look().message_count
        self._connection.connection.transport.write(publishings)
        wait_until(lambda: self._look().message_count >= before + number, 60, "the queue is full")

    def open(self) -> float:
        """Let the spare have it all; the moment, in monotonic seconds."""
        opened = time.monotonic()
        self._channel.close()
        return opened

    def _look(self) -> Any:
        return self._channel.queue_declare(self._topology.market.name, passive=True)
