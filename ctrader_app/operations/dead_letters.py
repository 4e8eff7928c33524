"""What a person decides about a dead letter: try it again, or let it go."""

from kombu import Connection, Queue
from kombu.exceptions import OperationalError

from ctrader_app.conf import get_settings
from ctrader_app.ledger import dead_letters
from ctrader_app.models import DeadLetter
from ctrader_app.operations.queues import state_queue

Status = DeadLetter.Status

REPLAY_HEADER = "x-ctrader-replay-of"
PUBLISH_TIMEOUT_S = 5.0
_BOUNDED = {"read_timeout": PUBLISH_TIMEOUT_S, "write_timeout": PUBLISH_TIMEOUT_S}


class CannotReplayError(Exception):
    """The letter cannot be tried again; the message says why."""


def replay(dead_letter_id: int) -> None:
    """Put the letter back at the end of the state queue; if it still cannot be used, a new letter says so.

    Straight to our own queue: others who listen to the exchange had the event already. Two people who do this at
    once do no harm, an event has its effect once. Raises CannotReplayError.
    """
    letter = DeadLetter.objects.filter(pk=dead_letter_id).first()
    if letter is None:
        raise CannotReplayError("there is no such letter")
    if letter.status != Status.NEW:
        raise CannotReplayError(f"it was {letter.status} before")
    body = bytes(letter.body)
    if letter.size > len(body):
        raise CannotReplayError(f"only {len(body)} of its {letter.size} bytes were kept")
    _publish(body, letter)
    dead_letters.settle(dead_letter_id, Status.REPLAYED)


def discard(dead_letter_id: int) -> bool:
    """Mark the letter as of no use; False when that, or a replay, was decided before."""
    return dead_letters.settle(dead_letter_id, Status.DISCARDED)


def _publish(body: bytes, letter: DeadLetter) -> None:
    settings = get_settings()
    queue = state_queue(settings.events_queue)
    in_memory = settings.amqp_url.startswith("memory://")
    options = {} if in_memory else {**_BOUNDED, "confirm_publish": True, "max_retries": 0}
    with Connection(settings.amqp_url, connect_timeout=PUBLISH_TIMEOUT_S, transport_options=options) as connection:
        errors: tuple[type[BaseException], ...] = (
            OperationalError, *connection.connection_errors, *connection.channel_errors,
        )  # fmt: skip
        try:
            # Without the queue the broker would take the message and drop it.
            Queue(queue, passive=True, channel=connection.channel()).queue_declare(passive=True)
            connection.Producer().publish(
                body,
                exchange="",
                routing_key=queue,
                content_type="application/json",
                content_encoding="utf-8",
                headers={REPLAY_HEADER: str(letter.pk)},
                delivery_mode=2,
                retry=False,
            )
        except errors as error:
            raise CannotReplayError(f"the broker did not take it: {error}") from error
