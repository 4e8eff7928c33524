"""Times as services write them."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrader_app.wire.errors import UnreadableAnswer
from ctrader_app.wire.times import read_epoch_ms, read_time

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01T10:00:00Z",
        "2026-03-01T10:00:00+00:00",
        "2026-03-01T12:00:00+02:00",
        "2026-03-01T10:00:00",
        "2026-03-01 10:00:00",
        "2026-03-01T10:00:00.000Z",
        1_772_359_200,
        1_772_359_200_000,
        Decimal("1772359200.0"),
        1_772_359_200.0,
        "1772359200",
        "1772359200000",
        "1772359200.0",
    ],
)
def test_one_moment_however_it_is_written(written: object) -> None:
    assert read_time(written, "time") == TEN
    assert read_time(written, "time").tzinfo is UTC
    assert read_epoch_ms(written, "time") == 1_772_359_200_000


def test_fractions_of_a_second_survive() -> None:
    assert read_time("2026-03-01T10:00:00.250001Z", "time") == TEN + timedelta(microseconds=250_001)
    assert read_epoch_ms("2026-03-01T10:00:00.250999Z", "time") == 1_772_359_200_250
    assert read_epoch_ms(Decimal("1772359200.125"), "time") == 1_772_359_200_125


@pytest.mark.parametrize(
    "written",
    [
        None,
        True,
        "",
        "now",
        "soon",
        0,
        -1,
        "0",
        1_772_359_200_000_000,  # microseconds
        1_772_359_200_000_000_000,  # nanoseconds
        946_684_799,
        4_102_444_800,
        4_102_444_800_000,
        "1999-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "20260301",
        "2026-13-01T00:00:00Z",
        "\uff12\uff10\uff12\uff16-03-01",
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        10**400,
        [],
        {},
    ],
)
def test_what_is_no_market_time_is_refused_and_never_becomes_now(written: object) -> None:
    with pytest.raises(UnreadableAnswer):
        read_time(written, "time")
    with pytest.raises(UnreadableAnswer):
        read_epoch_ms(written, "time")


@given(
    moment=st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)),  # noqa: DTZ001 - the zone is drawn below
    offset_min=st.integers(-14 * 60, 14 * 60),
)
def test_every_offset_gives_the_same_moment(moment: datetime, offset_min: int) -> None:
    aware = moment.replace(tzinfo=UTC)
    written = aware.astimezone(timezone(timedelta(minutes=offset_min))).isoformat()

    assert read_time(written, "time") == aware
    assert read_epoch_ms(written, "time") == (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(st.integers(946_684_800, 4_102_444_799))
def test_seconds_and_milliseconds_are_never_confused(epoch_s: int) -> None:
    assert read_epoch_ms(epoch_s, "time") == read_epoch_ms(epoch_s * 1000, "time") == epoch_s * 1000
