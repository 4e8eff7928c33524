"""The paper venue: the Venue interface over market, books and ledger, all on one thread."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from microservice.clock import Clock
from microservice.database import Database
from microservice.venue.base import MarketListener, Refusal, RefusalKind, Settle, StateListener
from microservice.venue.model import (
    AccountInfo,
    Answer,
    Candle,
    Command,
    DealRow,
    Identity,
    OrderRecord,
    Quote,
    Session,
    Snapshot,
    SymbolInfo,
    SyncData,
    Timeframe,
)
from microservice.venue.paper.books import Account, Books
from microservice.venue.paper.commands import Commands, as_number, symbol_spec
from microservice.venue.paper.execution import Execution
from microservice.venue.paper.loading import load_books
from microservice.venue.paper.market import PaperMarket
from microservice.venue.paper.market_store import MarketStore
from microservice.venue.paper.matching import Matching
from microservice.venue.paper.reports import Effects, Reports
from microservice.venue.paper.store import LedgerStore
from microservice.venue.paper.symbols import SYMBOLS
from microservice.venue.paper.validation import on_tick
from microservice.venue.paper.valuation import Valuation

OPENING_BALANCE = Decimal("10000.00")
LEVERAGE = 100
CURRENCY = "USD"


class PaperVenue:
    """Implements ``microservice.venue.base.Venue``. Not thread-safe: it belongs to the thread of the event loop.

    The coroutines never wait: each runs to its end in one go, which is what makes them atomic.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        market_listener: MarketListener,
        state_listener: StateListener,
        seed: int = 1,
        interval_ms: int = 250,
    ) -> None:
        self._database = database
        self._clock = clock
        self._listener = state_listener
        self._sessions: dict[str, str] = {}
        self._store = LedgerStore(database)
        self.market = PaperMarket(MarketStore(database), seed, clock, market_listener, interval_ms)
        self._valuation = Valuation(self.market.quote)
        self._reports = Reports(database)
        self._execution = Execution(load_books(database), self._store, self._valuation, state_listener, clock)
        self._matching = Matching(self._execution, self._store, self._valuation, clock)
        self._commands = Commands(self._execution, self._store, self.market, clock, self._reports.order_status)

    @property
    def _books(self) -> Books:
        return self._execution.books

    @contextmanager
    def _unit(self) -> Iterator[None]:
        """One transaction. Should it fail, memory is read back from the ledger, so that both agree again."""
        try:
            with self._database.transaction():
                yield
        except Exception:  # whatever it was, memory may be ahead of the ledger now
            self._store.reset_ids()
            self._execution.books = load_books(self._database)
            self._matching.restart()
            raise

    def _connected(self, account_id: str) -> Account:
        account = self._books.accounts.get(account_id)
        if account is None or not account.connected:
            raise Refusal(
                "ACCOUNT_NOT_CONNECTED",
                f"account {account_id} is not connected",
                RefusalKind.NOT_CONNECTED,
            )
        return account

    # --- the market's own time ---

    def open(self) -> None:
        """Quote every symbol; call once, before anything else."""
        self.market.open()

    def step(self) -> None:
        """Advance the market to now and carry out what that sets off."""
        self._react(self.market.step())

    def close(self) -> None:
        """Save what is not yet saved."""
        self.market.save()

    def _react(self, quotes: list[Quote]) -> None:
        actions = self._matching.due(quotes)
        if actions:
            with self._unit():
                for action in actions:
                    action()
        broken = self._matching.stopped_out()
        if broken:
            with self._unit():
                for account in broken:
                    self._matching.stop_out(account)

    # --- accounts ---

    async def connect(self, account_id: str, internal_account_id: str | None) -> Session:
        """Create the account (10,000.00 USD, leverage 100, hedged) or resume it."""
        account = self._books.accounts.get(account_id)
        login = account_id if account_id != internal_account_id else None
        with self._unit():
            if account is None:
                account = Account(
                    account_id, internal_account_id, login, CURRENCY, LEVERAGE, OPENING_BALANCE, connected=True
                )
                self._books.add_account(account)
            account.connected = True
            account.internal_account_id = internal_account_id or account.internal_account_id
            account.broker_login = login
            self._store.save_account(account, self._clock.now_ms())
            self._listener.changed(account_id)
        session = self._sessions.setdefault(account_id, str(uuid.uuid4()))
        return Session(status="connected", session_id=session)

    async def disconnect(self, account_id: str) -> None:
        """Let go of an account: protections still fire, but nothing is said of it until it connects again."""
        account = self._books.accounts.get(account_id)
        if account is not None and account.connected:
            with self._unit():
                account.connected = False
                self._store.save_account(account, self._clock.now_ms())
        self._sessions.pop(account_id, None)

    def is_connected(self, account_id: str) -> bool:
        """Tell whether the account is connected."""
        account = self._books.accounts.get(account_id)
        return account is not None and account.connected

    def identity(self, account_id: str) -> Identity:
        """Return the names an event about the account carries."""
        account = self._books.accounts[account_id]
        return Identity(
            account_id=account_id,
            broker_login=account.broker_login,
            internal_account_id=account.internal_account_id,
        )

    def floating_accounts(self) -> list[tuple[str, int]]:
        """Return the connected accounts that hold positions, with how many."""
        return [(a.account_id, len(a.positions)) for a in self._books.accounts.values() if a.connected and a.positions]

    # --- writes ---

    async def execute(self, command: Command, settle: Settle) -> Answer:
        """Carry a command out; effect and verdict commit together."""
        account = self._connected(command.account_id)
        refusal: Refusal | None = None
        with self._unit():
            try:
                answer = self._commands.apply(account, command)
                settle(answer)
            except Refusal as refused:  # raised before anything was touched; the verdict is kept all the same
                refusal = refused
                settle(refused)
        if refusal is not None:
            raise refusal
        return answer

    # --- reads ---

    async def account_info(self, account_id: str) -> AccountInfo:
        """Return the figures of an account."""
        return self._valuation.figures(self._connected(account_id))

    async def snapshot(self, account_id: str) -> Snapshot:
        """Return what is open and what is waiting."""
        account = self._connected(account_id)
        return Snapshot(
            open_positions=self._valuation.rows(account),
            pending_orders=[order.row() for order in account.orders.values()],
        )

    async def symbol_info(self, account_id: str, symbol: str) -> SymbolInfo:
        """Describe a symbol."""
        self._connected(account_id)
        return symbol_spec(symbol).info()

    async def price(self, account_id: str, symbol: str) -> Quote:
        """Return the last quote."""
        self._connected(account_id)
        return self.market.quote(symbol_spec(symbol).name)

    async def candles(
        self,
        account_id: str,
        symbol: str,
        timeframe: Timeframe,
        *,
        count: int | None,
        start_s: int | None,
        end_s: int | None,
    ) -> list[Candle]:
        """Return bars, oldest first, the forming one last."""
        self._connected(account_id)
        name = symbol_spec(symbol).name
        return self.market.candles(name, timeframe, count=count, start_s=start_s, end_s=end_s)

    async def sync_data(self, account_id: str, position_id: str) -> SyncData:
        """Return the deals and the state of one position."""
        self._connected(account_id)
        return self._reports.sync_data(account_id, as_number(position_id))

    async def deals(self, account_id: str, start_ms: int, end_ms: int, limit: int) -> list[DealRow]:
        """Return the deals of a time window, oldest first."""
        self._connected(account_id)
        return self._reports.deals(account_id, start_ms, end_ms, limit)

    async def orders(
        self, account_id: str, client_order_id: str | None, order_id: str | None, limit: int
    ) -> list[OrderRecord]:
        """Return order history, newest first."""
        self._connected(account_id)
        number = None if order_id is None else as_number(order_id)
        return self._reports.orders(account_id, client_order_id, number, limit)

    def symbol_name(self, symbol: str) -> str:
        """Return the venue's spelling of a symbol; raises Refusal UNKNOWN_SYMBOL."""
        return symbol_spec(symbol).name

    # --- control, for tests and demonstrations ---

    def move(
        self, symbol: str, *, bid: Decimal | None, move: Decimal | None, held: bool | None, closed: bool | None
    ) -> Quote:
        """Set the bid, or move it, hold the walk, close the market; then carry out what that sets off."""
        spec = symbol_spec(symbol)
        if held is not None:
            self.market.hold(spec.name, held=held)
        if closed is not None:
            self.market.shut(spec.name, closed=closed)
        quote = self.market.quote(spec.name)
        if bid is not None or move is not None:
            target = bid if bid is not None else quote.bid + (move or 0)
            price = on_tick(spec, target, "TRADING_BAD_PRICES", "bid")
            quote = self.market.move(spec.name, spec.points(price))
            self._react([quote])
        self.market.save()
        return quote

    def effects(self, *, client_order_id: str | None, account_id: str | None, position_id: str | None) -> Effects:
        """Count what really happened."""
        number = None if position_id is None else as_number(position_id)
        return self._reports.effects(client_order_id=client_order_id, account_id=account_id, position_id=number)

    def symbols(self) -> list[str]:
        """Return the names of all instruments."""
        return list(SYMBOLS)
