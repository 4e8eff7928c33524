"""Market data shared between workers: many queues, each read by one worker at a time.

A consistent-hash exchange spreads the events over :data:`PARTITIONS` durable queues by their account header, and the
set of queues never changes, so an account stays in its queue while the broker runs. Every worker consumes all of them;
each has a single active consumer, which keeps the order, and all the others are its spares. When the active one goes,
the broker at once takes the spare of the highest priority, which here is its *rank*: a hash of worker and queue. So
each queue falls to a worker as good as drawn by lot, and whoever goes leaves to the others what was its own, and
nothing else moves.

A broker does not put a newcomer of a higher rank in the place of an active consumer. That is asked for: a newcomer,
once it is registered everywhere, greets all others, and each of them takes a new seat and gives up its old one, upon
which every queue falls to the highest rank. Nobody keeps a list of who is there.

A seat is a channel, and is given up by closing it. Cancelling its consumers would not do: RabbitMQ (3.10) does not
hand the waiting messages of a queue to the consumer that follows a cancelled one, and the queue crashes at the next
message. Closing a channel puts what was delivered but not acknowledged back in its place in the queue first.

Unlike the one queue of a worker that does not share, these are acknowledged, many messages at a time. That bounds what
is under way to a worker: a newcomer's greeting does not stand behind seconds of prices that were pushed to one who does
not keep up, and what a killed one had not taken goes to the next.
"""

import logging
from collections.abc import Callable
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from amqp import spec
from amqp.exceptions import InvalidCommand
from kombu import Exchange, Producer, Queue
from kombu.exceptions import OperationalError

from ctrader_app.operations.queues import PARTITIONS, partition
from ctrader_app.wire.headers import ACCOUNT_HEADER

logger = logging.getLogger(__name__)

PREFETCH = 50
"""Messages under way for each queue: 50,000 a second at a round trip of 1 ms."""

BATCH = 25
"""Messages acknowledged at once: half of what may be under way for one queue, so that none ever waits for that."""

GREETINGS_LIMIT = 100
"""Unread ones; one of them says as much as all."""

Handler = Callable[[Any], None]


class PluginMissingError(OperationalError):
    """The broker does not know consistent-hash exchanges; the message says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "AMQP_MARKET_SHARED is on, but RabbitMQ has no x-consistent-hash exchanges: enable its plugin "
            "(rabbitmq-plugins enable rabbitmq_consistent_hash_exchange) or turn the setting off"
        )


class SharedMarket:
    """What the broker holds for it. A worker reads ``queues``: the partitions, and ``unshared``, the queue that is
    filled while a worker that does not share has the say; its rest, or all of it, must not lie there unread."""

    def __init__(self, stem: str, unshared: Queue) -> None:
        self.exchange = Exchange(
            f"{stem}.share", type="x-consistent-hash", durable=True, arguments={"hash-header": ACCOUNT_HEADER}
        )
        self.members = Exchange(f"{stem}.members", type="fanout", durable=True)
        self.partitions = [
            Queue(partition(stem, number), durable=True, queue_arguments=unshared.queue_arguments)
            for number in range(PARTITIONS)
        ]
        self.queues = [unshared, *self.partitions]

    def declare(self, channel: Any) -> None:
        """Make it exist. Raises PluginMissingError, after which the connection is of no use."""
        try:
            self.exchange(channel).declare()
        except InvalidCommand as error:
            raise PluginMissingError from error
        self.members(channel).declare()
        for queue in self.partitions:
            bound = queue(channel)
            bound.queue_declare()
            # The routing key is the queue's weight.
            bound.bind_to(exchange=self.exchange, routing_key="1")


class MarketShare:
    """One worker's part in it, for the thread of its reader. Every message goes to ``handle``."""

    def __init__(self, market: SharedMarket, handle: Handler) -> None:
        self._market = market
        self._handle = handle
        self._member = uuid4().hex
        self._connection: Any = None
        self._seat: _Seat | None = None
        self._is_greeted = False

    def join(self, connection: Any, channel: Any) -> None:
        """Take part on this connection from now on. The channel remains the caller's, and carries the greetings."""
        self._connection = connection
        self._is_greeted = False
        # In this order: whoever registers after us greets us, and whoever was there before is greeted.
        self._listen(channel)
        self._seat = self._new_seat()
        Producer(channel).publish(
            self._member, exchange=self._market.members.name, routing_key="", content_type="text/plain",
            content_encoding="utf-8", delivery_mode=1, retry=False,
        )  # fmt: skip

    def tend(self) -> None:
        """Step back where a newcomer ranks higher. Due between two messages."""
        if not self._is_greeted or self._seat is None:
            return
        self._is_greeted = False
        # Spare first, then no longer active: at no moment is a queue without us.
        before, self._seat = self._seat, self._new_seat()
        before.give_up()
        logger.info("a worker has joined; it takes its share")

    def settle(self) -> None:
        """Acknowledge what was handled. Due when nothing arrives; under load it happens by itself."""
        if self._seat is not None:
            self._seat.settle()

    def leave(self) -> None:
        """Give everything to the others; nothing is handled any more."""
        if self._seat is not None:
            self._seat.give_up()

    def _new_seat(self) -> "_Seat":
        return _Seat(self._connection.channel(), self._market.queues, self._member, self._handle)

    def _listen(self, channel: Any) -> None:
        greetings = Queue(
            "", self._market.members, exclusive=True, durable=False,
            queue_arguments={"x-max-length": GREETINGS_LIMIT, "x-overflow": "drop-head"},
        )(channel)  # fmt: skip
        greetings.declare()
        channel.basic_consume(greetings.name, no_ack=True, callback=self._greeted)

    def _greeted(self, raw: Any) -> None:
        # Only noted: this is called from within whatever waits for the broker.
        if raw.body not in (self._member, self._member.encode()):
            self._is_greeted = True


class _Seat:
    """A channel on which one worker is registered with all queues, as the active one or as a spare."""

    def __init__(self, channel: Any, queues: list[Queue], member: str, handle: Handler) -> None:
        # Bodies stay bytes, whatever encoding the message claims.
        channel.auto_decode = False
        self._channel = channel
        self._handle = handle
        self._is_given_up = False
        self._handled = 0
        self._last_delivery = 0
        channel.basic_qos(0, PREFETCH, False)
        last = queues[-1]
        for queue in queues:
            # Only the last one's answer is waited for: it comes after all the others are registered.
            channel.basic_consume(
                queue.name, consumer_tag=f"{member}.{queue.name}", nowait=queue is not last, callback=self._received,
                arguments={"x-priority": rank(member, queue.name)},
            )  # fmt: skip

    def settle(self) -> None:
        """Acknowledge what was handled."""
        if self._handled:
            self._handled = 0
            self._channel.basic_ack(self._last_delivery, multiple=True)

    def give_up(self) -> None:
        """Leave the queues. What is still under way here goes back to its place in them."""
        self.settle()
        self._is_given_up = True
        # Channel.close() would wait for the answer, and log a warning for every message that arrives before it.
        self._channel.send_method(spec.Channel.Close, "BsBB", (200, "", 0, 0))

    def _received(self, raw: Any) -> None:
        if self._is_given_up:
            return
        self._handle(self._channel.message_to_python(raw))
        self._last_delivery = raw.delivery_tag
        self._handled += 1
        if self._handled >= BATCH:
            self.settle()


def rank(member: str, queue: str) -> int:
    """Of all who are there, the one with the highest rank reads the queue. 31 bits: a consumer's priority."""
    return int.from_bytes(blake2b(f"{member} {queue}".encode(), digest_size=4).digest()) >> 1
