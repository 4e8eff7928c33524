"""Reading single fields out of what services send: the one place of aliases and of odd spellings.

A :class:`Row` wraps one JSON object. Each reader returns a value of exactly its type or raises UnreadableAnswer
with the name of the field; none ever substitutes a default for something that cannot be read.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from ctrader_app.domain.facts import Direction
from ctrader_app.wire.errors import UnreadableAnswer
from ctrader_app.wire.times import read_epoch_ms, read_time

ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "account_id": ("account_id", "accountId"),
        "balance": ("balance",),
        "equity": ("equity",),
        "margin": ("margin", "margin_used", "usedMargin"),
        "free_margin": ("free_margin", "freeMargin", "margin_free"),
        "margin_level": ("margin_level", "marginLevel"),
        "open_positions": ("open_positions", "openPositions", "positions"),
        "pending_orders": ("pending_orders", "pendingOrders", "orders"),
        "position_id": ("position_id", "positionId", "id", "ticket"),
        "order_id": ("order_id", "orderId", "id", "ticket"),
        "answer_position_id": ("position_id", "positionId"),
        "answer_order_id": ("order_id", "orderId", "order"),
        "deal_id": ("deal_id", "dealId", "deal"),
        "client_order_id": ("client_order_id", "clientOrderId"),
        "symbol": ("symbol", "symbolName"),
        "direction": ("direction", "side", "tradeSide", "type"),
        "order_type": ("order_type", "orderType", "type"),
        "volume": ("volume", "lots", "volume_lots"),
        "open_price": ("open_price", "openPrice", "price_open"),
        "current_price": ("current_price", "currentPrice", "price_current", "price"),
        "order_price": ("price", "limit_price", "stop_price", "limitPrice", "stopPrice", "open_price", "price_open"),
        "stop_loss": ("stop_loss", "stopLoss", "sl"),
        "take_profit": ("take_profit", "takeProfit", "tp"),
        "open_time": ("open_time", "openTime", "time", "timestamp"),
        "created_at": ("created_at", "createdAt", "time", "timestamp"),
        "close_time": ("close_time", "closeTime"),
        "close_price": ("close_price", "closePrice", "price"),
        "closed_volume": ("closed_volume", "closedVolume"),
        "remaining_volume": ("remaining_volume", "remainingVolume"),
        "time": ("time", "timestamp"),
        "bar_volume": ("volume", "tick_volume", "tickVolume"),
        "deal_ticket": ("ticket", "deal_id", "dealId", "id"),
        "deal_order": ("order", "order_id", "orderId"),
        "deal_direction": ("direction", "side", "tradeSide", "type"),
        "deal_time": ("time_msc", "time", "timestamp"),
        "session_id": ("session_id", "sessionId"),
        "error_code": ("errorCode", "error_code"),
        "broker_deal_id": ("broker_deal_id", "brokerDealId", "deal_id", "dealId"),
    }
)
"""What a field may be called, the contract's own name first. A field that is not listed has only its own name.

Several names in one object: the first one that is not null counts.
"""

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_TEXT_CHARS = 512
MAX_LABEL_CHARS = 128
MAX_ID_CHARS = 64
MAX_WHOLE_DIGITS = 15
MAX_DECIMALS = 10
"""Finer than any venue quotes. Services that compute in floats send 0.30000000000000004: it is rounded to this."""

_NUMBER = re.compile(r"[+-]?(\d{1,40})(\.\d{0,40})?([eE][+-]?\d{1,3})?", re.ASCII)
_QUANTUM = Decimal(1).scaleb(-MAX_DECIMALS)
_NOT_A_NUMBER = Decimal("NaN")
_DIRECTIONS = {"BUY": Direction.BUY, "SELL": Direction.SELL, "0": Direction.BUY, "1": Direction.SELL}
"""0 and 1 are MetaTrader's."""


def _exact(text: str) -> Decimal:
    return Decimal(text) if _NUMBER.fullmatch(text) else _NOT_A_NUMBER


_DECODER = msgspec.json.Decoder(float_hook=_exact)


class NotJson(UnreadableAnswer):
    """Not even JSON."""


def decode(data: bytes) -> object:
    """``data`` as JSON values, fractions as exact decimals. Raises NotJson."""
    if len(data) > MAX_ANSWER_BYTES:
        raise NotJson("too large to be an answer")
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(f"not JSON: {error}") from None


def number(value: object, name: str) -> Decimal:
    """A finite number below 10^15, given as a JSON number or as text, rounded to 10 decimals."""
    if isinstance(value, str):
        value = _exact(value.strip()) if len(value) <= MAX_TEXT_CHARS else _NOT_A_NUMBER
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise UnreadableAnswer(f"{name} is not a number")
    exact = Decimal(value)
    if not exact.is_finite() or exact.adjusted() >= MAX_WHOLE_DIGITS:
        raise UnreadableAnswer(f"{name} is not a number that can be")
    exponent = exact.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_DECIMALS:
        exact = exact.quantize(_QUANTUM, ROUND_HALF_EVEN)
    return exact or Decimal(0)


