"""The table of failures, and properties that hold for any answer at all."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3 import exceptions as urllib3_errors
from urllib3.connection import HTTPConnection

from connectors.errors import ConnectorError
from ctrader_app.connector import CTraderClient
from ctrader_app.connector.failures import NothingSent, classify
from ctrader_app.connector.transport import OversizedAnswer, parse_retry_after
from ctrader_app.domain.operations import Kind
from ctrader_app.domain.outcomes import Confirmed, NotSent, Refused, Unknown
from tests.connector.conftest import REF, config_of
from tests.connector.scripted import ScriptedServer, raw_answer, reply, send_raw

CONNECTION = HTTPConnection("localhost")

UNKNOWN: list[Exception] = [
    requests.ReadTimeout(urllib3_errors.ReadTimeoutError(None, "/", "too slow")),  # type: ignore[arg-type]
    requests.ConnectionError(urllib3_errors.ProtocolError("aborted", ConnectionResetError(104, "reset"))),
    requests.ConnectionError(urllib3_errors.ProtocolError("aborted", TimeoutError())),
    requests.exceptions.ChunkedEncodingError(urllib3_errors.IncompleteRead(3, 5)),
    requests.exceptions.ContentDecodingError(),
    requests.exceptions.SSLError(urllib3_errors.SSLError(ssl.SSLError("decryption failed"))),
    requests.exceptions.SSLError(ssl.SSLEOFError()),
    requests.ConnectionError(),
    requests.RequestException("?"),
    OversizedAnswer("too much"),
    BrokenPipeError(),
    OSError(9, "bad file descriptor"),
    MemoryError(),
    RuntimeError("unforeseen"),
    ValueError(),
]

NOT_SENT: list[Exception] = [
    NothingSent("bad header"),
    requests.ConnectTimeout(
        urllib3_errors.MaxRetryError(None, "/", urllib3_errors.ConnectTimeoutError())  # type: ignore[arg-type]
    ),
    requests.ConnectionError(
        urllib3_errors.MaxRetryError(
            None,  # type: ignore[arg-type]
            "/",
            urllib3_errors.NewConnectionError(CONNECTION, "refused"),
        )
    ),
    requests.ConnectionError(
        urllib3_errors.MaxRetryError(
            None,  # type: ignore[arg-type]
            "/",
            urllib3_errors.NameResolutionError("x", CONNECTION, OSError()),  # type: ignore[arg-type]
        )
    ),
    requests.exceptions.SSLError(
        urllib3_errors.MaxRetryError(
            None,  # type: ignore[arg-type]
            "/",
            urllib3_errors.SSLError(ssl.SSLCertVerificationError("self-signed")),
        )
    ),
]


@pytest.mark.parametrize("error", UNKNOWN, ids=repr)
def test_what_proves_nothing(error: Exception) -> None:
    assert isinstance(classify(error), Unknown)


@pytest.mark.parametrize("error", NOT_SENT, ids=repr)
def test_what_proves_that_nothing_was_sent(error: Exception) -> None:
    assert isinstance(classify(error), NotSent)


def test_an_error_that_points_at_itself_is_unknown() -> None:
    error = urllib3_errors.MaxRetryError(None, "/", None)  # type: ignore[arg-type]
    error.reason = error
    assert isinstance(classify(error), Unknown)


def test_retry_after() -> None:
    now = datetime(2026, 3, 1, 10, tzinfo=UTC)
    at = now.timestamp()
    for header, wait in {
        "0": 0.0, "7": 7.0, " 7 ": 7.0, "1.5": 1.5,
        format_datetime(now.replace(minute=1), usegmt=True): 60.0,
        format_datetime(now.replace(hour=9), usegmt=True): 0.0,
    }.items():  # fmt: skip
        assert parse_retry_after(header, at) == wait
    for header in ("", "soon", "-5", "1e9", "NaN", "7 seconds", "\u0667", "9" * 100, "Mon, 99 Foo 2026 10:00:00 GMT"):
        assert parse_retry_after(header, at) is None
    assert parse_retry_after(None, at) is None


@pytest.fixture(scope="module")
def lasting() -> Iterator[tuple[ScriptedServer, CTraderClient]]:
    with ScriptedServer() as server, CTraderClient(config_of(server.url), pause=lambda _: None) as client:
        yield server, client


bodies = st.binary(max_size=100) | st.sampled_from(
    [b'{"order_id": "5", "status": "cancelled"}', b'{"error": {"code": "IDEMPOTENCY_IN_PROGRESS"}}', b"{}"]
)
headers = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@settings(deadline=None, max_examples=150)
@given(status=st.integers(200, 599), body=bodies, retry_after=headers)
def test_any_answer_has_an_outcome_and_only_a_readable_2xx_confirms(
    lasting: tuple[ScriptedServer, CTraderClient], status: int, body: bytes, retry_after: str
) -> None:
    server, client = lasting
    before = len(server.requests)
    # 401 and 403 make it connect and repeat; those dialogues have tests of their own.
    status = 400 if status in (401, 403) else status
    body = b"" if status in (204, 304) else body
    server.then(reply(status, body, Retry_After=retry_after))

    outcome = client.write(REF, Kind.CANCEL, {"order_id": "5"}, "k")

    assert len(server.requests) == before + 1
    if isinstance(outcome, Confirmed):
        assert status < 300
        assert b"cancelled" in body
    if isinstance(outcome, Refused):
        assert status in (400, 404, 409, 422) or status < 300
    if isinstance(outcome, NotSent):
        assert status in (429, 503)
    if status >= 500 and status != 503:
        assert isinstance(outcome, Unknown)


@settings(deadline=None, max_examples=100)
@given(data=st.binary(min_size=1, max_size=200), cut=st.none() | st.integers(0, 60))
def test_any_bytes_for_an_answer(lasting: tuple[ScriptedServer, CTraderClient], data: bytes, cut: int | None) -> None:
    server, client = lasting
    whole = raw_answer(200, b'{"order_id": "5", "status": "cancelled"}')
    server.then(send_raw(data if cut is None else whole[:cut]))
    outcome = client.write(REF, Kind.CANCEL, {"order_id": "5"}, "k")
    assert isinstance(outcome, Unknown | NotSent | Refused)
    assert not isinstance(outcome, NotSent) or b"Retry-After" in data

    server.then(*[send_raw(data if cut is None else whole[:cut])] * 3)
    with pytest.raises(ConnectorError):
        client.open_book(REF)
