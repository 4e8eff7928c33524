"""One write, one request, one outcome."""

from collections.abc import Mapping
from http import HTTPStatus

from connectors.errors import RequestRefusedError
from ctrader_app.connector.config import AccountRef, ConnectorConfig
from ctrader_app.connector.evidence import cleaned, evidence_of
from ctrader_app.connector.failures import classify
from ctrader_app.connector.reads import AttemptFailed, Reader, Unauthorised
from ctrader_app.connector.transport import Answer, Transport
from ctrader_app.domain.operations import Kind
from ctrader_app.domain.outcomes import (
    AUTHENTICATION_FAILED,
    IDEMPOTENCY_IN_PROGRESS,
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

_ENDPOINTS = {
    Kind.PLACE: Endpoint.PLACE,
    Kind.CLOSE: Endpoint.CLOSE,
    Kind.MODIFY: Endpoint.MODIFY_PROTECTION,
    Kind.CANCEL: Endpoint.CANCEL_ORDER,
}


class Writer:
    """Sends writes and tells what is proven, by the tables of ``domain.outcomes`` and of ``failures``.

    A write is never sent twice but for the one repetition under the same key after a 401 or 403, which prove that
    the first request was not executed.
    """

    def __init__(self, config: ConnectorConfig, transport: Transport, reader: Reader) -> None:
        self._config = config
        self._transport = transport
        self._reader = reader

    def write(self, ref: AccountRef, kind: Kind, body: Mapping[str, object], idempotency_key: str) -> Outcome:
        """The outcome of one write; see :meth:`ctrader_app.connector.client.CTraderClient.write`."""
        try:
            sent = requests.write_body_from_stored(kind, {"account_id": ref.wire_id, **body})
        except (ValueError, TypeError) as error:
            return NotSent(cleaned(f"the stored body cannot be read: {error}", self._config, ref))
        answer = self._send(ref, kind, sent, idempotency_key)
        if isinstance(answer, Answer) and answer.is_unauthorised:
            obstacle = self._reconnect(ref)
            if obstacle is not None:
                return obstacle
            answer = self._send(ref, kind, sent, idempotency_key)
        return self._judge(ref, answer, sent) if isinstance(answer, Answer) else answer

    def _send(
        self, ref: AccountRef, kind: Kind, sent: requests.WriteBody, idempotency_key: str
    ) -> Answer | NotSent | Unknown:
        endpoint = _ENDPOINTS[kind]
        try:
            return self._transport.send(
                endpoint.method,
                self._config.endpoint_url(endpoint),
                body=requests.encode(sent),
                idempotency_key=idempotency_key,
            )
        except Exception as error:  # noqa: BLE001 - the table is closed: what no row names is Unknown
            outcome = classify(error)
            if isinstance(outcome, NotSent):
                return outcome
            return Unknown(outcome.reason, cleaned(outcome.evidence, self._config, ref))

    def _judge(self, ref: AccountRef, answer: Answer, sent: requests.WriteBody) -> Outcome:
        evidence = evidence_of(answer, self._config, ref)
        if not answer.is_success:
            said = answers.parse_error(answer.body)
            message = cleaned(said.message, self._config, ref)
            return outcome_of_error(answer.status, said.code, message, answer.retry_after_s, evidence)
        if answer.status == HTTPStatus.ACCEPTED:
            return Unknown("accepted, which is no outcome", evidence)
        try:
            fact = answers.parse_write(answer.body, sent)
        except UnreadableAnswer as error:
            return Unknown(cleaned(f"unreadable: {error.reason}", self._config, ref), evidence)
        if isinstance(fact, BrokerRejection):
            if fact.code == IDEMPOTENCY_IN_PROGRESS:
                return Unknown(fact.code, evidence)
            return Refused(fact.code, cleaned(fact.message, self._config, ref))
        return Confirmed(fact)

    def _reconnect(self, ref: AccountRef) -> Refused | NotSent | None:
        # The 401 has proven that the write was not executed, whatever becomes of connecting.
        try:
            self._reader.connect_once(ref)
        except Unauthorised as refusal:
            return Refused(AUTHENTICATION_FAILED, str(refusal))
        except RequestRefusedError as refusal:
            return Refused(AUTHENTICATION_FAILED, f"{refusal.code}: {refusal.message}")
        except AttemptFailed as failure:
            return NotSent(f"not authorised, and connecting failed: {failure.code}", failure.retry_after_s)
        return None
