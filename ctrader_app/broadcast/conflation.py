"""What waits to be sent, and what is too old to be sent at all. No clock, no loop, no layer."""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any, NamedTuple, Protocol

from ctrader_app.broadcast.messages import Message


class Item(NamedTuple):
    """A message to one group. It is built only when it is sent: most of a burst never is."""

    group: str
    key: Hashable
    build: Callable[[], Message]


class Store(Protocol):
    """Holds items between the threads that offer them and the loop that sends them. Safe between threads."""

    offered: int
    conflated: int
    dropped: int

    def put(self, item: Item) -> None:
        """Take one item. Never blocks; beyond the bound the oldest goes."""

    def take(self) -> Sequence[Item]:
        """Everything that waits, oldest first; afterwards nothing waits."""

    def restore(self, items: Sequence[Item]) -> None:
        """Put back what could not be sent, without overwriting anything newer."""

    def __len__(self) -> int: ...


class LatestStore:
    """Keeps the newest item per group and key: the newest price of a symbol, the last state of each bar.

    So memory follows the number of groups, not the rate; ``limit`` bounds even that.
    """

    def __init__(self, limit: int) -> None:
        self.offered = 0
        self.conflated = 0
        self.dropped = 0
        self._limit = limit
        self._items: dict[tuple[str, Hashable], Item] = {}
        self._lock = Lock()

    def put(self, item: Item) -> None:
        place = (item.group, item.key)
        with self._lock:
            self.offered += 1
            items = self._items
            if place in items:
                self.conflated += 1
            elif len(items) >= self._limit:
                del items[next(iter(items))]
                self.dropped += 1
            items[place] = item

    def take(self) -> Sequence[Item]:
        with self._lock:
            items, self._items = self._items, {}
        return list(items.values())

    def restore(self, items: Sequence[Item]) -> None:
        with self._lock:
            newer = self._items
            self._items = {(item.group, item.key): item for item in items}
            self.conflated += sum(place in self._items for place in newer)
            self._items.update(newer)
            while len(self._items) > self._limit:
                del self._items[next(iter(self._items))]
                self.dropped += 1

    def __len__(self) -> int:
        return len(self._items)


class EveryStore:
    """Keeps every item in order, the newest ``limit`` of them."""

    def __init__(self, limit: int) -> None:
        self.offered = 0
        self.conflated = 0
        self.dropped = 0
        self._items: deque[Item] = deque(maxlen=limit)
        self._limit = limit
        self._lock = Lock()

    def put(self, item: Item) -> None:
        with self._lock:
            self.offered += 1
            self.dropped += len(self._items) == self._limit
            self._items.append(item)

    def take(self) -> Sequence[Item]:
        with self._lock:
            items, self._items = self._items, deque(maxlen=self._limit)
        return items

    def restore(self, items: Sequence[Item]) -> None:
        with self._lock:
            room = self._limit - len(self._items)
            kept = list(items)[-room:] if room else []
            self.dropped += len(items) - len(kept)
            self._items.extendleft(reversed(kept))

    def __len__(self) -> int:
        return len(self._items)


class Freshness:
    """Refuses what is older than what was let through, per group; for bars, per group and bar.

    A late last state of a closed bar is let through after the next bar has begun; :data:`BARS_KEPT` bars back it is
    refused like any other old news. Not safe between threads: each relay thread has its own.
    """

    BARS_KEPT = 8

    def __init__(self, limit: int = 200_000) -> None:
        self._limit = limit
        self._prices: dict[str, float] = {}
        self._bars: dict[str, dict[int, float]] = {}

    def admit(self, group: str, at: float) -> bool:
        """Whether something that occurred ``at`` (epoch seconds) is not older than the newest of the group."""
        newest = self._prices.get(group)
        if newest is None:
            _make_room(self._prices, self._limit)
        elif at < newest:
            return False
        self._prices[group] = at
        return True

    def admit_bar(self, group: str, bar_time_s: int, at: float) -> bool:
        """The same for one state of the bar that opened at ``bar_time_s``."""
        bars = self._bars.get(group)
        if bars is None:
            _make_room(self._bars, self._limit)
            bars = self._bars[group] = {}
        newest = bars.get(bar_time_s)
        if newest is None:
            if len(bars) >= self.BARS_KEPT:
                oldest = min(bars)
                if bar_time_s < oldest:
                    return False
                del bars[oldest]
        elif at < newest:
            return False
        bars[bar_time_s] = at
        return True


def _make_room(entries: dict[str, Any], limit: int) -> None:
    if len(entries) >= limit:
        del entries[next(iter(entries))]
