"""Single fields: aliases, odd spellings, and what is none of them."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrader_app.domain.facts import Direction
from ctrader_app.wire.errors import MAX_DETAIL_CHARS, UnreadableAnswer
from ctrader_app.wire.fields import ALIASES, NotJson, Row, decode, identifier, number


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (1, "1"),
        ("1.10", "1.1"),
        (" -0.5 ", "-0.5"),
        ("1e2", "100"),
        (Decimal("1.2345678901"), "1.2345678901"),
        (Decimal("0.30000000000000004"), "0.3"),
        ("-0.0", "0"),
        (999_999_999_999_999, "999999999999999"),
    ],
)
def test_numbers(written: object, read: str) -> None:
    assert number(written, "n") == Decimal(read)
    assert not number(written, "n").is_signed() or read.startswith("-")


@pytest.mark.parametrize(
    "written",
    [
        None, True, "", "x", "NaN", "Infinity", "-inf", "1_000", "0x10", "\u0661", "1e999", "1e-1e", "1" * 41,
        10**15, Decimal("NaN"), Decimal("Infinity"), Decimal("1E+15"), [], {}, "9" * 600,
    ],
)  # fmt: skip
def test_what_is_no_number(written: object) -> None:
    with pytest.raises(UnreadableAnswer):
        number(written, "n")


@given(st.decimals(min_value=-(10**14), max_value=10**14, allow_nan=False, places=10))
def test_numbers_arrive_exactly_through_json(value: Decimal) -> None:
    assert number(decode(str(value).encode()), "n") == value
    assert number(str(value), "n") == value


@pytest.mark.parametrize(
    ("written", "read"), [(12, "12"), ("12", "12"), (" a-b ", "a-b"), (None, ""), (0, ""), ("0", ""), ("", "")]
)
def test_identifiers(written: object, read: str) -> None:
    assert identifier(written, "id") == read


@pytest.mark.parametrize("written", [True, False, 1.5, Decimal("12.0"), [], {}, "a\x00b", "x" * 65, "a\nb", 10**70])
def test_what_is_no_identifier(written: object) -> None:
    with pytest.raises(UnreadableAnswer):
        identifier(written, "id")


@pytest.mark.parametrize(
    ("written", "read"),
    [("BUY", "BUY"), ("buy", "BUY"), (" Sell ", "SELL"), (0, "BUY"), (1, "SELL"), ("0", "BUY"), ("1", "SELL")],
)
def test_directions(written: object, read: str) -> None:
    assert Row({"direction": written}).direction() is Direction(read)


@pytest.mark.parametrize("written", [None, True, False, 2, "", "HOLD", "pending_order", Decimal("0.0"), []])
def test_what_is_no_direction(written: object) -> None:
    with pytest.raises(UnreadableAnswer):
        Row({"direction": written}).direction()


def test_zero_and_null_mean_no_level() -> None:
    for written in (None, 0, "0", "0.0", Decimal("0.00")):
        assert Row({"sl": written}).level("stop_loss") is None
    assert Row({}).level("stop_loss") is None
    assert Row({"sl": "1.5"}).level("stop_loss") == Decimal("1.5")
    with pytest.raises(UnreadableAnswer):
        Row({"sl": -1}).level("stop_loss")


def test_every_alias_is_read_and_the_contracts_own_name_wins() -> None:
    for name, aliases in ALIASES.items():
        for alias in aliases:
            assert Row({alias: "here"}).raw(name) == "here"
        both: dict[str, Any] = {alias: index for index, alias in enumerate(aliases)}
        assert Row(dict(reversed(both.items()))).raw(name) == 0
        assert Row({aliases[0]: None, aliases[-1]: 9}).raw(name) == 9


def test_free_text_is_cut_and_made_fit_for_a_database() -> None:
    assert Row({"comment": "a\x00b"}).text("comment") == "a\ufffdb"
    assert len(Row({"comment": "x" * 9999}).text("comment")) == 512
    assert Row({"comment": 12}).text("comment") == "12"
    assert Row({"comment": None}).text("comment") == Row({}).text("comment") == ""
    with pytest.raises(UnreadableAnswer):
        Row({"comment": {}}).text("comment")


def test_what_is_not_json() -> None:
    for data in (b"", b"{", b"\xff", b"<html>", b"NaN", b"[" * 100_000, b"1" * 6000, b'"\\ud800"'):
        with pytest.raises(NotJson):
            decode(data)


def test_reasons_stay_short_whatever_was_sent() -> None:
    with pytest.raises(UnreadableAnswer) as caught:
        Row([], "x" * 10_000)
    assert len(caught.value.reason) <= MAX_DETAIL_CHARS
