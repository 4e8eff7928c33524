"""Market data to those who subscribed: which account wants which symbol, and bars at most once a second."""

from collections import defaultdict
from collections.abc import Callable

from microservice.clock import Clock
from microservice.events import ENCODER, CandleUpdate, EventFactory, EventType, Message
from microservice.venue.model import Candle, Quote, Timeframe

_BAR_EVERY_MS = 1_000


class Streams:
    """Implements ``MarketListener``. Subscriptions live in memory: after a restart they must be asked for again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._factory: EventFactory | None = None
        self._publish: Callable[[list[Message]], None] = lambda _: None
        self._prices: dict[str, set[str]] = defaultdict(set)
        self._bars: dict[tuple[str, Timeframe], set[str]] = defaultdict(set)
        self._bar_sent_ms: dict[tuple[str, Timeframe], int] = {}

    def attach(self, factory: EventFactory, publish: Callable[[list[Message]], None]) -> None:
        """Say how messages are made and where they go."""
        self._factory = factory
        self._publish = publish

    def subscribe_price(self, account_id: str, quote: Quote) -> None:
        """Start sending a symbol's ticks, the current quote at once."""
        self._prices[quote.symbol].add(account_id)
        self._send(EventType.PRICE_TICK, {account_id}, ENCODER.encode(quote))

    def unsubscribe_price(self, account_id: str, symbol: str) -> None:
        """Stop sending a symbol's ticks."""
        self._prices[symbol].discard(account_id)

    def subscribe_bars(self, account_id: str, symbol: str, timeframe: Timeframe, current: Candle | None) -> None:
        """Start sending a symbol's bars, the forming one at once."""
        self._bars[symbol, timeframe].add(account_id)
        if current is not None:
            self._send_bar(symbol, timeframe, {account_id}, current, final=False)

    def unsubscribe_bars(self, account_id: str, symbol: str, timeframe: Timeframe) -> None:
        """Stop sending a symbol's bars."""
        self._bars[symbol, timeframe].discard(account_id)

    def drop_account(self, account_id: str) -> None:
        """Stop everything an account subscribed to."""
        for accounts in (*self._prices.values(), *self._bars.values()):
            accounts.discard(account_id)

    def quote(self, quote: Quote) -> None:
        """Send a tick to its subscribers."""
        accounts = self._prices.get(quote.symbol)
        if accounts:
            self._send(EventType.PRICE_TICK, accounts, ENCODER.encode(quote))

    def bar(self, symbol: str, timeframe: Timeframe, candle: Callable[[], Candle], *, final: bool) -> None:
        """Send a bar to its subscribers: once a second while it forms, and once more when it has closed."""
        key = (symbol, timeframe)
        accounts = self._bars.get(key)
        if not accounts:
            return
        now_ms = self._clock.now_ms()
        if not final and now_ms - self._bar_sent_ms.get(key, 0) < _BAR_EVERY_MS:
            return
        if not final:
            self._bar_sent_ms[key] = now_ms
        self._send_bar(symbol, timeframe, accounts, candle(), final=final)

    def _send_bar(self, symbol: str, timeframe: Timeframe, accounts: set[str], candle: Candle, *, final: bool) -> None:
        update = CandleUpdate(symbol=symbol, timeframe=timeframe, candle=candle, final=final)
        self._send(EventType.CANDLE_UPDATE, accounts, ENCODER.encode(update))

    def _send(self, event_type: EventType, accounts: set[str], payload: bytes) -> None:
        factory = self._factory
        if factory is not None:
            self._publish([factory.message(event_type, account, payload) for account in accounts])
