"""docs/contract.md names everything that crosses a process boundary."""

import inspect
import re

import pytest

from connectors import errors
from connectors.trading_service import TradingService
from ctrader_app.broadcast import messages
from ctrader_app.consumers.sockets import base as socket_base
from ctrader_app.consumers.stream import verdicts
from ctrader_app.ledger import signals
from ctrader_app.tasks import names as task_names
from ctrader_app.wire.endpoints import Endpoint
from ctrader_app.wire.errors import BadEventReason
from ctrader_app.wire.event_types import EventType
from ctrader_app.wire.headers import ACCOUNT_HEADER
from microservice.api.control import Control
from microservice.api.routes import control_routes
from microservice.faults import EventFault, HttpFault
from tests.docs.markdown import ROOT, table_rows

PAGE = ROOT / "docs" / "contract.md"
_PARTS = re.split(r"^## (\d)\. .*$", PAGE.read_text(), flags=re.MULTILINE)
SECTIONS = {int(number): text for number, text in zip(_PARTS[1::2], _PARTS[2::2], strict=True)}


def test_the_sections_are_those_that_code_refers_to() -> None:
    titles = re.findall(r"^## (\d)\. (.*)$", PAGE.read_text(), re.MULTILINE)
    words = ["Settings", "HTTP", "AMQP", "TradingService", "Channels", "JSON API"]
    assert [int(number) for number, _ in titles] == [1, 2, 3, 4, 5, 6]
    assert all(word in title for word, (_, title) in zip(words, titles, strict=True))


@pytest.mark.parametrize("endpoint", Endpoint, ids=lambda endpoint: endpoint.path)
def test_endpoints(endpoint: Endpoint) -> None:
    lines = [line for line in SECTIONS[2].splitlines() if re.search(rf" {endpoint.path}[\s,|]", line)]
    assert any(line.startswith(f"| {endpoint.method} ") for line in lines)


def test_control_endpoints_and_faults() -> None:
    for route in control_routes(Control.__new__(Control)):
        assert f"{route.method} {route.path}" in SECTIONS[2], route
    for fault in (*HttpFault, *EventFault):
        assert f"`{fault}`" in SECTIONS[2], fault


def test_event_types_and_reasons() -> None:
    for kind in EventType:
        assert f"| `{kind.value}` |" in SECTIONS[3], kind
    reasons = [reason.value for reason in BadEventReason] + [verdicts.UNUSABLE_VALUES, verdicts.HANDLER_FAILED]
    assert [reason for reason in reasons if f"`{reason}`" not in SECTIONS[3]] == []


def test_headers_of_events() -> None:
    assert f"`{ACCOUNT_HEADER}`" in SECTIONS[3]


def _calls() -> list[str]:
    members = inspect.getmembers(TradingService, inspect.isfunction)
    return sorted({name.removesuffix("_sync") for name, _ in members if not name.startswith(("_", "submit_"))})


@pytest.mark.parametrize("call", _calls())
def test_calls_of_trading_service(call: str) -> None:
    named = {name.strip() for row in table_rows(PAGE) for name in row[0].split(",")}
    assert call in named


def test_every_write_exists_three_times_and_every_read_twice() -> None:
    writes = {"place_trade", "close_position", "modify_position_protection", "cancel_order"}
    for call in set(_calls()) - {"get_platform_name", "is_platform_supported"}:
        assert inspect.iscoroutinefunction(getattr(TradingService, call))
        assert callable(getattr(TradingService, f"{call}_sync"))
        assert hasattr(TradingService, f"submit_{call}") == (call in writes)


@pytest.mark.parametrize("call", ["place_trade", "close_position", "modify_position_protection", "cancel_order"])
def test_arguments_of_writes(call: str) -> None:
    row = next(row for row in table_rows(PAGE) if row[0] == call)
    given = re.sub(r"\([^)]*\)", "", row[1]).replace("*, ", "")
    parameters = list(inspect.signature(getattr(TradingService, call)).parameters)[1:]
    assert [argument.partition("=")[0].strip() for argument in given.split(",")] == parameters


def test_errors_and_signals() -> None:
    own = [
        name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.ConnectorError)
    ]
    assert [name for name in own if name != "ConnectorError" and name not in SECTIONS[4]] == []
    told = [name for name, value in vars(signals).items() if type(value).__name__ == "Signal"]
    assert told
    assert [name for name in told if f"`{name}`" not in SECTIONS[4]] == []


def test_messages_and_close_codes() -> None:
    for kind, (key, frame) in messages._FRAMES.items():
        assert any(kind in line and key in line and frame in line for line in SECTIONS[5].splitlines()), kind
    codes = [value for name, value in vars(socket_base).items() if name.isupper() and isinstance(value, int)]
    closing = {code for code in codes if code > 1000}
    assert closing == {int(code) for code in re.findall(r"^\| (\d{4}) \|", SECTIONS[5], re.MULTILINE)}


def test_tasks() -> None:
    tasks = [*task_names.OPERATION_TASKS.values()] + [
        value for name, value in vars(task_names).items() if name.isupper() and isinstance(value, str)
    ]
    assert [name for name in tasks if f"`{name}`" not in SECTIONS[6]] == []
