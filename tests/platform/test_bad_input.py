"""Bad input at TradingService: nothing is recorded, nothing can be sent."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest

from connectors.base import IdempotencyKeyReusedError, InvalidRequestError, Number
from connectors.trading_service import TradingService
from ctrader_app.models import Operation
from tests.support.operations import make_account

pytestmark = pytest.mark.django_db

NUMBERS: list[Any] = [
    float("nan"),
    float("inf"),
    float("-inf"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    "nan",
    "inf",
    "0.00000000000000000001",
    Decimal("1.10000000000000000001"),
    "1e999999999",
    "1e-999999999",
    10**40,
    -1,
    "-0.1",
    "much",
    "",
    True,
    b"1",
    [1],
    1j,
]


@pytest.fixture
def service() -> TradingService:
    return TradingService(make_account())


def _calls(service: TradingService, number: Number) -> list[Callable[[], object]]:
    place = service.submit_place_trade
    return [
        lambda: place("EURUSD", number, "BUY"),
        lambda: place("EURUSD", 0.1, "BUY", stop_loss=number),
        lambda: place("EURUSD", 0.1, "BUY", take_profit=number),
        lambda: place("EURUSD", 0.1, "BUY", order_type="LIMIT", limit_price=number),
        lambda: place("EURUSD", 0.1, "BUY", sl_distance=number),
        lambda: place("EURUSD", 0.1, "BUY", tp_distance=number),
        lambda: service.submit_close_position("7", number, "EURUSD"),
        lambda: service.submit_modify_position_protection("7", "EURUSD", number, None),
        lambda: service.submit_modify_position_protection("7", "EURUSD", 1.1, number),
    ]


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_a_number_that_is_none_is_refused_by_every_write(service: TradingService, number: Any) -> None:
    for call in _calls(service, number):
        with pytest.raises(InvalidRequestError):
            call()
    assert not Operation.objects.exists()


def test_numbers_as_text_are_the_same_numbers(service: TradingService) -> None:
    spellings: list[tuple[Number, Number]] = [
        ("0.10", "1.05"),
        (0.1, 1.05),
        (Decimal("0.1"), "1.0500"),
        (" 0.1 ", 0.7 + 0.35),
    ]
    ids = {
        service.submit_place_trade("EURUSD", lots, "BUY", stop_loss=stop, idempotency_key="k").operation_id
        for lots, stop in spellings
    }
    assert len(ids) == 1


@pytest.mark.parametrize("key", ["", "  ", "k" * 201, "k" * 10_000, "a\nb", "a\x00b", "\ud800", b"k", 7, True])
def test_a_key_that_names_nothing_is_refused(service: TradingService, key: object) -> None:
    with pytest.raises(InvalidRequestError):
        service.submit_place_trade("EURUSD", 0.1, "BUY", idempotency_key=cast("str", key))
    assert not Operation.objects.exists()


@pytest.mark.parametrize("key", ["k" * 200, "Auftrag für Müller №7 🚀", "ключ", "a b", "e\u0301", "'; --"])
def test_any_other_text_is_a_key(service: TradingService, key: str) -> None:
    one, again = (service.submit_place_trade("EURUSD", 0.1, "BUY", idempotency_key=key) for _ in range(2))
    assert one.operation_id == again.operation_id
    with pytest.raises(IdempotencyKeyReusedError):
        service.submit_close_position("7", None, "EURUSD", idempotency_key=key)
    assert Operation.objects.get().idempotency_key == key


def test_equal_keys_of_two_accounts_do_not_meet(service: TradingService) -> None:
    other = TradingService(make_account())
    one = service.submit_place_trade("EURUSD", 0.1, "BUY", idempotency_key="k")
    two = other.submit_place_trade("EURUSD", 0.2, "SELL", idempotency_key="k")
    assert one.operation_id != two.operation_id
