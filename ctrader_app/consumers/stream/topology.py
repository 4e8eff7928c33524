"""Exchanges, queues and bindings: every routing key under the contract's five patterns reaches exactly one queue.

On RabbitMQ the events exchange feeds an exchange of our own, bound with the contract's patterns. That one hands
prices and bars, flat or under an account, to the market queue; whatever nobody has claimed goes to its alternate
exchange and so to the state queue. A topic exchange knows no "everything but", and two overlapping patterns on two
queues would deliver an event twice.

Where the market data are shared between workers, the second exchange hands them to a third one instead, which spreads
them over many queues (:mod:`ctrader_app.consumers.stream.sharing`).

kombu's in-memory broker knows neither such bindings nor alternate exchanges. There the state queue takes all of
``account.#``, and the reader passes over the copies (:meth:`Topology.is_copy`).
"""

import re
from typing import Any

from kombu import Exchange, Queue, binding

from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.consumers.stream.sharing import SharedMarket
from ctrader_app.operations.queues import dead_queue, market_queue, state_queue

PATTERNS = ("account.#", "price.#", "candle.#", "positions.#", "position.#")
MARKET_PATTERNS = ("price.#", "candle.#", "account.*.price.#", "account.*.candle.#")
STATE_PATTERNS_IN_MEMORY = ("account.#", "positions.#", "position.#")

# What kombu's in-memory topic exchange makes of MARKET_PATTERNS under "account.".
_COPY = re.compile(r"account\.[^.]+\.(price|candle)\.")

POISON_LIMIT = 20
"""Deliveries of one message after which a quorum queue takes it for the one that kills its readers."""


class Topology:
    """The names and policies of one worker's queues. Declaring is idempotent; every worker declares all of it."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        stem = options.stem
        self._events = Exchange(options.exchange, type="topic", durable=True)
        self.dead = Exchange(f"{stem}.dead", type="fanout", durable=True)
        self._dead_queue = Queue(
            dead_queue(stem), self.dead, durable=True,
            queue_arguments={
                "x-max-length": options.dead_length,
                "x-max-length-bytes": options.dead_bytes,
                "x-overflow": "drop-head",
            },
        )  # fmt: skip
        self._rest = Exchange(f"{stem}.rest", type="fanout", durable=True)
        self._inlet = Exchange(
            f"{stem}.in", type="topic", durable=True, arguments={"alternate-exchange": self._rest.name}
        )
        self.market = Queue(
            market_queue(stem),
            bindings=[binding(self._events, key) for key in MARKET_PATTERNS] if options.in_memory else [],
            durable=True,
            queue_arguments=self._market_arguments(),
        )
        self._shared = SharedMarket(stem, self.market)
        self.shared = self._shared if options.shares_market else None
        self.state = Queue(
            state_queue(stem),
            bindings=[binding(self._events, key) for key in STATE_PATTERNS_IN_MEMORY]
            if options.in_memory
            else [binding(self._rest)],
            durable=True,
            queue_arguments=self._state_arguments(),
        )

    def _market_arguments(self) -> dict[str, Any]:
        return {
            "x-max-length": self._options.market_length,
            "x-overflow": "drop-head",
            "x-message-ttl": int(self._options.market_ttl_s * 1000),
            # A second worker waits as a spare: two that share one queue would swap the order of one symbol's prices.
            "x-single-active-consumer": True,
        }

    def _state_arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {"x-dead-letter-exchange": self.dead.name, "x-single-active-consumer": True}
        if self._options.quorum:
            arguments |= {"x-queue-type": "quorum", "x-delivery-limit": POISON_LIMIT}
        return arguments

    def declare(self, channel: Any) -> None:
        """Make everything exist, bindings last: nothing is taken in before there is a place for it.

        Raises PluginMissingError when the market data are to be shared and the broker cannot.
        """
        events, dead, rest = (each(channel) for each in (self._events, self.dead, self._rest))
        events.declare()
        dead.declare()
        self._dead_queue(channel).declare()
        if not self._options.in_memory:
            rest.declare()
            self._inlet(channel).declare()
        self.state(channel).declare()
        self.market(channel).declare()
        if self._options.in_memory:
            return
        if self.shared is not None:
            self.shared.declare(channel)
        self._route_market(channel)
        for pattern in PATTERNS:
            self._inlet(channel).bind_to(exchange=events, routing_key=pattern)

    def _route_market(self, channel: Any) -> None:
        """Bind the inlet to where the setting wants the market data, and to nowhere else.

        The other way goes first: in between they are claimed by nobody and come through the state queue, once. With
        both ways open they would come twice.
        """
        market, share = self.market(channel), self._shared.exchange(channel)
        for pattern in MARKET_PATTERNS:
            if self.shared is None:
                share.unbind_from(source=self._inlet, routing_key=pattern)
                market.bind_to(exchange=self._inlet, routing_key=pattern)
            else:
                market.unbind_from(exchange=self._inlet, routing_key=pattern)
                share.bind_to(exchange=self._inlet, routing_key=pattern)

    def is_copy(self, routing_key: str) -> bool:
        """Whether a message in the state queue is in the market queue as well."""
        return self._options.in_memory and _COPY.match(routing_key) is not None
