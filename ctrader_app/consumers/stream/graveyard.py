"""Dead letters: written down, bounded in rate and in number, and never at the cost of the living.

State events are written before they are refused to the broker, which then moves them to ``<stem>.dead`` by itself.
Market data are not acknowledged, so there is nothing to refuse: a bad one is handed to the housekeeping thread, which
writes it down and puts a copy into ``<stem>.dead``. Beyond the rate they are counted and not written; a flood of bad
messages looks the same after a thousand of them.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any

from django.db import DataError
from kombu import Connection

from ctrader_app.consumers.stream.counters import Tally
from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.consumers.stream.reader import raw_body, routing_key_of
from ctrader_app.consumers.stream.topology import Topology
from ctrader_app.consumers.stream.verdicts import Ruling
from ctrader_app.ledger import dead_letters
from ctrader_app.ledger.dead_letters import Letter

logger = logging.getLogger(__name__)

BURST = 200
RATE_PER_S = 20.0
"""Letters written per reason: so many at once, then so many a second."""

WAITING_LIMIT = 1_000
WAITING_BYTES = 16 * 1024 * 1024
"""Letters left to the housekeeping thread; more are counted and not kept."""

REASON_HEADER = "x-ctrader-reason"
DETAIL_HEADER = "x-ctrader-detail"


class Allowance:
    """A token bucket per reason. Safe between threads."""

    def __init__(self, burst: float, rate_per_s: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._rate_per_s = rate_per_s
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, reason: str) -> bool:
        """Whether one more letter of this reason may be written now."""
        now = self._clock()
        # Without the lock: in a flood this is asked for every bad event, and the answer is nearly always no.
        if self._level(reason, now) < 1.0:
            return False
        with self._lock:
            level = self._level(reason, now)
            if level < 1.0:
                return False
            self._levels[reason] = (level - 1.0, now)
            return True

    def _level(self, reason: str, now: float) -> float:
        level, at = self._levels.get(reason, (self._burst, now))
        return min(self._burst, level + (now - at) * self._rate_per_s)


class Graveyard:
    """Takes what could not be used. ``write`` writes now, ``leave`` has it written by :meth:`work_off`."""

    def __init__(
        self,
        options: StreamOptions,
        topology: Topology,
        tally: Tally,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._topology = topology
        self._tally = tally
        self._allowance = Allowance(BURST, RATE_PER_S, clock)
        self._waiting: deque[Letter] = deque()
        self._waiting_bytes = 0
        self._lock = Lock()
        self._connection: Connection | None = None

    def write(self, message: Any, ruling: Ruling) -> None:
        """Write the letter down now, if its reason's allowance lets it. Raises django.db.Error."""
        if self._allowance.take(ruling.reason):
            self._record([letter_of(message, ruling)])

    def leave(self, message: Any, ruling: Ruling) -> bool:
        """Leave the letter to the housekeeping thread; False when there are too many already. Never blocks."""
        if not self._allowance.take(ruling.reason):
            return False
        # Only now: of a flood most are not written down.
        letter = letter_of(message, ruling)
        with self._lock:
            if len(self._waiting) >= WAITING_LIMIT or self._waiting_bytes + len(letter.body) > WAITING_BYTES:
                return False
            self._waiting.append(letter)
            self._waiting_bytes += len(letter.body)
        return True

    def work_off(self) -> None:
        """Write down and publish what was left. Raises django.db.Error; what was not written waits on."""
        letters = list(self._waiting)
        if not letters:
            return
        self._record(letters)
        with self._lock:
            for _ in letters:
                self._waiting_bytes -= len(self._waiting.popleft().body)
        self._publish(letters)

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.collect(socket_timeout=0.1)

    def _record(self, letters: list[Letter]) -> None:
        try:
            dead_letters.record(letters)
        except DataError:
            if len(letters) > 1:
                for letter in letters:
                    self._record([letter])
                return
            # Not even as a dead letter: it must not hold up the others for ever.
            self._tally.add("dead_letters_not_kept")
            logger.exception("a dead letter cannot be written down")

    def _publish(self, letters: list[Letter]) -> None:
        if self._connection is None:
            options = {} if self._options.in_memory else {"read_timeout": 5.0, "write_timeout": 5.0, "max_retries": 0}
            self._connection = Connection(self._options.url, connect_timeout=5.0, transport_options=options)
        errors: tuple[type[BaseException], ...] = (
            *self._connection.connection_errors, *self._connection.channel_errors, OSError,
        )  # fmt: skip
        try:
            producer = self._connection.Producer()
            for letter in letters:
                producer.publish(
                    letter.body,
                    exchange=self._topology.dead.name,
                    routing_key=letter.routing_key,
                    headers={REASON_HEADER: letter.reason, DETAIL_HEADER: letter.detail},
                    content_type="application/octet-stream",
                    content_encoding="binary",
                    delivery_mode=2,
                    retry=False,
                )
        except errors as error:
            # The rows are written; the broker's copy is a convenience.
            self._tally.add("dead_letters_unpublished", len(letters))
            logger.warning("dead letters are not in the dead-letter queue: %r", error)
            self.close()


def letter_of(message: Any, ruling: Ruling) -> Letter:
    """The letter that a message becomes."""
    return Letter(
        reason=ruling.reason,
        detail=ruling.detail,
        body=raw_body(message),
        routing_key=routing_key_of(message),
        headers=dict(message.headers or {}),
    )
