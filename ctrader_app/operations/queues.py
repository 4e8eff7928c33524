"""The names of the queues at the broker that more than the stream worker has to know, and how much waits in each."""

from collections.abc import Iterable
from typing import Any

from kombu import Connection
from kombu.exceptions import OperationalError

from ctrader_app.conf import CTraderSettings

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 2.0

PARTITIONS = 64
"""Of the market queue, where workers share it. Fixed: another number would send accounts to other queues while workers
of both versions run. With it, the busiest of four workers had 314 of 1,000 accounts, the idlest 192; declaring all of
it again takes 0.06 s."""


class BrokerAwayError(Exception):
    """The broker cannot be asked."""


def market_queue(stem: str) -> str:
    """The queue of prices and bars, while nobody shares them."""
    return f"{stem}.market"


def partition(stem: str, number: int) -> str:
    """One of the :data:`PARTITIONS` queues of prices and bars that are shared."""
    return f"{market_queue(stem)}.{number}"


def state_queue(stem: str) -> str:
    """The queue of state events: durable, read by the type of each event, so that a replayed tick finds its way."""
    return f"{stem}.state"


def dead_queue(stem: str) -> str:
    """The queue of copies of what could not be used."""
    return f"{stem}.dead"


def stream_depths(settings: CTraderSettings) -> dict[str, int]:
    """How many messages wait in each queue of the event stream, those of a shared market queue as one.

    As :func:`depths`.
    """
    stem = settings.events_queue
    market = market_queue(stem)
    shares = [partition(stem, number) for number in range(PARTITIONS)] if settings.market_shared else []
    found = depths(settings.amqp_url, [market, *shares, state_queue(stem), dead_queue(stem)])
    shared = [found.pop(share) for share in shares if share in found]
    if shared:
        found[market] = found.get(market, 0) + sum(shared)
    return found


def depths(url: str, names: Iterable[str]) -> dict[str, int]:
    """How many messages wait in each queue that exists; what a consumer has in hand is not among them.

    Raises BrokerAwayError within seconds.
    """
    options = {} if url.startswith("memory://") else {"max_retries": 0, "read_timeout": ANSWER_TIMEOUT_S}
    with Connection(url, connect_timeout=CONNECT_TIMEOUT_S, transport_options=options) as connection:
        away: tuple[type[BaseException], ...] = (OperationalError, *connection.connection_errors)
        try:
            found = {name: _depth(connection, name) for name in names}
        except away as error:
            raise BrokerAwayError(type(error).__name__) from error
    return {name: depth for name, depth in found.items() if depth is not None}


def _depth(connection: Connection, name: str) -> int | None:
    # A channel for each question: the broker closes the one on which it was asked for a queue that does not exist.
    channel: Any
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except connection.channel_errors:
            return None
