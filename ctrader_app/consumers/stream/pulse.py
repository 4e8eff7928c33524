"""When each stream last brought something new. A price or a bar costs it one look into a dictionary and one write.

A quote that is sent again as it was (services do so whenever they are subscribed to) is not news: a market that has
closed would look alive for ever otherwise, because silent streams are asked for again.
"""

from collections.abc import Collection

from ctrader_app.ledger import feeds
from ctrader_app.ledger.feeds import News, Quote
from ctrader_app.operations.staleness import FRACTION, round_s
from ctrader_app.wire.events import PriceTick

STREAMS_REMEMBERED = 100_000


class Pulse:
    """The newest news of each group, in epoch seconds. Written under the relay's lock, read by any thread."""

    def __init__(self) -> None:
        self._quotes: dict[str, tuple[float, Quote]] = {}
        self._bars: dict[str, tuple[float, int]] = {}

    def price(self, group: str, at: float, tick: PriceTick) -> float:
        """Note a quote that occurred ``at``; returns since when this quote has stood.

        Of the first quote of a group nobody knows whether it was sent before: then the venue's own time counts.
        """
        quote = (tick.time, tick.bid, tick.ask)
        known = self._quotes.get(group)
        if known is None:
            _make_room(self._quotes)
            at = min(at, tick.time.timestamp())
        elif known[1] == quote:
            return known[0]
        self._quotes[group] = (at, quote)
        return at

    def bar(self, group: str, at: float, time_s: int) -> None:
        """Note a state of the bar that opened at ``time_s``."""
        if group not in self._bars:
            _make_room(self._bars)
        self._bars[group] = (at, time_s)

    def last(self, group: str) -> News | None:
        """What the group last brought that was new; None when nothing ever came."""
        known = self._quotes.get(group)
        if known is not None:
            return News(*known)
        bar = self._bars.get(group)
        return None if bar is None else News(bar[0])


class PulseReport:
    """Says in the table of feeds what was heard, for everybody who judges silence. For one thread.

    Of a stream that speaks a row is written a few times within the limit of staleness, not for every event; of one that
    has fallen silent its last event is, so that everybody counts from that.
    """

    def __init__(self, pulse: Pulse, stale_after_s: float) -> None:
        self._pulse = pulse
        self._often_s = stale_after_s / FRACTION
        self._silent_s = round_s(stale_after_s)
        self._said: dict[str, float] = {}

    def send(self, now_s: float) -> int:
        """Write what is due as of ``now_s`` (epoch seconds), in two statements; returns how many rows.

        Raises django.db.Error; what was not written is due the next time.
        """
        groups = feeds.wanted_groups()
        due = self._due(groups, now_s)
        feeds.note(due)
        before, self._said = self._said, {}
        for group in groups:
            if group in due:
                self._said[group] = due[group].at
            elif group in before:
                self._said[group] = before[group]
        return len(due)

    def _due(self, groups: Collection[str], now_s: float) -> dict[str, News]:
        due: dict[str, News] = {}
        for group in groups:
            news, said = self._pulse.last(group), self._said.get(group)
            if news is None or news.at == said:
                continue
            if said is None or news.at - said >= self._often_s or now_s - news.at >= self._silent_s:
                due[group] = news
        return due


def _make_room(entries: dict[str, tuple[float, Quote]] | dict[str, tuple[float, int]]) -> None:
    if len(entries) >= STREAMS_REMEMBERED:
        entries.clear()
