"""What a caller wants, checked and exact. An intent that exists is well-formed; the venue judges the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, TypeVar

from connectors.base import Number, TradeRequest
from connectors.errors import InvalidRequestError
from ctrader_app.domain.facts import Direction, OrderType
from ctrader_app.domain.numbers import optional_positive, plain, positive, to_decimal
from ctrader_app.domain.operations import Kind

MAX_SYMBOL = 64
MAX_ID = 64
MAX_LABEL = 100
MAX_COMMENT = 512
"""cTrader's limits for label and comment (Open API schema); ours for the rest."""

Parameters = dict[str, str | None]
_Enum = TypeVar("_Enum", Direction, OrderType)


@dataclass(frozen=True, slots=True)
class PlaceIntent:
    """Open a position. ``price`` is the limit or the trigger; None for a MARKET order."""

    kind: ClassVar[Kind] = Kind.PLACE

    symbol: str
    direction: Direction
    volume_lots: Decimal
    order_type: OrderType
    price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    sl_distance: Decimal | None
    tp_distance: Decimal | None
    label: str
    comment: str

    @property
    def lane(self) -> str:
        """Orders of one account do not wait for each other."""
        return ""

    @classmethod
    def of_request(cls, request: TradeRequest) -> "PlaceIntent":
        """Raises InvalidRequestError for anything that cannot be an order."""
        order_type = _member(OrderType, request.order_type, "order_type")
        price = optional_positive(request.limit_price, "limit_price")
        if order_type is OrderType.MARKET and price is not None:
            raise InvalidRequestError("a MARKET order has no limit_price")
        if order_type is not OrderType.MARKET and price is None:
            raise InvalidRequestError(f"a {order_type} order needs its price in limit_price")
        intent = cls(
            symbol=_text(request.symbol, "symbol", MAX_SYMBOL, required=True),
            direction=_member(Direction, request.direction, "direction"),
            volume_lots=positive(request.lot_size, "lot_size"),
            order_type=order_type,
            price=price,
            stop_loss=optional_positive(request.stop_loss, "stop_loss"),
            take_profit=optional_positive(request.take_profit, "take_profit"),
            sl_distance=optional_positive(request.sl_distance, "sl_distance"),
            tp_distance=optional_positive(request.tp_distance, "tp_distance"),
            label=_text(request.label, "label", MAX_LABEL),
            comment=_text(request.comment, "comment", MAX_COMMENT),
        )
        intent._check_protection()
        return intent

    def _check_protection(self) -> None:
        if self.stop_loss is not None and self.sl_distance is not None:
            raise InvalidRequestError("give stop_loss or sl_distance, not both")
        if self.take_profit is not None and self.tp_distance is not None:
            raise InvalidRequestError("give take_profit or tp_distance, not both")

    def parameters(self) -> Parameters:
        """The intent as exact text, for the ledger and the fingerprint."""
        return {
            "symbol": self.symbol,
            "direction": self.direction.value,
            "volume": plain(self.volume_lots),
            "order_type": self.order_type.value,
            "price": _optional(self.price),
            "stop_loss": _optional(self.stop_loss),
            "take_profit": _optional(self.take_profit),
            "sl_distance": _optional(self.sl_distance),
            "tp_distance": _optional(self.tp_distance),
            "label": self.label,
            "comment": self.comment,
        }

    @classmethod
    def of_parameters(cls, stored: Mapping[str, str | None]) -> "PlaceIntent":
        """The intent that :meth:`parameters` wrote."""
        return cls(
            symbol=_stored(stored, "symbol"),
            direction=Direction(_stored(stored, "direction")),
            volume_lots=Decimal(_stored(stored, "volume")),
            order_type=OrderType(_stored(stored, "order_type")),
            price=_amount(stored["price"]),
            stop_loss=_amount(stored["stop_loss"]),
            take_profit=_amount(stored["take_profit"]),
            sl_distance=_amount(stored["sl_distance"]),
            tp_distance=_amount(stored["tp_distance"]),
            label=_stored(stored, "label"),
            comment=_stored(stored, "comment"),
        )


@dataclass(frozen=True, slots=True)
class CloseIntent:
    """Close ``volume_lots`` of a position; None: all that is open when it is sent."""

    kind: ClassVar[Kind] = Kind.CLOSE

    position_id: str
    symbol: str
    volume_lots: Decimal | None

    @property
    def lane(self) -> str:
        """Writes to one position go one at a time."""
        return f"position:{self.position_id}"

    @classmethod
    def of_arguments(cls, position_id: str, symbol: str, volume: Number | None) -> "CloseIntent":
        """Raises InvalidRequestError."""
        return cls(
            position_id=_text(position_id, "position_id", MAX_ID, required=True),
            symbol=_text(symbol, "symbol", MAX_SYMBOL),
            volume_lots=None if volume is None else positive(volume, "volume"),
        )

    def parameters(self) -> Parameters:
        """The intent as exact text."""
        return {"position_id": self.position_id, "symbol": self.symbol, "volume": _optional(self.volume_lots)}

    @classmethod
    def of_parameters(cls, stored: Mapping[str, str | None]) -> "CloseIntent":
        """The intent that :meth:`parameters` wrote."""
        return cls(_stored(stored, "position_id"), _stored(stored, "symbol"), _amount(stored["volume"]))


