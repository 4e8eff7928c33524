"""Requests that may be repeated: reads, sessions, subscriptions."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from connectors.errors import AuthenticationError, ConnectionError, RequestRefusedError  # noqa: A004 - their names
from ctrader_app.connector.config import AccountRef, ConnectorConfig
from ctrader_app.connector.evidence import cleaned
from ctrader_app.connector.failures import reason_of
from ctrader_app.connector.retry import ReadBudget
from ctrader_app.connector.transport import Answer, Transport
from ctrader_app.wire import answers, requests
from ctrader_app.wire.answers import BrokerRejection
from ctrader_app.wire.endpoints import Endpoint
from ctrader_app.wire.errors import UnreadableAnswer

T = TypeVar("T")

_REFUSALS = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
)


class AttemptFailed(Exception):  # noqa: N818 - one attempt of several
    """One request failed in a way that another may not. ``retry_after_s`` is the wait the service asked for."""

    def __init__(self, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class Unauthorised(Exception):  # noqa: N818 - a turn of the dialogue, not yet an error
    """The service answered 401 or 403, with its message."""


class Reader:
    """Asks until there is an answer, within the bounds of ``retry``.

    | what came back | then |
    |---|---|
    | readable 2xx | its value |
    | 2xx carrying a rejection, 400, 404, 409, 422 | RequestRefusedError, the code kept |
    | 401, 403 | connect and ask once more, then AuthenticationError |
    | anything else: no answer, unreadable, 429, 5xx, redirects | again, then ConnectionError |
    """

    def __init__(self, config: ConnectorConfig, transport: Transport, pause: Callable[[float], None]) -> None:
        self._config = config
        self._transport = transport
        self._pause = pause

    def ask(
        self,
        ref: AccountRef,
        endpoint: Endpoint,
        parse: Callable[[bytes], T | BrokerRejection],
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> T:
        """The value of an endpoint. Connecting again, if it comes to that, uses the same attempts and time."""
        budget = ReadBudget(self._config.read_timeout_s)

        def attempt() -> T:
            return self._attempt(ref, endpoint, parse, budget.remaining_s, query=query, body=body)

        try:
            return self._until_done(budget, attempt)
        except Unauthorised:
            pass
        try:
            self._until_done(budget, lambda: self.connect_once(ref, budget.remaining_s))
        except (Unauthorised, RequestRefusedError) as refusal:
            raise AuthenticationError(str(refusal)) from None
        try:
            return self._until_done(budget, attempt)
        except Unauthorised as refusal:
            raise AuthenticationError(str(refusal)) from None

    def connect(self, ref: AccountRef) -> str:
        """Open, or renew, the account's session; returns its id, "" when the service names none."""
        budget = ReadBudget(self._config.read_timeout_s)
        try:
            return self._until_done(budget, lambda: self.connect_once(ref, budget.remaining_s))
        except Unauthorised as refusal:
            raise AuthenticationError(str(refusal)) from None

    def connect_once(self, ref: AccountRef, within_s: float | None = None) -> str:
        """:meth:`connect` in one request. Raises Unauthorised, AttemptFailed or RequestRefusedError."""
        body = requests.ConnectBody(
            account_id=ref.wire_id, internal_account_id=ref.internal_id, access_token=ref.access_token or None
        )
        return self._attempt(
            ref, Endpoint.CONNECT, answers.parse_session, within_s, query=None, body=requests.encode(body)
        )

    def _until_done(self, budget: ReadBudget, attempt: Callable[[], T]) -> T:
        while True:
            try:
                return attempt()
            except AttemptFailed as failure:
                delay_s = budget.next_delay_s(failure.retry_after_s)
                if delay_s is None:
                    raise ConnectionError(failure.message, code=failure.code) from failure
            self._pause(delay_s)

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
        url = self._config.endpoint_url(endpoint)
        try:
            answer = self._transport.send(endpoint.method, url, query=query, body=body, within_s=within_s)
        except Exception as error:
            # Whatever it is, the read failed and may be tried again; nothing is made of it.
            raise AttemptFailed("CONNECTION_ERROR", f"{endpoint.path}: {reason_of(error)}") from error
        if not answer.is_success:
            raise self._failure(ref, endpoint, answer)
        try:
            value = parse(answer.body)
        except UnreadableAnswer as error:
            message = cleaned(error.reason, self._config, ref)
            raise AttemptFailed("UNREADABLE_ANSWER", f"{endpoint.path}: {message}") from error
        if isinstance(value, BrokerRejection):
            raise RequestRefusedError(cleaned(value.message, self._config, ref), code=value.code)
        return value

    def _failure(self, ref: AccountRef, endpoint: Endpoint, answer: Answer) -> Exception:
        said = answers.parse_error(answer.body)
        message = cleaned(said.message, self._config, ref) or f"{endpoint.path} answered {answer.status}"
        if answer.is_unauthorised:
            return Unauthorised(message)
        code = said.code or f"HTTP_{answer.status}"
        if answer.status in _REFUSALS:
            return RequestRefusedError(message, code=code)
        return AttemptFailed(code, message, answer.retry_after_s)
