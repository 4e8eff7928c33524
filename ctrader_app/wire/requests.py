"""Bodies of the service's POST endpoints.

Volumes are lots, prices are plain decimals, times are aware datetimes (ISO-8601 on the wire). On the wire numbers
are JSON numbers, in a stored body exact text. What is None is left out, but for the two levels of
:class:`ModifyProtectionBody`, where null removes the level.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from ctrader_app.domain.facts import Direction, OrderType
from ctrader_app.domain.operations import Kind


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    account_id: str

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"{name} is not finite")


class ConnectBody(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Open, or renew, an account's session."""

    internal_account_id: str
    access_token: str | None = None

    def __repr__(self) -> str:
        return f"ConnectBody(account_id={self.account_id!r}, internal_account_id={self.internal_account_id!r})"


class AccountBody(_Body, frozen=True, kw_only=True):
    """The account alone: disconnect."""


class PlaceBody(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """A new order. ``sl_distance`` and ``tp_distance`` are price units from the fill.

    ``expires_at`` is the request's own deadline: a service that gets it later executes nothing.
    """

    symbol: str
    direction: Direction
    volume: Decimal
    order_type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    sl_distance: Decimal | None = None
    tp_distance: Decimal | None = None
    time_in_force: str | None = None
    client_order_id: str | None = None
    label: str | None = None
    comment: str | None = None
    expires_at: datetime | None = None


class CloseBody(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Close ``volume`` lots of a position."""

    position_id: str
    symbol: str
    volume: Decimal
    client_order_id: str | None = None


class ModifyProtectionBody(_Body, frozen=True, kw_only=True, omit_defaults=False):
    """Both levels as they shall be; None removes a level."""

    position_id: str
    symbol: str
    stop_loss: Decimal | None
    take_profit: Decimal | None


class CancelBody(_Body, frozen=True, kw_only=True):
    """Take a working order back."""

    order_id: str


class SymbolBody(_Body, frozen=True, kw_only=True):
    """Start or stop a symbol's ticks."""

    symbol: str


class CandlesBody(_Body, frozen=True, kw_only=True):
    """Start or stop a symbol's bars of one timeframe."""

    symbol: str
    timeframe: str


WriteBody = PlaceBody | CloseBody | ModifyProtectionBody | CancelBody
Body = ConnectBody | AccountBody | WriteBody | SymbolBody | CandlesBody

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode(body: Body) -> bytes:
    """The body as JSON."""
    return _ENCODER.encode(body)


def to_stored(body: WriteBody) -> dict[str, object]:
    """The body as JSON values that lose nothing: numbers and times are text."""
    stored: dict[str, object] = msgspec.to_builtins(body)
    return stored


def write_body_from_stored(kind: Kind, stored: Mapping[str, object]) -> WriteBody:
    """The reverse of :func:`to_stored`. Raises ValueError when ``stored`` is not such a body."""
    values = dict(stored)
    match kind:
        case Kind.PLACE:
            return msgspec.convert(values, PlaceBody)
        case Kind.CLOSE:
            return msgspec.convert(values, CloseBody)
        case Kind.MODIFY:
            return msgspec.convert(values, ModifyProtectionBody)
        case Kind.CANCEL:
            return msgspec.convert(values, CancelBody)
