"""Bars of bid prices in whole points, every timeframe folded from the same ticks."""

from collections import deque
from collections.abc import Iterable, Mapping

import msgspec

from microservice.venue.model import Candle, Timeframe
from microservice.venue.paper.calendar import bar_open_s
from microservice.venue.paper.symbols import SymbolSpec

RETAINED_BARS: dict[Timeframe, int] = {
    timeframe: 2_500 if timeframe is Timeframe.M1 else 1_200 for timeframe in Timeframe
}
"""Bars kept per symbol: two trading days of M1, and with all symbols loaded some 15 MB."""


class Bar(msgspec.Struct, gc=False):
    """One bar; ``time_s`` is its opening, prices are points, the volume counts ticks."""

    time_s: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 1

    def add(self, points: int) -> None:
        """Take one more tick in."""
        self.close = points
        self.volume += 1
        if points > self.high:
            self.high = points
        elif points < self.low:
            self.low = points

    def followed_by(self, later: "Bar") -> "Bar":
        """Return this bar continued by a later part of it."""
        return Bar(
            self.time_s,
            self.open,
            max(self.high, later.high),
            min(self.low, later.low),
            later.close,
            self.volume + later.volume,
        )


def fold_ticks(timeframe: Timeframe, ticks: Iterable[tuple[int, int]], weight: int = 1) -> list[Bar]:
    """Fold (epoch seconds, points), oldest first, into bars; each tick counts ``weight`` times in the volume."""
    bars: list[Bar] = []
    for time_s, points in ticks:
        opened = bar_open_s(timeframe, time_s)
        if bars and bars[-1].time_s == opened:
            bars[-1].add(points)
            bars[-1].volume += weight - 1
        else:
            bars.append(Bar(opened, points, points, points, points, weight))
    return bars


def fold_bars(timeframe: Timeframe, parts: Iterable[Bar]) -> list[Bar]:
    """Fold shorter bars, oldest first, into longer ones."""
    bars: list[Bar] = []
    for part in parts:
        opened = bar_open_s(timeframe, part.time_s)
        if bars and bars[-1].time_s == opened:
            bars[-1] = bars[-1].followed_by(part)
        else:
            bars.append(Bar(opened, part.open, part.high, part.low, part.close, part.volume))
    return bars


def candle_of(spec: SymbolSpec, bar: Bar) -> Candle:
    """Turn a bar into what callers see."""
    return Candle(
        time=bar.time_s,
        open=spec.price(bar.open),
        high=spec.price(bar.high),
        low=spec.price(bar.low),
        close=spec.price(bar.close),
        volume=bar.volume,
        tick_volume=bar.volume,
    )


class BarBook:
    """The bars of one symbol.

    Live bars are formed (and saved) apart from the seeded history in front of them. Where history ends in the
    middle of a bar, that part is the *seam*: it is joined to the live part when the bar is shown, never when it is
    saved, so no tick is ever counted twice.
    """

    def __init__(self, forming: Mapping[Timeframe, Bar]) -> None:
        self.forming: dict[Timeframe, Bar] = dict(forming)
        self.loaded = False
        self._unsaved: list[tuple[Timeframe, Bar]] = []
        self._closed: dict[Timeframe, deque[Bar]] = {}
        self._seams: dict[Timeframe, Bar] = {}

    def tick(self, time_s: int, points: int) -> list[tuple[Timeframe, Bar]]:
        """Take a tick in and return the bars it closed."""
        current = self.forming.get(Timeframe.M1)
        if current is not None and time_s - current.time_s < 60:
            for bar in self.forming.values():
                bar.add(points)
            return []
        closed: list[tuple[Timeframe, Bar]] = []
        for timeframe in Timeframe:
            opened = bar_open_s(timeframe, time_s)
            bar_before = self.forming.get(timeframe)
            if bar_before is not None and bar_before.time_s >= opened:
                bar_before.add(points)
                continue
            self.forming[timeframe] = Bar(opened, points, points, points, points)
            if bar_before is not None:
                closed.append((timeframe, self.shown(timeframe, bar_before)))
                self._close(timeframe, bar_before)
        return closed

    def _close(self, timeframe: Timeframe, bar: Bar) -> None:
        self._unsaved.append((timeframe, bar))
        if self.loaded:
            self._closed[timeframe].append(bar)

    def take_unsaved(self) -> list[tuple[Timeframe, Bar]]:
        """Return what must be written to catch up: bars closed since the last call, and the forming ones."""
        rows, self._unsaved = self._unsaved, []
        return [*rows, *self.forming.items()]

    def adopt(self, history: Mapping[Timeframe, list[Bar]], saved: Mapping[Timeframe, list[Bar]]) -> None:
        """Put the seeded history and the saved live bars (the forming ones may be among them) in front."""
        for timeframe in Timeframe:
            forming = self.forming.get(timeframe)
            live = [bar for bar in saved.get(timeframe, []) if forming is None or bar.time_s < forming.time_s]
            before = list(history.get(timeframe, []))
            first_live = live[0] if live else forming
            if before and first_live is not None and before[-1].time_s == first_live.time_s:
                self._seams[timeframe] = before.pop()
            self._closed[timeframe] = deque([*before, *live], maxlen=RETAINED_BARS[timeframe])
        self.loaded = True

    def shown(self, timeframe: Timeframe, bar: Bar) -> Bar:
        """Return a bar as callers see it: with the seam in front where there is one."""
        seam = self._seams.get(timeframe)
        return seam.followed_by(bar) if seam is not None and seam.time_s == bar.time_s else bar

    def select(self, timeframe: Timeframe, *, count: int | None, start_s: int | None, end_s: int | None) -> list[Bar]:
        """Return the bars whose opening lies in ``[start_s, end_s]``, the newest ``count`` of them, oldest first."""
        bars = [*self._closed.get(timeframe, ())]
        forming = self.forming.get(timeframe)
        if forming is not None:
            bars.append(forming)
        if start_s is not None or end_s is not None:
            low = start_s if start_s is not None else 0
            high = end_s if end_s is not None else bars[-1].time_s if bars else 0
            bars = [bar for bar in bars if low <= bar.time_s <= high]
        if count is not None:
            bars = bars[-count:]
        return [self.shown(timeframe, bar) for bar in bars]
