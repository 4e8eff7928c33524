"""Times as services write them."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ctrader_app.wire.errors import UnreadableAnswer

EARLIEST_S = 946_684_800
"""2000-01-01 UTC."""

LATEST_S = 4_102_444_800
"""2100-01-01 UTC. No market time lies outside, and inside, epoch seconds and milliseconds cannot be confused."""

MAX_ISO_CHARS = 40

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_epoch_ms(value: object, name: str) -> int:
    """Epoch milliseconds from ISO-8601 (``Z``, an offset, or naive, which means UTC), epoch s or epoch ms.

    Which of the two epochs it is follows from the size. Anything else, and any time outside 2000 to 2100 (so also
    micro- and nanoseconds), is unreadable: it is never replaced by "now".
    """
    if isinstance(value, str):
        return _from_text(value, name)
    return _from_number(value, name)


def read_time(value: object, name: str) -> datetime:
    """:func:`read_epoch_ms` as an aware datetime in UTC, with the microseconds that ISO text may carry."""
    if isinstance(value, str) and (moment := _iso(value)) is not None:
        return in_range(moment, name)
    return _EPOCH + timedelta(milliseconds=read_epoch_ms(value, name))


def in_range(moment: datetime, name: str) -> datetime:
    """``moment`` in UTC (naive means UTC); unreadable outside 2000 to 2100."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif moment.tzinfo is not UTC:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise UnreadableAnswer(f"{name} is not a time of this century") from None
    if not 2000 <= moment.year < 2100:
        raise UnreadableAnswer(f"{name} is not a time of this century")
    return moment


def _iso(text: str) -> datetime | None:
    if len(text) > MAX_ISO_CHARS or not text.isascii() or "-" not in text[1:]:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _from_text(text: str, name: str) -> int:
    moment = _iso(text)
    if moment is not None:
        moment = in_range(moment, name)
        return int(moment.timestamp()) * 1000 + moment.microsecond // 1000
    whole, _, fraction = text.strip().partition(".")
    if len(text) <= MAX_ISO_CHARS and text.isascii() and whole.isdigit() and (not fraction or fraction.isdigit()):
        return _from_number(Decimal(text.strip()), name)
    raise UnreadableAnswer(f"{name} is not a time")


def _from_number(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnreadableAnswer(f"{name} is not a time")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise UnreadableAnswer(f"{name} is not a time")
    if EARLIEST_S <= value < LATEST_S:
        return int(value * 1000)
    if EARLIEST_S * 1000 <= value < LATEST_S * 1000:
        return int(value)
    raise UnreadableAnswer(f"{name} is not a time of this century, in seconds or milliseconds")
