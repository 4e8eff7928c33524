"""Bodies that are sent, and the form in which they are kept."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrader_app.domain.facts import Direction, OrderType
from ctrader_app.domain.operations import Kind
from ctrader_app.wire.requests import (
    CancelBody,
    CloseBody,
    ConnectBody,
    ModifyProtectionBody,
    PlaceBody,
    WriteBody,
    encode,
    to_stored,
    write_body_from_stored,
)

amounts = st.decimals(min_value=Decimal("1E-10"), max_value=10**12, allow_nan=False, allow_infinity=False, places=10)
levels = st.none() | amounts
texts = st.text(st.characters(codec="utf-8"), max_size=40)

bodies: st.SearchStrategy[tuple[Kind, WriteBody]] = st.one_of(
    st.tuples(
        st.just(Kind.PLACE),
        st.builds(
            PlaceBody,
            account_id=texts,
            symbol=texts,
            direction=st.sampled_from(Direction),
            volume=amounts,
            order_type=st.sampled_from(OrderType),
            limit_price=levels,
            stop_price=levels,
            stop_loss=levels,
            take_profit=levels,
            sl_distance=levels,
            tp_distance=levels,
            time_in_force=st.none() | texts,
            client_order_id=st.none() | texts,
            label=st.none() | texts,
            comment=st.none() | texts,
            expires_at=st.none() | st.datetimes(timezones=st.just(UTC)),
        ),
    ),
    st.tuples(
        st.just(Kind.CLOSE),
        st.builds(CloseBody, account_id=texts, position_id=texts, symbol=texts, volume=amounts, client_order_id=texts),
    ),
    st.tuples(
        st.just(Kind.MODIFY),
        st.builds(
            ModifyProtectionBody,
            account_id=texts,
            position_id=texts,
            symbol=texts,
            stop_loss=levels,
            take_profit=levels,
        ),
    ),
    st.tuples(st.just(Kind.CANCEL), st.builds(CancelBody, account_id=texts, order_id=texts)),
)


@given(bodies)
def test_what_is_kept_gives_back_exactly_what_is_sent(kind_and_body: tuple[Kind, WriteBody]) -> None:
    kind, body = kind_and_body
    kept = json.loads(json.dumps(to_stored(body)))
    again = write_body_from_stored(kind, kept)
    assert again == body
    assert encode(again) == encode(body)


@given(bodies)
def test_numbers_are_json_numbers_on_the_wire_and_exact(kind_and_body: tuple[Kind, WriteBody]) -> None:
    _, body = kind_and_body
    sent = json.loads(encode(body), parse_float=Decimal, parse_int=Decimal)
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if isinstance(value, Decimal):
            assert sent[name] == value
            assert isinstance(sent[name], Decimal)


def test_the_body_of_an_order() -> None:
    body = PlaceBody(
        account_id="1",
        symbol="EURUSD",
        direction=Direction.SELL,
        volume=Decimal("0.10"),
        order_type=OrderType.LIMIT,
        limit_price=Decimal("1.2"),
        expires_at=datetime(2026, 3, 1, 10, tzinfo=UTC),
    )
    assert json.loads(encode(body)) == {
        "account_id": "1",
        "symbol": "EURUSD",
        "direction": "SELL",
        "volume": 0.1,
        "order_type": "LIMIT",
        "limit_price": 1.2,
        "expires_at": "2026-03-01T10:00:00Z",
    }


def test_both_levels_of_a_modification_are_always_sent() -> None:
    body = ModifyProtectionBody(account_id="1", position_id="2", symbol="X", stop_loss=None, take_profit=None)
    assert json.loads(encode(body)) == {
        "account_id": "1",
        "position_id": "2",
        "symbol": "X",
        "stop_loss": None,
        "take_profit": None,
    }
    assert to_stored(body)["stop_loss"] is None


def test_the_access_token_is_sent_but_never_shown() -> None:
    body = ConnectBody(account_id="1", internal_account_id="u", access_token="hush")
    assert json.loads(encode(body))["access_token"] == "hush"
    assert "hush" not in repr(body) + str(body)
    assert "access_token" not in json.loads(encode(ConnectBody(account_id="1", internal_account_id="u")))


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"account_id": "1"},
        {"account_id": "1", "position_id": "2", "symbol": "X", "volume": "NaN"},
        {"account_id": "1", "position_id": "2", "symbol": "X", "volume": "Infinity"},
        {"account_id": "1", "position_id": "2", "symbol": "X", "volume": []},
        {"account_id": 1, "position_id": "2", "symbol": "X", "volume": "1"},
    ],
)
def test_what_is_no_stored_body_is_a_value_error(stored: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        write_body_from_stored(Kind.CLOSE, stored)