@dataclass(frozen=True, slots=True)
class ModifyIntent:
    """Set a position's protection. None keeps a level, zero removes it."""

    kind: ClassVar[Kind] = Kind.MODIFY

    position_id: str
    symbol: str
    stop_loss: Decimal | None
    take_profit: Decimal | None

    @property
    def lane(self) -> str:
        """Writes to one position go one at a time."""
        return f"position:{self.position_id}"

    @classmethod
    def of_arguments(
        cls, position_id: str, symbol: str, stop_loss: Number | None, take_profit: Number | None
    ) -> "ModifyIntent":
        """Raises InvalidRequestError."""
        if stop_loss is None and take_profit is None:
            raise InvalidRequestError("nothing to change: give stop_loss or take_profit (0 removes a level)")
        return cls(
            position_id=_text(position_id, "position_id", MAX_ID, required=True),
            symbol=_text(symbol, "symbol", MAX_SYMBOL),
            stop_loss=_level(stop_loss, "stop_loss"),
            take_profit=_level(take_profit, "take_profit"),
        )

    def parameters(self) -> Parameters:
        """The intent as exact text."""
        return {
            "position_id": self.position_id,
            "symbol": self.symbol,
            "stop_loss": _optional(self.stop_loss),
            "take_profit": _optional(self.take_profit),
        }

    @classmethod
    def of_parameters(cls, stored: Mapping[str, str | None]) -> "ModifyIntent":
        """The intent that :meth:`parameters` wrote."""
        return cls(
            _stored(stored, "position_id"),
            _stored(stored, "symbol"),
            _amount(stored["stop_loss"]),
            _amount(stored["take_profit"]),
        )


@dataclass(frozen=True, slots=True)
class CancelIntent:
    """Cancel a working order."""

    kind: ClassVar[Kind] = Kind.CANCEL

    order_id: str

    @property
    def lane(self) -> str:
        """Writes to one order go one at a time."""
        return f"order:{self.order_id}"

    @classmethod
    def of_arguments(cls, order_id: str) -> "CancelIntent":
        """Raises InvalidRequestError."""
        return cls(_text(order_id, "order_id", MAX_ID, required=True))

    def parameters(self) -> Parameters:
        """The intent as exact text."""
        return {"order_id": self.order_id}

    @classmethod
    def of_parameters(cls, stored: Mapping[str, str | None]) -> "CancelIntent":
        """The intent that :meth:`parameters` wrote."""
        return cls(_stored(stored, "order_id"))


Intent = PlaceIntent | CloseIntent | ModifyIntent | CancelIntent


def intent_of(kind: Kind, stored: Mapping[str, str | None]) -> Intent:
    """The intent that the ledger holds."""
    match kind:
        case Kind.PLACE:
            return PlaceIntent.of_parameters(stored)
        case Kind.CLOSE:
            return CloseIntent.of_parameters(stored)
        case Kind.MODIFY:
            return ModifyIntent.of_parameters(stored)
        case Kind.CANCEL:
            return CancelIntent.of_parameters(stored)


def _member(enum: type[_Enum], value: object, name: str) -> _Enum:
    try:
        return enum(str(value).strip().upper())
    except ValueError:
        raise InvalidRequestError(f"{name} must be one of {', '.join(enum)}, got {value!r}") from None


def _text(value: object, name: str, limit: int, *, required: bool = False) -> str:
    if not isinstance(value, str):
        raise InvalidRequestError(f"{name} must be text, got {type(value).__name__}")
    text = value.strip()
    if required and not text:
        raise InvalidRequestError(f"{name} is empty")
    if len(text) > limit:
        raise InvalidRequestError(f"{name} is {len(text)} characters long, at most {limit} are allowed")
    if not text.isprintable():
        raise InvalidRequestError(f"{name} holds control characters")
    return text


def _level(value: Number | None, name: str) -> Decimal | None:
    if value is None:
        return None
    number = to_decimal(value, name)
    return Decimal(0) if number == 0 else positive(number, name)


def _optional(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _stored(stored: Mapping[str, str | None], name: str) -> str:
    value = stored[name]
    assert value is not None
    return value
