"""What a venue is: the interface behind the front, and how it says no.

The front (HTTP, idempotency, events) knows only this module and the model, so that another venue, such as the
cTrader Open API, can stand where the paper venue stands.
"""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from microservice.venue.model import (
    AccountInfo,
    Answer,
    Candle,
    Closure,
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


class RefusalKind(Enum):
    """What sort of no it is; the front turns it into an HTTP status."""

    MALFORMED = 400
    NOT_CONNECTED = 401
    NOT_FOUND = 404
    CONFLICT = 409
    BUSINESS = 422


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a failure
    """The venue said no, for certain, and nothing happened.

    ``code`` is a cTrader error name (``NOT_ENOUGH_MONEY``, ``TRADING_BAD_VOLUME``, ...) where one fits.
    """

    def __init__(
        self,
        code: str,
        message: str,
        kind: RefusalKind = RefusalKind.BUSINESS,
        details: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.kind = kind
        self.details = details


def not_found(code: str, message: str) -> Refusal:
    """Build the refusal for something that does not exist."""
    return Refusal(code, message, RefusalKind.NOT_FOUND)


Settle = Callable[[Answer | Refusal], None]
"""Called exactly once by a venue with the final verdict. A venue whose effects live in the microservice's own
database calls it inside the transaction that commits the effect; a remote one once the verdict is known."""


class MarketListener(Protocol):
    """Hears of every quote and bar; calls must not block."""

    def quote(self, quote: Quote) -> None:
        """A symbol has a new quote."""
        ...

    def bar(self, symbol: str, timeframe: Timeframe, candle: Callable[[], Candle], *, final: bool) -> None:
        """A bar has changed, or (final) has closed; ``candle`` builds it, for those who want it."""
        ...


class StateListener(Protocol):
    """Hears of what happens to accounts, inside the transaction in which it happens."""

    def changed(self, account_id: str) -> None:
        """Balance, positions or orders of the account have changed."""
        ...

    def closed(self, account_id: str, closure: Closure) -> None:
        """A position has been closed in full."""
        ...


class Venue(Protocol):
    """What the front needs of a venue. Every method may raise Refusal.

    Methods that concern an account raise it with ``RefusalKind.NOT_CONNECTED`` while the account is not connected.
    """

    async def connect(self, account_id: str, internal_account_id: str | None) -> Session:
        """Open or resume an account; idempotent."""
        ...

    async def disconnect(self, account_id: str) -> None:
        """Let go of an account; idempotent."""
        ...

    async def execute(self, command: Command, settle: Settle) -> Answer:
        """Carry a write out and settle it; a refusal is settled, then raised."""
        ...

    async def account_info(self, account_id: str) -> AccountInfo:
        """Return the figures of an account."""
        ...

    async def snapshot(self, account_id: str) -> Snapshot:
        """Return what is open and what is waiting."""
        ...

    async def symbol_info(self, account_id: str, symbol: str) -> SymbolInfo:
        """Describe a symbol (case-insensitive)."""
        ...

    async def price(self, account_id: str, symbol: str) -> Quote:
        """Return the last quote."""
        ...

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
        ...

    async def sync_data(self, account_id: str, position_id: str) -> SyncData:
        """Return the deals and the state of one position."""
        ...

    async def deals(self, account_id: str, start_ms: int, end_ms: int, limit: int) -> list[DealRow]:
        """Return the deals of a time window, oldest first."""
        ...

    async def orders(
        self, account_id: str, client_order_id: str | None, order_id: str | None, limit: int
    ) -> list[OrderRecord]:
        """Return order history, newest first."""
        ...

    def symbol_name(self, symbol: str) -> str:
        """Return the venue's spelling of a symbol."""
        ...

    def is_connected(self, account_id: str) -> bool:
        """Tell whether the account is connected."""
        ...

    def identity(self, account_id: str) -> Identity:
        """Return the names an event about the account carries."""
        ...

    def floating_accounts(self) -> list[tuple[str, int]]:
        """Return the connected accounts that hold positions, with how many."""
        ...
