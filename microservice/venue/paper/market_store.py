"""What the market remembers over a restart: where each price stands, and the bars formed live."""

from collections import defaultdict
from dataclasses import dataclass

from microservice.database import Database
from microservice.venue.model import Timeframe
from microservice.venue.paper.bars import RETAINED_BARS, Bar


@dataclass(slots=True)
class MarketRow:
    """One symbol. ``level`` is the logarithm of the bid; the anchor is where its seeded history ends."""

    symbol: str
    anchor_s: int
    anchor_points: int
    level: float
    held: bool = False
    closed: bool = False


class MarketStore:
    """Reads and writes of the tables ``paper_markets`` and ``paper_bars``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def markets(self) -> dict[str, MarketRow]:
        """Return every symbol's row."""
        rows = self._database.execute("SELECT symbol, anchor_s, anchor_points, level, held, closed FROM paper_markets")
        return {
            symbol: MarketRow(symbol, anchor_s, anchor_points, level, bool(held), bool(closed))
            for symbol, anchor_s, anchor_points, level, held, closed in rows
        }

    def save(self, markets: list[MarketRow], bars: list[tuple[str, Timeframe, Bar]]) -> None:
        """Write prices and bars in one transaction."""
        with self._database.transaction():
            self._database.execute_many(
                "INSERT OR REPLACE INTO paper_markets (symbol, anchor_s, anchor_points, level, held, closed)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(m.symbol, m.anchor_s, m.anchor_points, m.level, m.held, m.closed) for m in markets],
            )
            self._database.execute_many(
                "INSERT OR REPLACE INTO paper_bars (symbol, timeframe, time_s, open, high, low, close, volume)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (name, tf.value, bar.time_s, bar.open, bar.high, bar.low, bar.close, bar.volume)
                    for name, tf, bar in bars
                ],
            )

    def last_bars(self) -> dict[str, dict[Timeframe, Bar]]:
        """Return the newest saved bar of every symbol and timeframe."""
        rows = self._database.execute(
            "SELECT symbol, timeframe, max(time_s), open, high, low, close, volume FROM paper_bars"
            " GROUP BY symbol, timeframe"
        )
        found: dict[str, dict[Timeframe, Bar]] = defaultdict(dict)
        for symbol, timeframe, *figures in rows:
            found[symbol][Timeframe(timeframe)] = Bar(*figures)
        return found

    def bars(self, symbol: str) -> dict[Timeframe, list[Bar]]:
        """Return every saved bar of a symbol, oldest first."""
        rows = self._database.execute(
            "SELECT timeframe, time_s, open, high, low, close, volume FROM paper_bars"
            " WHERE symbol = ? ORDER BY timeframe, time_s",
            (symbol,),
        )
        found: dict[Timeframe, list[Bar]] = defaultdict(list)
        for timeframe, *figures in rows:
            found[Timeframe(timeframe)].append(Bar(*figures))
        return found

    def prune(self) -> None:
        """Forget the bars beyond what is served."""
        with self._database.transaction():
            symbols = [symbol for (symbol,) in self._database.execute("SELECT symbol FROM paper_markets")]
            for symbol in symbols:
                for timeframe, keep in RETAINED_BARS.items():
                    self._database.execute(
                        "DELETE FROM paper_bars WHERE symbol = ?1 AND timeframe = ?2 AND time_s < "
                        "(SELECT time_s FROM paper_bars WHERE symbol = ?1 AND timeframe = ?2"
                        " ORDER BY time_s DESC LIMIT 1 OFFSET ?3)",
                        (symbol, timeframe.value, keep - 1),
                    )
