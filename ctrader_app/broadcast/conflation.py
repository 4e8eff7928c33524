"""What waits to be sent, and what is too old to be sent at all. No clock, no loop, no layer."""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any, NamedTuple, Protocol

from ctrader_app.broadcast.messages import Message


class Item(NamedTuple):
    """A message to one group. It is built only when it is sent: most of a burst never is."""

    group: str
    key: Hashable
    build: Callable[[], Message]

    @property
    def kind(self) -> str:
        """The message's type, which every key is or begins with."""
        return str(self.key[0] if isinstance(self.key, tuple) else self.key)


class Store(Protocol):
    """Holds items between the threads that offer them and the loop that sends them. Safe between threads.

    It counts by type of message what was replaced before it was sent and what went because there was no room.
    """

    conflated: Counter[str]
    dropped: Counter[str]

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
        self.conflated: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self._limit = limit
        self._items: dict[tuple[str, Hashable], Item] = {}
        self._lock = Lock()

    def put(self, item: Item) -> None:
        place = (item.group, item.key)
        with self._lock:
            items = self._items
            if place in items:
                self.conflated[item.kind] += 1
            elif len(items) >= self._limit:
                self._drop_oldest()
            items[place] = item

    def take(self) -> Sequence[Item]:
        with self._lock:
            items, self._items = self._items, {}
        return list(items.values())

    def restore(self, items: Sequence[Item]) -> None:
        with self._lock:
            newer = self._items
            self._items = {(item.group, item.key): item for item in items}
            self.conflated.update(item.kind for place, item in newer.items() if place in self._items)
            self._items.update(newer)
            while len(self._items) > self._limit:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        self.dropped[self._items.pop(next(iter(self._items))).kind] += 1

    def __len__(self) -> int:
        return len(self._items)


class EveryStore:
    """Keeps every item in order, the newest ``limit`` of them."""

    def __init__(self, limit: int) -> None:
        self.conflated: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self._items: deque[Item] = deque(maxlen=limit)
        self._limit = limit
        self._lock = Lock()

    def put(self, item: Item) -> None:
        with self._lock:
            if len(self._items) == self._limit:
                self.dropped[self._items[0].kind] += 1
            self._items.append(item)

    def take(self) -> Sequence[Item]:
        with self._lock:
            items, self._items = self._items, deque(maxlen=self._limit)
        return items

    def restore(self, items: Sequence[Item]) -> None:
        with self._lock:
            room = self._limit - len(self._items)
            cut = max(len(items) - room, 0)
            self.dropped.update(item.kind for item in list(items)[:cut])
            self._items.extendleft(reversed(list(items)[cut:]))

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
