"""Every parser gives a value or its one error, for any bytes, any JSON, and any bent copy of a good answer."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctrader_app.wire import answers
from ctrader_app.wire.errors import BadEvent, UnreadableAnswer
from ctrader_app.wire.events import parse_event
from ctrader_app.wire.fields import ALIASES
from tests.wire import samples
from tests.wire.test_write_answers import CANCEL, CLOSE, MODIFY, PLACE

PARSERS: dict[str, tuple[Callable[[bytes], object], Any]] = {
    "account": (answers.parse_account, samples.ACCOUNT),
    "book": (answers.parse_book, samples.BOOK),
    "price": (lambda data: answers.parse_price(data, "EURUSD"), samples.PRICE),
    "candles": (answers.parse_candles, samples.CANDLES),
    "symbol": (lambda data: answers.parse_symbol(data, "EURUSD"), samples.SYMBOL),
    "sync": (lambda data: answers.parse_sync(data, "101", "EURUSD"), samples.SYNC),
    "session": (answers.parse_session, {"session_id": "s"}),
    "done": (answers.parse_done, {"status": "ok"}),
    "place": (lambda data: answers.parse_place(data, PLACE), samples.PLACED),
    "close": (lambda data: answers.parse_close(data, CLOSE), samples.CLOSED),
    "modify": (lambda data: answers.parse_modify(data, MODIFY), samples.PROTECTED),
    "cancel": (lambda data: answers.parse_cancel(data, CANCEL), samples.CANCELLED),
    "error": (answers.parse_error, {"error": {"code": "X", "message": "y"}}),
    **{kind: (parse_event, samples.event(kind)) for kind in samples.PAYLOADS},
}

known_names = st.sampled_from(
    sorted(
        {alias for aliases in ALIASES.values() for alias in aliases} | {"error", "status", "detail", "payload", "type"}
    )
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**310)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(["NaN", "1e999", "0", "-1", "BUY", "rejected", "filled", "pending_order", "2026-03-01T10:00:00Z"])
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(known_names | st.text(max_size=8), inner, max_size=6),
    max_leaves=12,
)


def settle(name: str, data: bytes) -> None:
    with contextlib.suppress(UnreadableAnswer, BadEvent):
        PARSERS[name][0](data)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value inside a JSON value, itself excluded."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, each in inner for found in [(*path, key), *places(each, (*path, key))]]


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=200))
def test_any_bytes(name: str, data: bytes) -> None:
    settle(name, data)


@pytest.mark.parametrize("name", PARSERS)
@given(value=json_values)
def test_any_json(name: str, value: object) -> None:
    settle(name, json.dumps(value).encode())


@pytest.mark.parametrize("name", PARSERS)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bent_copy_of_a_good_one(name: str, data: st.DataObject) -> None:
    value = json.loads(json.dumps(PARSERS[name][1]))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(value)))
        holder = value
        for step in path[:-1]:
            holder = holder[step]
        if data.draw(st.booleans()) or not isinstance(holder, dict):
            holder[path[-1]] = data.draw(json_values)
        else:
            del holder[path[-1]]
        if not places(value):
            break
    settle(name, json.dumps(value).encode())


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_any_cut_or_flipped_copy_of_a_good_one(name: str, data: st.DataObject) -> None:
    body = bytearray(json.dumps(PARSERS[name][1]).encode())
    at = data.draw(st.integers(0, len(body) - 1))
    if data.draw(st.booleans()):
        del body[at:]
    else:
        body[at] = data.draw(st.integers(0, 255))
    settle(name, bytes(body))


def test_numbers_written_at_great_length() -> None:
    for text in ("1" * 5000, "0." + "1" * 5000, "1e99999", "-" + "9" * 4000, "1" + "0" * 400):
        for name, (_, sample) in PARSERS.items():
            for path in places(sample):
                value = json.loads(json.dumps(sample))
                holder = value
                for step in path[:-1]:
                    holder = holder[step]
                holder[path[-1]] = "@"
                settle(name, json.dumps(value).replace('"@"', text).encode())
