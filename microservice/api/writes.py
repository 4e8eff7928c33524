"""Writes: one effect a key. The verdict is recorded with the effect and replayed to whoever asks again."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from microservice.api.errors import ApiError, bad_request, refusal_bytes
from microservice.api.requests import WriteRequest
from microservice.events import ENCODER
from microservice.idempotency import (
    MAX_KEY_LENGTH,
    Claim,
    Journal,
    KeyInProgressError,
    KeyReusedError,
    fingerprint,
)
from microservice.venue.base import Refusal, RefusalKind, Venue
from microservice.venue.model import Answer

logger = logging.getLogger("microservice.writes")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, encoded."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def check_key(key: str | None) -> str:
    """Return the key of a write. Raises ApiError."""
    if not key:
        raise bad_request("the header Idempotency-Key is required", "IDEMPOTENCY_KEY_REQUIRED")
    if len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise bad_request(
            f"Idempotency-Key must be printable ASCII of at most {MAX_KEY_LENGTH} characters",
            "IDEMPOTENCY_KEY_INVALID",
        )
    return key


class Writes:
    """Carries writes out through the journal."""

    def __init__(self, venue: Venue, journal: Journal) -> None:
        self._venue = venue
        self._journal = journal

    async def perform(
        self,
        method: str,
        path: str,
        request: WriteRequest,
        key: str,
        request_id: str,
        before: Callable[[], Awaitable[None]],
    ) -> Reply:
        """Return the recorded verdict, or carry the write out; ``before`` runs while the key is already held.

        Raises ApiError for a key that is in use, Refusal if the account is not connected.
        """
        started = time.perf_counter()
        if not self._venue.is_connected(request.account):
            raise _not_connected(request.account)
        claim = Claim(request.account, key, fingerprint(method, path, request))
        recorded = self._begin(claim)
        if recorded is not None:
            reply = recorded
        else:
            try:
                await before()
                reply = await self._execute(request, claim)
            finally:
                self._journal.end(claim)
        _log(path, claim, reply, request_id, started)
        return reply

    def _begin(self, claim: Claim) -> Reply | None:
        try:
            recorded = self._journal.begin(claim)
        except KeyReusedError:
            message = "this Idempotency-Key was used for another request"
            raise ApiError(409, "IDEMPOTENCY_KEY_REUSED", message) from None
        except KeyInProgressError:
            message = "the first request under this Idempotency-Key is still running"
            raise ApiError(409, "IDEMPOTENCY_IN_PROGRESS", message) from None
        if recorded is None:
            return None
        return Reply(recorded.status, recorded.body, {"Idempotency-Replayed": "true"})

    async def _execute(self, request: WriteRequest, claim: Claim) -> Reply:
        replies: list[Reply] = []

        def settle(verdict: Answer | Refusal) -> None:
            reply = _reply(verdict)
            self._journal.record(claim, reply.status, reply.body)
            replies.append(reply)

        try:
            await self._venue.execute(request.command(), settle)
        except Refusal:
            if not replies:  # not a verdict on the request: the account is not connected
                raise
        return replies[0]


def _reply(verdict: Answer | Refusal) -> Reply:
    if isinstance(verdict, Refusal):
        return Reply(verdict.kind.value, refusal_bytes(verdict))
    return Reply(200, ENCODER.encode(verdict))


def _not_connected(account_id: str) -> Refusal:
    return Refusal("ACCOUNT_NOT_CONNECTED", f"account {account_id} is not connected", RefusalKind.NOT_CONNECTED)


def _log(path: str, claim: Claim, reply: Reply, request_id: str, started: float) -> None:
    line = {
        "event": "write",
        "path": path,
        "account_id": claim.account_id,
        "key": claim.key,
        "request_id": request_id,
        "status": reply.status,
        "replayed": "Idempotency-Replayed" in reply.headers,
        "ms": round((time.perf_counter() - started) * 1000, 2),
    }
    logger.info("%s", msgspec.json.encode(line).decode())
