"""The market of the paper venue: a seeded random walk per symbol, its quotes and its bars.

Each step draws its noise from (seed, symbol, number of the time step), so equal seeds and equal times give equal
prices. The market never sleeps: it is open at weekends too, for demonstrations happen then. While the venue is down
nothing moves and no bars form.
"""

import math

from microservice.clock import Clock, utc
from microservice.venue.base import MarketListener
from microservice.venue.model import Candle, Quote, Timeframe
from microservice.venue.paper.bars import Bar, BarBook, candle_of
from microservice.venue.paper.calendar import DAY_S
from microservice.venue.paper.history import PULL_S, seeded_history
from microservice.venue.paper.market_store import MarketRow, MarketStore
from microservice.venue.paper.noise import gaussian, noise_key
from microservice.venue.paper.symbols import SYMBOLS, SymbolSpec

_LONGEST_STEP_S = 5.0  # a stalled process must not catch up in one leap
_SAVE_EVERY_MS = 5_000  # what a kill can take from the bars


class _Line:
    """One symbol's price, on its way."""

    __slots__ = ("book", "price_key", "quote", "row", "scale", "spec", "spread_key")

    def __init__(self, spec: SymbolSpec, row: MarketRow, book: BarBook, seed: int) -> None:
        self.spec = spec
        self.row = row
        self.book = book
        self.scale = int(10**spec.digits)
        self.price_key = noise_key(seed, f"price:{spec.name}")
        self.spread_key = noise_key(seed, f"spread:{spec.name}")
        self.quote: Quote | None = None

    def walk(self, step: int, elapsed_s: float) -> int:
        """Move on by one step and return the spread of it, in points."""
        spec, row = self.spec, self.row
        if row.held:
            return spec.spread_points
        deviation = spec.daily_volatility * math.sqrt(elapsed_s / DAY_S)
        reference = math.log(float(spec.reference_price))
        row.level += deviation * gaussian(self.price_key, step)
        row.level += (reference - row.level) * elapsed_s / PULL_S
        return spec.spread_points + int(abs(gaussian(self.spread_key, step)) * spec.spread_points / 10)

    @property
    def points(self) -> int:
        """The bid in points, at least one."""
        return max(1, round(math.exp(self.row.level) * self.scale))


class PaperMarket:
    """Prices and bars of every symbol. Not thread-safe: it belongs to the thread of the event loop."""

    def __init__(
        self, store: MarketStore, seed: int, clock: Clock, listener: MarketListener, interval_ms: int = 250
    ) -> None:
        self._store = store
        self._seed = seed
        self._clock = clock
        self._listener = listener
        self._interval_ms = interval_ms
        self._last_step_ms = clock.now_ms()
        self._last_save_ms = self._last_step_ms
        store.prune()
        self._lines = self._restore()

    def _restore(self) -> dict[str, _Line]:
        rows, bars = self._store.markets(), self._store.last_bars()
        lines: dict[str, _Line] = {}
        now_s = self._clock.now_ms() // 1000
        for name, spec in SYMBOLS.items():
            row = rows.get(name)
            if row is None:
                points = spec.points(spec.reference_price)
                row = MarketRow(name, now_s - now_s % 60, points, math.log(float(spec.reference_price)))
            lines[name] = _Line(spec, row, BarBook(bars.get(name, {})), self._seed)
        return lines

    def open(self) -> None:
        """Quote every symbol where it stood; call once, before anything else."""
        for line in self._lines.values():
            self._tick(line, line.spec.spread_points)
        self.save()

    def step(self) -> list[Quote]:
        """Advance every symbol to now and return the new quotes; saves now and then."""
        now_ms = self._clock.now_ms()
        elapsed_s = min(max(now_ms - self._last_step_ms, 0) / 1000, _LONGEST_STEP_S)
        self._last_step_ms = now_ms
        number = now_ms // self._interval_ms
        quotes = [self._tick(line, line.walk(number, elapsed_s)) for line in self._lines.values()]
        if now_ms - self._last_save_ms >= _SAVE_EVERY_MS:
            self.save()
        return quotes

    def move(self, symbol: str, points: int) -> Quote:
        """Put the bid of a symbol somewhere; it walks on from there."""
        line = self._lines[symbol]
        line.row.level = math.log(max(points, 1) / line.scale)
        return self._tick(line, line.spec.spread_points)

    def hold(self, symbol: str, *, held: bool) -> None:
        """Stop (or let go) the walk of a symbol; quotes keep coming, all the same."""
        self._lines[symbol].row.held = held

    def shut(self, symbol: str, *, closed: bool) -> None:
        """Close (or open) the market of a symbol."""
        self._lines[symbol].row.closed = closed

    def is_closed(self, symbol: str) -> bool:
        """Tell whether the market of a symbol was closed."""
        return self._lines[symbol].row.closed

    def is_held(self, symbol: str) -> bool:
        """Tell whether the walk of a symbol is stopped."""
        return self._lines[symbol].row.held

    def quote(self, symbol: str) -> Quote:
        """Return the last quote."""
        line = self._lines[symbol]
        if line.quote is None:
            msg = "the market was not opened"
            raise RuntimeError(msg)
        return line.quote

    def candles(
        self, symbol: str, timeframe: Timeframe, *, count: int | None, start_s: int | None, end_s: int | None
    ) -> list[Candle]:
        """Return bars, oldest first, the forming one last; the first call for a symbol makes its history."""
        line = self._lines[symbol]
        if not line.book.loaded:
            self.save()
            row = line.row
            history = seeded_history(line.spec, self._seed, row.anchor_s, row.anchor_points)
            line.book.adopt(history, self._store.bars(symbol))
        bars = line.book.select(timeframe, count=count, start_s=start_s, end_s=end_s)
        return [candle_of(line.spec, bar) for bar in bars]

    def save(self) -> None:
        """Write prices and bars down."""
        self._last_save_ms = self._clock.now_ms()
        rows = [line.row for line in self._lines.values()]
        bars = [
            (name, timeframe, bar) for name, line in self._lines.items() for timeframe, bar in line.book.take_unsaved()
        ]
        self._store.save(rows, bars)

    def _tick(self, line: _Line, spread: int) -> Quote:
        now_ms = self._clock.now_ms()
        spec, points = line.spec, line.points
        quote = Quote(symbol=spec.name, bid=spec.price(points), ask=spec.price(points + spread), time=utc(now_ms))
        line.quote = quote
        closed = line.book.tick(now_ms // 1000, points)
        self._listener.quote(quote)
        for timeframe, bar in closed:
            self._announce(line, timeframe, bar, final=True)
        for timeframe, bar in line.book.forming.items():
            self._announce(line, timeframe, bar, final=False)
        return quote

    def _announce(self, line: _Line, timeframe: Timeframe, bar: Bar, *, final: bool) -> None:
        def candle() -> Candle:
            return candle_of(line.spec, line.book.shown(timeframe, bar))

        shown = (lambda: candle_of(line.spec, bar)) if final else candle
        self._listener.bar(line.spec.name, timeframe, shown, final=final)
