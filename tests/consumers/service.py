"""A microservice that notes what it is asked to stream."""

import threading
from datetime import UTC, datetime
from decimal import Decimal

from connectors.errors import ConnectorError
from ctrader_app.connector import AccountRef
from ctrader_app.domain.facts import CandleFact, PriceFact

Key = tuple[str, str, str]


class FakeService:
    """Stands for the connector's client. ``running`` is what it produces; ``calls`` is what it was asked, in order."""

    def __init__(self) -> None:
        self.running: set[Key] = set()
        self.calls: list[tuple[str, Key]] = []
        self.failure: ConnectorError | None = None
        self.price_failure: ConnectorError | None = None
        self.quoted_at = datetime.now(UTC)
        self.reads = 0
        self.bars: tuple[CandleFact, ...] = ()
        self.before: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def _asked(self, verb: str, ref: AccountRef, symbol: str, timeframe: str = "") -> None:
        key = (ref.internal_id, symbol, timeframe)
        gate = self.before.get(verb)
        if gate is not None:
            assert gate.wait(10), f"nobody opens the gate of {verb}"
        with self._lock:
            self.calls.append((verb, key))
            if self.failure is not None:
                raise self.failure
            if verb == "start":
                self.running.add(key)
            else:
                self.running.discard(key)

    def subscribe_price(self, ref: AccountRef, symbol: str) -> None:
        """Start ticks."""
        self._asked("start", ref, symbol)

    def unsubscribe_price(self, ref: AccountRef, symbol: str) -> None:
        """Stop ticks."""
        self._asked("stop", ref, symbol)

    def subscribe_candles(self, ref: AccountRef, symbol: str, timeframe: str) -> None:
        """Start bars."""
        self._asked("start", ref, symbol, timeframe)

    def unsubscribe_candles(self, ref: AccountRef, symbol: str, timeframe: str) -> None:
        """Stop bars."""
        self._asked("stop", ref, symbol, timeframe)

    def price(self, ref: AccountRef, symbol: str) -> PriceFact:
        """The last price."""
        self._read()
        return PriceFact(symbol, Decimal("1.5"), Decimal("1.6"), self.quoted_at)

    def candles(self, ref: AccountRef, symbol: str, timeframe: str, count: int) -> tuple[CandleFact, ...]:
        """The last bars; ``price_failure`` is theirs too."""
        gate = self.before.get("candles")
        if gate is not None:
            assert gate.wait(10), "nobody opens the gate of candles"
        self._read()
        return self.bars[-count:]

    def _read(self) -> None:
        with self._lock:
            self.reads += 1
        if self.price_failure is not None:
            raise self.price_failure

    def count(self, verb: str) -> int:
        """How often it was asked to start or stop something."""
        return sum(asked == verb for asked, _ in self.calls)
