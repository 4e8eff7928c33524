"""Requests of the contract, as structs. Unknown fields are ignored; identifiers may come as numbers."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from ctrader_app.wire.errors import UnreadableAnswer
from ctrader_app.wire.times import read_epoch_ms
from microservice.api.errors import bad_request
from microservice.venue.model import (
    CancelOrder,
    ClosePosition,
    Command,
    Direction,
    ModifyProtection,
    OrderType,
    PlaceOrder,
    Timeframe,
    TimeInForce,
)

Ident = Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | Annotated[int, msgspec.Meta(ge=0, le=10**18)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
ClientOrderId = Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
Label = Annotated[str, msgspec.Meta(max_length=100)]
Comment = Annotated[str, msgspec.Meta(max_length=512)]
MAX_BARS = 5_000
MAX_ROWS = 5_000


class AccountRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Something about one account."""

    account_id: Ident

    @property
    def account(self) -> str:
        """The account as text."""
        return str(self.account_id)


class ConnectRequest(AccountRequest, frozen=True, kw_only=True):
    """Open or resume an account. The paper venue asks for no token and keeps none."""

    internal_account_id: Ident | None = None
    access_token: str | None = None


class SymbolRequest(AccountRequest, frozen=True, kw_only=True):
    """Something about a symbol."""

    symbol: Name


class BarsRequest(SymbolRequest, frozen=True, kw_only=True):
    """A stream of bars."""

    timeframe: Name


class CandlesQuery(BarsRequest, frozen=True, kw_only=True):
    """Bars: the newest ``count``, or those that open in ``start`` to ``end`` (epoch seconds or ISO-8601)."""

    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_BARS)] | None = None
    start: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    end: Annotated[str, msgspec.Meta(max_length=40)] | None = None


class SyncQuery(AccountRequest, frozen=True, kw_only=True):
    """The story of one position."""

    position_id: Ident
    symbol: Name | None = None


class DealsQuery(AccountRequest, frozen=True, kw_only=True):
    """Deals of a time window (epoch seconds, milliseconds or ISO-8601), oldest first."""

    since: Annotated[str, msgspec.Meta(max_length=40)] | None = msgspec.field(default=None, name="from")
    until: Annotated[str, msgspec.Meta(max_length=40)] | None = msgspec.field(default=None, name="to")
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)] = 1_000


class OrdersQuery(AccountRequest, frozen=True, kw_only=True):
    """Order history, newest first."""

    client_order_id: str | None = None
    order_id: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)] = 100


class EffectsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to count effects by; any of the three."""

    client_order_id: str | None = None
    account_id: str | None = None
    position_id: str | None = None


class MarketRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Set the bid of a symbol, or move it; ``hold`` stops its walk, ``closed`` shuts its market; null leaves both."""

    symbol: Name
    bid: Decimal | None = None
    move: Decimal | None = None
    hold: bool | None = None
    closed: bool | None = None


class WriteRequest(AccountRequest, frozen=True, kw_only=True):
    """A request that becomes a command."""

    def command(self) -> Command:
        """Return the command to execute."""
        raise NotImplementedError


class PlaceRequest(WriteRequest, frozen=True, kw_only=True):
    """A new order. ``expires_at`` is the deadline of the request, ``good_till`` that of a GTD order."""

    symbol: Name
    direction: Direction
    volume: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    sl_distance: Decimal | None = None
    tp_distance: Decimal | None = None
    time_in_force: TimeInForce | None = None
    good_till: datetime | None = None
    expires_at: datetime | None = None
    client_order_id: ClientOrderId | None = None
    label: Label | None = None
    comment: Comment | None = None

    def command(self) -> Command:
        """Return the command to execute."""
        return PlaceOrder(
            account_id=self.account,
            symbol=self.symbol,
            direction=self.direction,
            volume=self.volume,
            order_type=self.order_type,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            sl_distance=self.sl_distance,
            tp_distance=self.tp_distance,
            time_in_force=self.time_in_force,
            good_till_ms=_moment_ms(self.good_till),
            expires_at_ms=_moment_ms(self.expires_at),
            client_order_id=self.client_order_id,
            label=self.label,
            comment=self.comment,
        )


class CloseRequest(WriteRequest, frozen=True, kw_only=True):
    """Close lots of a position."""

    position_id: Ident
    volume: Decimal
    symbol: Name | None = None
    client_order_id: ClientOrderId | None = None

    def command(self) -> Command:
        """Return the command to execute."""
        return ClosePosition(
            account_id=self.account,
            position_id=str(self.position_id),
            volume=self.volume,
            symbol=self.symbol,
            client_order_id=self.client_order_id,
        )


class ModifyRequest(WriteRequest, frozen=True, kw_only=True):
    """Both levels must be there, so that moving one cannot remove the other by omission; null removes."""

    position_id: Ident
    stop_loss: Decimal | None
    take_profit: Decimal | None
    symbol: Name | None = None

    def command(self) -> Command:
        """Return the command to execute."""
        return ModifyProtection(
            account_id=self.account,
            position_id=str(self.position_id),
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            symbol=self.symbol,
        )


class CancelRequest(WriteRequest, frozen=True, kw_only=True):
    """Take a pending order back."""

    order_id: Ident

    def command(self) -> Command:
        """Return the command to execute."""
        return CancelOrder(account_id=self.account, order_id=str(self.order_id))


def _moment_ms(moment: datetime | None) -> int | None:
    """Epoch milliseconds; a time without a zone is UTC."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def time_ms(text: str | None, name: str) -> int | None:
    """Read a time of a query. Raises ApiError."""
    if text is None:
        return None
    if text == "0":  # "from the beginning" is no market time, but means something
        return 0
    try:
        return read_epoch_ms(text, name)
    except UnreadableAnswer as error:
        raise bad_request(error.reason) from None


def timeframe(name: str) -> Timeframe:
    """Read a timeframe, whatever its case. Raises ApiError."""
    try:
        return Timeframe(name.upper())
    except ValueError:
        raise bad_request(f"timeframe must be one of {', '.join(Timeframe)}", "UNKNOWN_TIMEFRAME") from None
