"""What a stream worker needs to know, in one place."""

from dataclasses import dataclass, field

from django.conf import settings

from ctrader_app.conf import get_settings


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Times in seconds. The defaults are for production; tests shorten them."""

    url: str = field(repr=False)
    exchange: str
    stem: str
    """Of the queues' names: ``<stem>.market``, ``<stem>.state``, ``<stem>.dead``."""

    quorum: bool = True
    """State in a quorum queue: replicated where the broker is a cluster. A queue's type cannot be changed later."""

    shared: bool = False
    """Whether several workers share the market data, by RabbitMQ's consistent-hash exchange; otherwise all but one
    are spares."""

    market_ttl_s: float = 10.0
    """A price that nobody took for so long is replaced by the next one anyway; a bar's last state gets this long."""

    market_length: int = 50_000
    """Messages in one queue; about 20 MB. Beyond it the broker drops the oldest."""

    dead_length: int = 10_000
    dead_bytes: int = 64 * 1024 * 1024

    prefetch: int = 20
    """State events in hand: enough to hide the round trip of an acknowledgement behind the next event's work."""

    heartbeat_s: float = 10.0
    """Asked of the broker; both sides give up a silent connection after about two of them."""

    error_budget: int = 150
    """Errors in a row after which the worker gives up and its supervisor starts another. With pauses of at most
    :attr:`longest_pause_s` that is five minutes of a broker or database that is gone."""

    first_pause_s: float = 0.25
    longest_pause_s: float = 2.0

    beat_s: float = 2.0
    """Between two signs of life in the table of workers."""

    accounts_s: float = 10.0
    """Between two looks at which accounts exist and what their logins are."""

    snapshot_s: float = 10.0
    """An account whose positions, volumes and levels do not change is reconciled at most this often because of them."""

    @property
    def in_memory(self) -> bool:
        """Whether the broker is kombu's in-memory one, which knows no exchange-to-exchange bindings."""
        return self.url.startswith("memory://")

    @property
    def shares_market(self) -> bool:
        """Whether the market data are shared: never in memory, where there is one worker."""
        return self.shared and not self.in_memory


def stream_options() -> StreamOptions:
    """From the settings in force. ``AMQP_STATE_QUEUE_TYPE`` is ``quorum`` (default) or ``classic``."""
    ours = get_settings()
    return StreamOptions(
        url=ours.amqp_url,
        exchange=ours.events_exchange,
        stem=ours.events_queue,
        quorum=getattr(settings, "AMQP_STATE_QUEUE_TYPE", "quorum") == "quorum",
        shared=ours.market_shared,
    )
