"""Group names: legal, injective up to ASCII case, and plain for ordinary symbols."""

import uuid

import pytest
from channels.layers import BaseChannelLayer
from hypothesis import example, given
from hypothesis import strategies as st

from ctrader_app.broadcast.groups import account_group, candle_group, normal_symbol, normal_timeframe, price_group

ACCOUNT = uuid.UUID("3f8f6f9e-0b53-4f0e-9d3e-3f1e0b7a4c11")
OTHER = uuid.UUID("9a3c6f4b-6a39-47a0-8d8c-77aa1c0c9d22")

symbols = st.text(min_size=1, max_size=80)
accounts = st.sampled_from([ACCOUNT, OTHER])
# Close to each other on purpose: escapes, digests and separators are where names could meet.
tricky = st.text(alphabet="aA_bH#/. -+Ää0123456789ABCDEF", min_size=1, max_size=12) | symbols
frames = st.sampled_from(["M1", "m1", "H4", "_", "M_1", "1_M1", "D1"]) | st.text(min_size=1, max_size=12)


@given(tricky, accounts, frames)
@example("_" * 64, ACCOUNT, "M1")
@example("\ud800", ACCOUNT, "M1")
def test_every_name_is_one_that_channels_takes(symbol: str, account: uuid.UUID, frame: str) -> None:
    layer = BaseChannelLayer()
    for name in (price_group(account, symbol), candle_group(account, symbol, frame), account_group(account)):
        assert layer.require_valid_group_name(name)


@given(tricky, tricky)
@example("_H", "_H")
@example("#AAPL", "_23AAPL")
@example("a" * 60, "A" * 60)
def test_two_symbols_share_a_group_only_when_they_differ_in_ascii_case_alone(one: str, other: str) -> None:
    same = normal_symbol(one) == normal_symbol(other)
    assert (price_group(ACCOUNT, one) == price_group(ACCOUNT, other)) is same
    assert (candle_group(ACCOUNT, one, "M1") == candle_group(ACCOUNT, other, "M1")) is same


@given(st.tuples(tricky, frames), st.tuples(tricky, frames))
@example(("EURUSD", "M1_M5"), ("EURUSD_M1", "M5"))
def test_symbol_and_timeframe_cannot_flow_into_each_other(one: tuple[str, str], other: tuple[str, str]) -> None:
    same = [normal_symbol(one[0]), normal_timeframe(one[1])] == [normal_symbol(other[0]), normal_timeframe(other[1])]
    assert (candle_group(ACCOUNT, *one) == candle_group(ACCOUNT, *other)) is same


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", min_size=1, max_size=30))
def test_ordinary_symbols_are_themselves(symbol: str) -> None:
    assert price_group(ACCOUNT, symbol) == f"prices_{ACCOUNT}_{symbol}"
    assert candle_group(ACCOUNT, symbol, "H4") == f"candles_{ACCOUNT}_{symbol}_H4"


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("eurusd", "EURUSD"),
        ("US500.cash", "US500.CASH"),
        ("#AAPL", "_23AAPL"),
        ("BTC/USD", "BTC_2FUSD"),
        ("GER40+", "GER40_2B"),
        ("A_B", "A_5FB"),
        (" EURUSD ", "EURUSD"),
        ("ß", "_C3_9F"),
    ],
)
def test_known_symbols(symbol: str, expected: str) -> None:
    assert price_group(ACCOUNT, symbol) == f"prices_{ACCOUNT}_{expected}"


def test_both_sides_may_give_the_account_as_text_in_any_case() -> None:
    assert price_group(str(ACCOUNT).upper(), "EURUSD") == price_group(ACCOUNT, "EURUSD")
    assert account_group(str(ACCOUNT)) == f"account_{ACCOUNT}"


def test_an_account_that_is_no_uuid_is_an_error() -> None:
    with pytest.raises(ValueError, match="badly formed"):
        price_group("1000001", "EURUSD")
