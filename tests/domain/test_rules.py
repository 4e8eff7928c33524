"""The pure rules: states, outcomes, keys, intents and numbers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import TradeRequest
from connectors.errors import InvalidRequestError
from ctrader_app.domain.idempotency import checked_key, fingerprint
from ctrader_app.domain.intents import CancelIntent, CloseIntent, Intent, ModifyIntent, PlaceIntent, intent_of
from ctrader_app.domain.numbers import plain, to_decimal
from ctrader_app.domain.operations import FINAL, TRANSITIONS, State, sources
from ctrader_app.domain.outcomes import NotSent, Refused, Unknown, outcome_of_error


def place(**fields: object) -> PlaceIntent:
    """A market order, changed as the test says."""
    request = {"symbol": "EURUSD", "lot_size": 0.1, "direction": "BUY", **fields}
    return PlaceIntent.of_request(TradeRequest(**request))  # type: ignore[arg-type]


def test_every_state_has_a_row_and_final_states_have_no_way_out() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {state for state, targets in TRANSITIONS.items() if not targets} == FINAL


def test_nothing_in_doubt_is_ever_sent_again() -> None:
    assert State.SENDING not in TRANSITIONS[State.IN_DOUBT]
    assert State.QUEUED not in TRANSITIONS[State.IN_DOUBT]
    assert sources(State.SENDING) == {State.QUEUED}


def test_time_alone_resolves_no_doubt() -> None:
    assert State.EXPIRED not in TRANSITIONS[State.IN_DOUBT]


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_keeps_its_code(status: int) -> None:
    assert outcome_of_error(status, "NO_MONEY", "none left", None, "") == Refused("NO_MONEY", "none left")


@pytest.mark.parametrize("status", [401, 403])
def test_authentication_is_told_apart_from_a_refusal(status: int) -> None:
    outcome = outcome_of_error(status, "WHATEVER", "", None, "")
    assert isinstance(outcome, Refused)
    assert outcome.code == "AUTHENTICATION_FAILED"


def test_only_a_stated_wait_proves_that_nothing_was_executed() -> None:
    for status in (429, 503):
        assert outcome_of_error(status, "BUSY", "", 2.0, "") == NotSent("BUSY", 2.0)
        assert isinstance(outcome_of_error(status, "BUSY", "", None, ""), Unknown)


@given(st.integers(100, 599), st.text(max_size=20), st.none() | st.floats(0, 1e9))
def test_every_other_answer_is_unknown(status: int, code: str, retry_after: float | None) -> None:
    outcome = outcome_of_error(status, code, "", retry_after, "what came")
    if status not in {400, 401, 403, 404, 409, 422, 429, 503}:
        assert outcome == Unknown(code or f"HTTP_{status}", "what came")
    assert outcome_of_error(409, "IDEMPOTENCY_IN_PROGRESS", "", None, "") == Unknown("IDEMPOTENCY_IN_PROGRESS", "")


@pytest.mark.parametrize("key", ["", "   ", "x" * 10_000, "a\nb", "a\x00b"])
def test_keys_that_name_nothing_are_refused(key: str) -> None:
    with pytest.raises(InvalidRequestError):
        checked_key(key)


def test_a_key_may_be_any_printable_text() -> None:
    assert checked_key("Auftrag für Müller №7 🚀") == "Auftrag für Müller №7 🚀"


def test_a_fingerprint_sees_values_not_spellings() -> None:
    one, other = place(lot_size="0.10", direction="buy"), place(lot_size=0.1)
    assert fingerprint("place", one.parameters()) == fingerprint("place", other.parameters())
    assert fingerprint("place", one.parameters()) != fingerprint("place", place(lot_size="0.2").parameters())


BAD_ORDERS: list[dict[str, object]] = [
    {"lot_size": 0},
    {"lot_size": -0.1},
    {"lot_size": "nan"},
    {"lot_size": float("nan")},
    {"lot_size": float("inf")},
    {"lot_size": "Infinity"},
    {"lot_size": "0.00000000000000000001"},
    {"lot_size": "much"},
    {"lot_size": True},
    {"lot_size": "9" * 60},
    {"lot_size": 10**30},
    {"lot_size": "1e999999999"},
    {"lot_size": "1e-999999999"},
    {"stop_loss": Decimal("1e-999999999")},
    {"lot_size": Decimal("12345678901234567890.12345678901")},
    {"lot_size": Decimal("1" * 60_000)},
    {"lot_size": Decimal("0.1" + "0" * 60_000 + "1")},
    {"direction": "UP"},
    {"order_type": "MAYBE"},
    {"order_type": "LIMIT"},
    {"limit_price": 1.1},
    {"stop_loss": -1},
    {"stop_loss": 1.0, "sl_distance": 0.1},
    {"symbol": ""},
    {"symbol": "E" * 65},
    {"symbol": "EUR\nUSD"},
    {"label": "l" * 101},
    {"comment": "c" * 513},
]


@pytest.mark.parametrize("fields", BAD_ORDERS, ids=lambda fields: " ".join(f"{k}={v!r:.20}" for k, v in fields.items()))
def test_what_cannot_be_an_order_is_refused_before_it_is_recorded(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        place(**fields)


def test_float_noise_is_not_a_price() -> None:
    assert to_decimal(1.1 - 0.0003, "price") == Decimal("1.0997")
    assert to_decimal(0.1 + 0.2, "volume") == Decimal("0.3")


@pytest.mark.parametrize("zero", ["0e-999999999", "-0", "0.000000000000000", 0.0])
def test_every_zero_is_the_plain_one(zero: str | float) -> None:
    assert plain(to_decimal(zero, "stop_loss")) == "0"


@given(st.decimals(min_value="0.0000000001", max_value="1000000000", places=10))
def test_plain_text_loses_nothing(number: Decimal) -> None:
    assert Decimal(plain(number)) == number
    assert "E" not in plain(number)


@pytest.mark.parametrize(
    "intent",
    [
        place(order_type="LIMIT", limit_price="1.05", stop_loss="1.0", tp_distance="0.02", label="l", comment="c"),
        place(),
        CloseIntent.of_arguments("7", "EURUSD", "0.1"),
        CloseIntent.of_arguments("7", "", None),
        ModifyIntent.of_arguments("7", "EURUSD", None, 0),
        CancelIntent.of_arguments("9"),
    ],
)
def test_the_ledger_gives_back_the_same_intent(intent: Intent) -> None:
    assert intent_of(intent.kind, intent.parameters()) == intent


def test_a_modify_tells_keeping_from_removing() -> None:
    intent = ModifyIntent.of_arguments("7", "", 0, None)
    assert (intent.stop_loss, intent.take_profit) == (Decimal(0), None)
    with pytest.raises(InvalidRequestError, match="nothing to change"):
        ModifyIntent.of_arguments("7", "", None, None)
