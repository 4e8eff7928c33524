"""Exact numbers out of whatever callers and services write."""

import math
from decimal import Decimal, InvalidOperation

from connectors.base import Number
from connectors.errors import InvalidRequestError

FLOAT_DECIMALS = 8
"""Binary floats are read at this many decimals: 1.1 - 0.0003 means 1.0997, and no venue quotes finer."""

MAX_DECIMALS = 10
MAX_DIGITS = 20
"""Bounds on what is taken exactly; beyond them a figure is a mistake, not a price."""


def to_decimal(value: Number, name: str) -> Decimal:
    """``value`` as an exact decimal; ``name`` is for the error. Raises InvalidRequestError."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise InvalidRequestError(f"{name} must be a number, got {type(value).__name__}")
    number = _from_float(value, name) if isinstance(value, float) else _exact(value, name)
    if not number.is_finite():
        raise InvalidRequestError(f"{name} must be finite, got {number}")
    if number == 0:
        return Decimal(0)
    # Judged by the exponent before it is written out: 1e-999999999 would be a gigabyte of zeros.
    if number.adjusted() >= MAX_DIGITS:
        raise InvalidRequestError(f"{name} is out of range")
    if number.adjusted() < -MAX_DECIMALS or len(plain(number).partition(".")[2]) > MAX_DECIMALS:
        raise InvalidRequestError(f"{name} has more than {MAX_DECIMALS} decimals")
    return number


def positive(value: Number, name: str) -> Decimal:
    """:func:`to_decimal`, above zero."""
    number = to_decimal(value, name)
    if number <= 0:
        raise InvalidRequestError(f"{name} must be above zero, got {number}")
    return number


def optional_positive(value: Number | None, name: str) -> Decimal | None:
    """:func:`positive`; None, and the 0 with which MT5 callers say "none", are None."""
    if value is None:
        return None
    number = to_decimal(value, name)
    return None if number == 0 else positive(number, name)


def plain(number: Decimal) -> str:
    """The one text of a number: no exponent, no trailing zeros (0.10 and 0.1 are the same intent)."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _from_float(value: float, name: str) -> Decimal:
    if not math.isfinite(value):
        raise InvalidRequestError(f"{name} must be finite, got {value}")
    return Decimal(repr(round(value, FLOAT_DECIMALS)))


def _exact(value: int | Decimal | str, name: str) -> Decimal:
    if isinstance(value, str) and len(value) > 2 * MAX_DIGITS:
        raise InvalidRequestError(f"{name} is too long to be a number")
    try:
        return Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        raise InvalidRequestError(f"{name} must be a number, got {value!r}") from None
