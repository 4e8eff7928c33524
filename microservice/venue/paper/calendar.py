"""The trading day: it turns at 17:00 New York, 21:00 or 22:00 UTC with American summer time.

The summer-time rule (second Sunday of March to first Sunday of November, since 2007) is written out here because a
time-zone database is not part of every machine this runs on.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from microservice.venue.model import Timeframe

DAY_S = 86_400
_HOUR_S = 3_600
_FIXED_PERIODS_S = {
    Timeframe.M1: 60,
    Timeframe.M5: 300,
    Timeframe.M15: 900,
    Timeframe.M30: 1_800,
    Timeframe.H1: _HOUR_S,
}
_WEDNESDAY = 2
_SATURDAY = 5


def _sunday(year: int, month: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))


@lru_cache(maxsize=512)
def _close_of(day: date) -> int:
    """Epoch seconds of 17:00 New York on a calendar day."""
    summer = _sunday(day.year, 3, 2) <= day < _sunday(day.year, 11, 1)
    return int(datetime(day.year, day.month, day.day, 21 if summer else 22, tzinfo=UTC).timestamp())


@lru_cache(maxsize=512)
def _day_open_of_hour(hour_start_s: int) -> int:
    today = datetime.fromtimestamp(hour_start_s, UTC).date()
    close = _close_of(today)
    return close if hour_start_s >= close else _close_of(today - timedelta(days=1))


def day_open_s(time_s: int) -> int:
    """Return the opening of the trading day that holds ``time_s`` (the turn falls on a whole hour)."""
    return _day_open_of_hour(time_s - time_s % _HOUR_S)


def bar_open_s(timeframe: Timeframe, time_s: int) -> int:
    """Return the opening of the bar that holds ``time_s``. H4 and D1 count from the turn of the trading day."""
    period = _FIXED_PERIODS_S.get(timeframe)
    if period is not None:
        return time_s - time_s % period
    opened = day_open_s(time_s)
    if timeframe is Timeframe.D1:
        return opened
    return opened + (time_s - opened) // (4 * _HOUR_S) * (4 * _HOUR_S)


def rollovers_between(after_s: int, until_s: int) -> list[tuple[int, int]]:
    """List the swap rollovers in ``(after_s, until_s]`` as (epoch seconds, nights charged).

    Monday to Friday at the turn of the day; Wednesday charges three nights, for the weekend too.
    """
    found: list[tuple[int, int]] = []
    day = datetime.fromtimestamp(after_s, UTC).date() - timedelta(days=1)
    last = datetime.fromtimestamp(until_s, UTC).date()
    while day <= last:
        moment = _close_of(day)
        if after_s < moment <= until_s and day.weekday() < _SATURDAY:
            found.append((moment, 3 if day.weekday() == _WEDNESDAY else 1))
        day += timedelta(days=1)
    return found
