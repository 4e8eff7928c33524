"""The names of the groups that browsers listen to: one function for the side that sends and the side that joins.

Channels allows ASCII letters, digits, hyphen, underscore and period, and under 100 characters. Ordinary symbols are
themselves; every other character is ``_XX`` for each of its UTF-8 bytes, so that two symbols that differ in more
than ASCII case never share a group. What is too long becomes ``_H`` and a digest: ``H`` is no hexadecimal digit, so
it cannot be mistaken for an escaped name.
"""

import hashlib
import re
from uuid import UUID

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_TO_UPPER = str.maketrans(_LOWER, _LOWER.upper())
_SPECIAL = re.compile(r"[^A-Z0-9.\-]")

# 99 characters, less "candles_", a UUID and two underscores, leave 53 for a symbol and a timeframe.
_SYMBOL_OF_PRICES = 54
_SYMBOL_OF_CANDLES = 36
_TIMEFRAME = 17


def normal_symbol(symbol: str) -> str:
    """The symbol as groups know it: trimmed, ASCII letters upper-cased (other letters have no one upper case)."""
    return symbol.strip().translate(_TO_UPPER)


def normal_timeframe(timeframe: str) -> str:
    """The timeframe as groups know it, by the same rule."""
    return normal_symbol(timeframe)


def price_group(account_id: UUID | str, symbol: str) -> str:
    """``prices_{accountId}_{SYMBOL}``. Raises ValueError when ``account_id`` is not a UUID."""
    return f"prices_{_account(account_id)}_{_part(symbol, _SYMBOL_OF_PRICES)}"


def candle_group(account_id: UUID | str, symbol: str, timeframe: str) -> str:
    """``candles_{accountId}_{SYMBOL}_{TF}``. Raises ValueError when ``account_id`` is not a UUID."""
    name, frame = _part(symbol, _SYMBOL_OF_CANDLES), _part(timeframe, _TIMEFRAME)
    return f"candles_{_account(account_id)}_{name}_{frame}"


def account_group(account_id: UUID | str) -> str:
    """``account_{accountId}``. Raises ValueError when ``account_id`` is not a UUID."""
    return f"account_{_account(account_id)}"


def _account(account_id: UUID | str) -> str:
    return str(account_id if isinstance(account_id, UUID) else UUID(account_id))


def _part(text: str, limit: int) -> str:
    normal = normal_symbol(text)
    escaped = _SPECIAL.sub(_escape, normal)
    if len(escaped) <= limit:
        return escaped
    digest = hashlib.sha256(normal.encode("utf-8", "surrogatepass")).hexdigest().upper()
    return f"_H{digest[: limit - 2]}"


def _escape(match: re.Match[str]) -> str:
    return "".join(f"_{byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))