def identifier(value: object, name: str) -> str:
    """An id as text, whether it came as text or as an integer; "" when it is null, 0 or empty.

    A fraction is unreadable: a float has already lost the digits of a large id.
    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnreadableAnswer(f"{name} is not an identifier")
    text = str(value).strip()
    if len(text) > MAX_ID_CHARS or not text.isprintable():
        raise UnreadableAnswer(f"{name} is not an identifier")
    return "" if text == "0" else text


class Row:
    """One JSON object, read by the contract's names."""

    __slots__ = ("_where", "values")

    def __init__(self, value: object, where: str = "the answer") -> None:
        if not isinstance(value, dict):
            raise UnreadableAnswer(f"{where} is not an object")
        self.values: dict[str, Any] = value
        self._where = where

    def _name(self, name: str) -> str:
        return f"{self._where}: {name}"

    def raw(self, name: str) -> object:
        """The first value under any of the field's names that is not null; None when there is none."""
        for alias in ALIASES.get(name, (name,)):
            value: object = self.values.get(alias)
            if value is not None:
                return value
        return None

    def has(self, name: str) -> bool:
        """Whether the field is there under any of its names, be it as null."""
        return any(alias in self.values for alias in ALIASES.get(name, (name,)))

    def number(self, name: str) -> Decimal:
        """A number that must be there."""
        return number(self.raw(name), self._name(name))

    def optional_number(self, name: str) -> Decimal | None:
        """A number, or None when it is null or absent."""
        value = self.raw(name)
        return None if value is None else number(value, self._name(name))

    def positive(self, name: str) -> Decimal:
        """A number above zero that must be there."""
        value = self.number(name)
        if value <= 0:
            raise UnreadableAnswer(f"{self._name(name)} is not above zero")
        return value

    def not_negative(self, name: str) -> Decimal:
        """A number not below zero that must be there."""
        value = self.number(name)
        if value < 0:
            raise UnreadableAnswer(f"{self._name(name)} is below zero")
        return value

    def level(self, name: str) -> Decimal | None:
        """A price, or None when it is null, absent or 0: all three mean that no level is set."""
        value = self.optional_number(name)
        if value is None or value == 0:
            return None
        if value < 0:
            raise UnreadableAnswer(f"{self._name(name)} is below zero")
        return value

    def identifier(self, name: str) -> str:
        """An id that must be there."""
        text = self.optional_identifier(name)
        if not text:
            raise UnreadableAnswer(f"{self._name(name)} is missing")
        return text

    def optional_identifier(self, name: str) -> str:
        """An id, or "" when it is null, absent, 0 or empty."""
        return identifier(self.raw(name), self._name(name))

    def name(self, name: str) -> str:
        """A short text that must be there: a symbol, a currency."""
        value = self.raw(name)
        if not isinstance(value, str):
            raise UnreadableAnswer(f"{self._name(name)} is missing")
        text = value.strip()
        if not text or len(text) > MAX_ID_CHARS or not text.isprintable():
            raise UnreadableAnswer(f"{self._name(name)} is not a name")
        return text

    def text(self, name: str, max_chars: int = MAX_TEXT_CHARS) -> str:
        """Free text, cut at ``max_chars``; "" when null or absent. NUL, which no database takes, is replaced."""
        value = self.raw(name)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise UnreadableAnswer(f"{self._name(name)} is not text")
        return str(value)[:max_chars].replace("\x00", "\ufffd")

    def direction(self, name: str = "direction") -> Direction:
        """BUY or SELL in any case, or MetaTrader's 0 and 1."""
        value = self.raw(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            found = _DIRECTIONS.get(str(value).strip().upper())
            if found is not None:
                return found
        raise UnreadableAnswer(f"{self._name(name)} is neither BUY nor SELL")

    def flag(self, name: str) -> bool:
        """A boolean that must be there."""
        value = self.raw(name)
        if not isinstance(value, bool):
            raise UnreadableAnswer(f"{self._name(name)} is not true or false")
        return value

    def time(self, name: str) -> datetime:
        """A time that must be there."""
        return read_time(self.raw(name), self._name(name))

    def optional_time(self, name: str) -> datetime | None:
        """A time, or None when it is null or absent."""
        value = self.raw(name)
        return None if value is None else read_time(value, self._name(name))

    def epoch_ms(self, name: str) -> int:
        """A time that must be there, in epoch milliseconds."""
        return read_epoch_ms(self.raw(name), self._name(name))

    def rows(self, name: str) -> list["Row"]:
        """A list of objects that must be there; one that is none makes the whole list unreadable."""
        value = self.raw(name)
        if not isinstance(value, list):
            raise UnreadableAnswer(f"{self._name(name)} is not a list")
        return [Row(item, f"{name}[{index}]") for index, item in enumerate(value)]
