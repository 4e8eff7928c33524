"""Which prices are stale, and the one process that tells the browsers so.

A wanted symbol is stale once nothing new has come of it for ``CTRADER_STALE_AFTER_SECONDS``. That is judged from the
tables alone (:mod:`ctrader_app.ledger.feeds`), so it holds with any number of stream workers and with none. Whoever
can reach the database and the channel layer can tell: every stream worker, and every web process with an open socket,
stands ready; the claim in the table of duties lets one of them do it.

Silence is told once it begins and again every :data:`TELL_AGAIN_S`, because a message on the layer can be lost.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from ctrader_app.broadcast.broadcaster import get_broadcaster
from ctrader_app.broadcast.messages import Message, make, price_content
from ctrader_app.conf import get_settings
from ctrader_app.ledger import clock, duties, feeds
from ctrader_app.ledger.feeds import Wanted

DUTY = "staleness"

ROUND_S = 2.0
"""Between two rounds of a judge; with a short limit a quarter of that."""

TELL_AGAIN_S = 15.0

FRACTION = 4
"""What a worker has heard reaches the table within two of so many parts of the limit: nothing is called stale late by
more than one, nor at all while it speaks."""


def round_s(stale_after_s: float) -> float:
    """Seconds between two rounds of telling what was heard, and of judging it."""
    return min(ROUND_S, stale_after_s / FRACTION)


def prices(now: datetime) -> list[tuple[Wanted, float]]:
    """All wanted symbols and for how many seconds each has brought nothing new, in two queries."""
    return [(each, (now - each.since) / timedelta(seconds=1)) for each in feeds.wanted() if not each.stream.timeframe]


def stale_message(price: Wanted, now: datetime, at: float) -> Message:
    """The message that a symbol is stale: its last price as far as one is known, marked.

    It counts as having occurred ``at`` (epoch seconds): a newer price takes it back.
    """
    quoted_at, bid, ask = price.quote or (None, None, None)
    age_s = (now - (price.last_event_at or price.since)) / timedelta(seconds=1)
    return make("price_tick", price_content(price.stream.symbol, bid, ask, quoted_at, age_s, stale=True), at)


class Judge:
    """One process's readiness to tell. For one thread; ``holder`` names the process."""

    def __init__(self, holder: str) -> None:
        self._holder = holder
        self._told: dict[str, tuple[datetime, float]] = {}
        self._failed_s: float | None = None

    def round(self) -> int:
        """Tell which prices are stale, if that is our duty now; returns how many are. Four queries at most.

        Raises django.db.Error. After that nothing is judged for a while: the workers could not say either what they
        have heard meanwhile.
        """
        stale_after_s = get_settings().stale_after_s
        pause_s = round_s(stale_after_s)
        try:
            if not duties.take(DUTY, self._holder, 3 * pause_s):
                self._told.clear()
                return 0
            now = clock.now()
            stale = [each for each, age_s in prices(now) if age_s > stale_after_s]
        except Exception:
            self._failed_s = time.monotonic()
            raise
        if self._failed_s is not None and time.monotonic() - self._failed_s < FRACTION * pause_s:
            return 0
        self._tell(stale, now, stale_after_s)
        return len(stale)

    def leave(self) -> None:
        """Let somebody else do it. Raises django.db.Error."""
        duties.leave(DUTY, self._holder)

    def _tell(self, stale: Sequence[Wanted], now: datetime, stale_after_s: float) -> None:
        # What a worker has heard lately may not be in the table yet: a price of that time takes the message back.
        at = now.timestamp() - 2 * stale_after_s / FRACTION
        before, self._told = self._told, {}
        for each in stale:
            since, told_s = before.get(each.group, (None, 0.0))
            if since != each.since or time.monotonic() - told_s >= TELL_AGAIN_S:
                told_s = time.monotonic()
                # Under a key of its own: it must not replace a price that waits to be sent.
                get_broadcaster().offer(each.group, "stale", partial(stale_message, each, now, at))
            self._told[each.group] = (each.since, told_s)
