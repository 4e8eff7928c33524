"""A paper venue on a clock that stands still, with what it tells its listeners written down."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from microservice.clock import ManualClock
from microservice.database import Database
from microservice.venue.base import Refusal
from microservice.venue.model import (
    AccountInfo,
    Answer,
    CancelAnswer,
    CancelOrder,
    Candle,
    CloseAnswer,
    ClosePosition,
    Closure,
    Command,
    Direction,
    ModifyAnswer,
    ModifyProtection,
    PlaceAnswer,
    PlaceOrder,
    PositionRow,
    Quote,
    Timeframe,
)
from microservice.venue.paper.venue import PaperVenue

D = Decimal
ACCOUNT = "4711"
BUY, SELL = Direction.BUY, Direction.SELL


def epoch_s(utc_text: str) -> int:
    """Epoch seconds of a time such as "2026-01-12 10:00", UTC."""
    return int(datetime.fromisoformat(f"{utc_text}+00:00").timestamp())


# In New York's winter.
MONDAY_MS = epoch_s("2026-01-12 10:00") * 1000


@dataclass
class Heard:
    """What the listeners were told."""

    changed_accounts: list[str] = field(default_factory=list)
    closures: list[Closure] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    bars: list[tuple[str, Timeframe, Candle, bool]] = field(default_factory=list)

    def changed(self, account_id: str) -> None:
        self.changed_accounts.append(account_id)

    def closed(self, account_id: str, closure: Closure) -> None:
        assert account_id in self.changed_accounts
        self.closures.append(closure)

    def quote(self, quote: Quote) -> None:
        self.quotes.append(quote)

    def bar(self, symbol: str, timeframe: Timeframe, candle: Callable[[], Candle], *, final: bool) -> None:
        self.bars.append((symbol, timeframe, candle(), final))


class Paper:
    """One venue, and short names for what tests do with it."""

    def __init__(self, state: Path, seed: int = 7, start_ms: int = MONDAY_MS) -> None:
        self.state = state
        self.seed = seed
        self.clock = ManualClock(start_ms)
        self.heard = Heard()
        self.venue = self._open()

    def _open(self) -> PaperVenue:
        self.database = Database(self.state)
        venue = PaperVenue(
            self.database,
            clock=self.clock,
            market_listener=self.heard,
            state_listener=self.heard,
            seed=self.seed,
        )
        venue.open()
        return venue

    def reopen(self) -> None:
        """Restart the venue on the same file, as after a kill: nothing is saved on the way."""
        self.database.close()
        self.venue = self._open()

    def close(self) -> None:
        self.database.close()

    def bid(self, symbol: str, price: str) -> Quote:
        """Put a symbol's bid somewhere and hold it there."""
        return self.venue.move(symbol, bid=D(price), move=None, held=True, closed=None)

    async def execute(self, command: Command) -> Answer:
        verdicts: list[Answer | Refusal] = []
        try:
            return await self.venue.execute(command, verdicts.append)
        finally:
            assert len(verdicts) == 1, "every verdict is settled exactly once"

    async def place(self, symbol: str, direction: Direction, lots: str, **more: object) -> PlaceAnswer:
        values = {"account_id": ACCOUNT, "symbol": symbol, "direction": direction, "volume": D(lots), **more}
        answer = await self.execute(PlaceOrder(**values))  # type: ignore[arg-type]
        assert isinstance(answer, PlaceAnswer)
        return answer

    async def open(self, symbol: str, direction: Direction, lots: str, **more: object) -> str:
        """Open a position at the market and return its id."""
        answer = await self.place(symbol, direction, lots, **more)
        assert answer.position_id is not None
        return answer.position_id

    async def shut(self, position_id: str, lots: str) -> CloseAnswer:
        answer = await self.execute(ClosePosition(account_id=ACCOUNT, position_id=position_id, volume=D(lots)))
        assert isinstance(answer, CloseAnswer)
        return answer

    async def protect(self, position_id: str, stop: str | None, take: str | None) -> ModifyAnswer:
        answer = await self.execute(
            ModifyProtection(
                account_id=ACCOUNT,
                position_id=position_id,
                stop_loss=None if stop is None else D(stop),
                take_profit=None if take is None else D(take),
            )
        )
        assert isinstance(answer, ModifyAnswer)
        return answer

    async def cancel(self, order_id: str) -> CancelAnswer:
        answer = await self.execute(CancelOrder(account_id=ACCOUNT, order_id=order_id))
        assert isinstance(answer, CancelAnswer)
        return answer

    async def info(self) -> AccountInfo:
        return await self.venue.account_info(ACCOUNT)

    async def positions(self) -> list[PositionRow]:
        return (await self.venue.snapshot(ACCOUNT)).open_positions
