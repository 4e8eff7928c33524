"""The service's endpoints as calls.

Reads are retried a little and then raise; they never answer with something empty that was not said. A write is one
request and one outcome: this module never sends a write twice, but for the one repetition under the same key after a
401 or 403, which prove that the first one was not executed.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar

from connectors.errors import AuthenticationError, ConnectionError, RequestRefusedError  # noqa: A004 - their names
from ctrader_app.connector.config import AccountRef, ConnectorConfig
from ctrader_app.connector.failures import MAX_EVIDENCE_CHARS, classify, reason_of
from ctrader_app.connector.retry import ReadBudget
from ctrader_app.connector.transport import Answer, Transport
from ctrader_app.domain.facts import AccountFigures, CandleFact, OpenBook, PriceFact, SymbolFact, SyncFact
from ctrader_app.domain.operations import Kind
from ctrader_app.domain.outcomes import (
    AUTHENTICATION_FAILED,
    Confirmed,
    NotSent,
    Outcome,
    Refused,
    Unknown,
    outcome_of_error,
)
from ctrader_app.wire import answers, requests
from ctrader_app.wire.answers import BrokerRejection
from ctrader_app.wire.endpoints import Endpoint
from ctrader_app.wire.errors import UnreadableAnswer

T = TypeVar("T")

_WRITES = {
    Kind.PLACE: Endpoint.PLACE,
    Kind.CLOSE: Endpoint.CLOSE,
    Kind.MODIFY: Endpoint.MODIFY_PROTECTION,
    Kind.CANCEL: Endpoint.CANCEL_ORDER,
}

_REFUSALS = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
)


class _Failed(Exception):  # noqa: N818 - one attempt of several
    """One attempt of a read failed in a way that another may not."""

    def __init__(self, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class _Unauthorised(Exception):  # noqa: N818 - a turn of the dialogue, not yet an error
    """The service answered 401 or 403."""


class CTraderClient:
    """Calls of one service, for any number of accounts and threads.

    Reads raise RequestRefusedError (the service's code kept), AuthenticationError, or ConnectionError once the
    attempts of ``retry`` are used up. ``pause`` is how it waits between them.
    """

    def __init__(self, config: ConnectorConfig, pause: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._pause = pause
        self._transport = Transport(config)

    def close(self) -> None:
        """Close the pooled connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- reads -----------------------------------------------------------------------------------------------

    def account_info(self, ref: AccountRef) -> AccountFigures:
        """The account's figures."""
        return self._get(ref, Endpoint.ACCOUNT_INFO, {}, answers.parse_account)

    def open_book(self, ref: AccountRef) -> OpenBook:
        """Open positions and working orders."""
        return self._get(ref, Endpoint.OPEN_POSITIONS, {}, answers.parse_book)

    def symbol_info(self, ref: AccountRef, symbol: str) -> SymbolFact:
        """How a symbol trades."""
        query = {"symbol": symbol}
        return self._get(ref, Endpoint.SYMBOL_INFO, query, lambda data: answers.parse_symbol(data, symbol))

    def price(self, ref: AccountRef, symbol: str) -> PriceFact:
        """The present quote."""
        query = {"symbol": symbol}
        return self._get(ref, Endpoint.PRICE, query, lambda data: answers.parse_price(data, symbol))

    def candles(
        self,
        ref: AccountRef,
        symbol: str,
        timeframe: str,
        count: int | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> tuple[CandleFact, ...]:
        """Bars, oldest first: the last ``count``, or those between two aware times."""
        query = {"symbol": symbol, "timeframe": timeframe}
        if count is not None:
            query["count"] = str(count)
        if start is not None:
            query["start"] = _iso(start)
        if end is not None:
            query["end"] = _iso(end)
        return self._get(ref, Endpoint.CANDLES, query, answers.parse_candles)

    def sync_data(self, ref: AccountRef, position_id: str, symbol: str) -> SyncFact:
        """All that the service knows of one position's life."""
        query = {"position_id": position_id, "symbol": symbol}
        return self._get(ref, Endpoint.SYNC_DATA, query, lambda data: answers.parse_sync(data, position_id, symbol))

    # -- sessions and streams: they may be repeated, so they are treated as reads ----------------------------

    def connect(self, ref: AccountRef) -> str:
        """Open, or renew, the account's session; returns its id, "" when the service names none."""
        budget = ReadBudget(self._config.read_timeout_s)
        try:
            return self._until_done(budget, lambda: self._connect_once(ref, budget.remaining_s))
        except _Unauthorised as refusal:
            raise AuthenticationError(str(refusal)) from None

    def disconnect(self, ref: AccountRef) -> None:
        """Close the account's session; its streams stop."""
        self._post(ref, Endpoint.DISCONNECT, requests.AccountBody(account_id=ref.wire_id))

    def subscribe_price(self, ref: AccountRef, symbol: str) -> None:
        """Start the production of a symbol's ticks."""
        self._post(ref, Endpoint.SUBSCRIBE_PRICE, requests.SymbolBody(account_id=ref.wire_id, symbol=symbol))

    def unsubscribe_price(self, ref: AccountRef, symbol: str) -> None:
        """Stop the production of a symbol's ticks."""
        self._post(ref, Endpoint.UNSUBSCRIBE_PRICE, requests.SymbolBody(account_id=ref.wire_id, symbol=symbol))

    def subscribe_candles(self, ref: AccountRef, symbol: str, timeframe: str) -> None:
        """Start the production of a symbol's bars."""
        body = requests.CandlesBody(account_id=ref.wire_id, symbol=symbol, timeframe=timeframe)
        self._post(ref, Endpoint.SUBSCRIBE_CANDLES, body)

    def unsubscribe_candles(self, ref: AccountRef, symbol: str, timeframe: str) -> None:
        """Stop the production of a symbol's bars."""
        body = requests.CandlesBody(account_id=ref.wire_id, symbol=symbol, timeframe=timeframe)
        self._post(ref, Endpoint.UNSUBSCRIBE_CANDLES, body)

    def healthy(self) -> bool:
        """Whether the service answers at all: one request for /healthz; a service without it says 404, and lives."""
        try:
            answer = self._transport.send("GET", self._config.url("/healthz"))
        except Exception:  # noqa: BLE001 - asked by health pages: whatever is wrong, the answer is no
            return False
        return answer.status < HTTPStatus.INTERNAL_SERVER_ERROR

    # -- writes ----------------------------------------------------------------------------------------------

    def write(self, ref: AccountRef, kind: Kind, body: Mapping[str, object], idempotency_key: str) -> Outcome:
        """Send one write and tell what is proven. Never raises for anything that a service or a network does.

        ``body`` is in stored form (``wire.requests.to_stored``). After a 401 or 403 the session is opened again and
        the write repeated once under the same key; a second one is Refused as AUTHENTICATION_FAILED.
        """
        try:
            sent = requests.write_body_from_stored(kind, {"account_id": ref.wire_id, **body})
        except (ValueError, TypeError) as error:
            return NotSent(self._clean(f"the stored body cannot be read: {error}", ref))
        first = self._send_write(ref, kind, sent, idempotency_key)
        if not isinstance(first, Answer):
            return first
        if not first.is_unauthorised:
            return self._judge(ref, first, sent)
        obstacle = self._reopen(ref)
        if obstacle is not None:
            return obstacle
        second = self._send_write(ref, kind, sent, idempotency_key)
        return self._judge(ref, second, sent) if isinstance(second, Answer) else second

    def _send_write(
        self, ref: AccountRef, kind: Kind, sent: requests.WriteBody, idempotency_key: str
    ) -> Answer | NotSent | Unknown:
        endpoint = _WRITES[kind]
        try:
            return self._transport.send(
                endpoint.method,
                self._config.endpoint_url(endpoint),
                body=requests.encode(sent),
                idempotency_key=idempotency_key,
            )
        except Exception as error:  # noqa: BLE001 - the table is closed: what no row names is Unknown
            outcome = classify(error)
            if isinstance(outcome, Unknown):
                return Unknown(outcome.reason, self._clean(outcome.evidence, ref))
            return outcome

    def _judge(self, ref: AccountRef, answer: Answer, sent: requests.WriteBody) -> Outcome:
        evidence = self._evidence(answer, ref)
        if not answer.is_success:
            said = answers.parse_error(answer.body)
            return outcome_of_error(answer.status, said.code, said.message, answer.retry_after_s, evidence)
        try:
            fact = answers.parse_write(answer.body, sent)
        except UnreadableAnswer as error:
            return Unknown(f"unreadable: {error.reason}", evidence)
        return Refused(fact.code, fact.message) if isinstance(fact, BrokerRejection) else Confirmed(fact)

    def _reopen(self, ref: AccountRef) -> Refused | NotSent | None:
        """Connect once after a write's 401. The 401 proves that the write was not executed, whatever happens here."""
        try:
            self._connect_once(ref, None)
        except _Unauthorised as refusal:
            return Refused(AUTHENTICATION_FAILED, str(refusal))
        except RequestRefusedError as refusal:
            return Refused(AUTHENTICATION_FAILED, f"{refusal.code}: {refusal.message}")
        except _Failed as failure:
            return NotSent(f"not authorised, and connecting failed: {failure.code}", failure.retry_after_s)
        return None

    # -- one attempt -----------------------------------------------------------------------------------------

    def _get(
        self,
        ref: AccountRef,
        endpoint: Endpoint,
        fields: dict[str, str],
        parse: Callable[[bytes], T | BrokerRejection],
    ) -> T:
        query = {"account_id": ref.wire_id, **fields}
        return self._ask(ref, endpoint, parse, query=query)

    def _post(self, ref: AccountRef, endpoint: Endpoint, body: requests.Body) -> None:
        self._ask(ref, endpoint, answers.parse_done, body=requests.encode(body))

    def _ask(
        self,
        ref: AccountRef,
        endpoint: Endpoint,
        parse: Callable[[bytes], T | BrokerRejection],
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> T:
        budget = ReadBudget(self._config.read_timeout_s)

        def attempt() -> T:
            return self._attempt(ref, endpoint, parse, budget.remaining_s, query=query, body=body)

        try:
            return self._until_done(budget, attempt)
        except _Unauthorised:
            pass
        try:
            self._until_done(budget, lambda: self._connect_once(ref, budget.remaining_s))
        except (_Unauthorised, RequestRefusedError) as refusal:
            raise AuthenticationError(str(refusal)) from None
        try:
            return self._until_done(budget, attempt)
        except _Unauthorised as refusal:
            raise AuthenticationError(str(refusal)) from None

    def _until_done(self, budget: ReadBudget, attempt: Callable[[], T]) -> T:
        while True:
            try:
                return attempt()
            except _Failed as failure:
                delay_s = budget.next_delay_s(failure.retry_after_s)
                if delay_s is None:
                    raise ConnectionError(failure.message, code=failure.code) from failure
            self._pause(delay_s)

    def _connect_once(self, ref: AccountRef, within_s: float | None) -> str:
        body = requests.ConnectBody(
            account_id=ref.wire_id, internal_account_id=ref.internal_id, access_token=ref.access_token or None
        )
        return self._attempt(
            ref, Endpoint.CONNECT, answers.parse_session, within_s, query=None, body=requests.encode(body)
        )

    def _attempt(
        self,
        ref: AccountRef,
        endpoint: Endpoint,
        parse: Callable[[bytes], T | BrokerRejection],
        within_s: float | None,
        *,
        query: dict[str, str] | None,
        body: bytes | None,
    ) -> T:
        """One request of a read. Raises _Unauthorised, _Failed or RequestRefusedError."""
        url = self._config.endpoint_url(endpoint)
        try:
            answer = self._transport.send(endpoint.method, url, query=query, body=body, within_s=within_s)
        except Exception as error:
            # Whatever it is, the read failed and may be tried again; nothing is made of it.
            raise _Failed("CONNECTION_ERROR", f"{endpoint.path}: {reason_of(error)}") from error
        if not answer.is_success:
            raise self._failure(ref, endpoint, answer)
        try:
            value = parse(answer.body)
        except UnreadableAnswer as error:
            raise _Failed("UNREADABLE_ANSWER", f"{endpoint.path}: {error.reason}") from error
        if isinstance(value, BrokerRejection):
            raise RequestRefusedError(self._clean(value.message, ref), code=value.code)
        return value

    def _failure(self, ref: AccountRef, endpoint: Endpoint, answer: Answer) -> Exception:
        said = answers.parse_error(answer.body)
        message = self._clean(said.message, ref) or f"{endpoint.path} answered {answer.status}"
        if answer.is_unauthorised:
            return _Unauthorised(message)
        code = said.code or f"HTTP_{answer.status}"
        if answer.status in _REFUSALS:
            return RequestRefusedError(message, code=code)
        return _Failed(code, message, answer.retry_after_s)

    # -- evidence --------------------------------------------------------------------------------------------

    def _evidence(self, answer: Answer, ref: AccountRef) -> str:
        text = answer.body[: 4 * MAX_EVIDENCE_CHARS].decode("utf-8", errors="replace")
        return self._clean(f"HTTP {answer.status} {text}", ref)

    def _clean(self, text: str, ref: AccountRef) -> str:
        """``text`` without our secrets, should a service echo them, and without NUL, which no database takes."""
        for secret in (self._config.secret, ref.access_token):
            if secret:
                text = text.replace(secret, "***")
        return text.replace("\x00", "\ufffd")[:MAX_EVIDENCE_CHARS]


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
