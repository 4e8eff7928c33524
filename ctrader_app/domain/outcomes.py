"""What a write's answer, or the lack of one, proves. A closed table: what no row names is Unknown.

| what came back | outcome |
|---|---|
| readable 200 | Confirmed |
| 200 carrying a broker rejection | Refused |
| 400, 404, 422; 409 but for IDEMPOTENCY_IN_PROGRESS | Refused |
| 401, 403 | Refused, as an authentication failure (the connector has reconnected once by then) |
| 429, 503 with Retry-After | NotSent, with the wait |
| no connection: refused, DNS, TLS handshake, connect timeout | NotSent |
| anything else: timeout, reset, 5xx, redirects, unreadable 2xx, 202, IDEMPOTENCY_IN_PROGRESS | Unknown |
"""

from dataclasses import dataclass
from http import HTTPStatus

from ctrader_app.domain.facts import WriteAnswer

AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
IDEMPOTENCY_IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"

MAX_RETRY_AFTER_S = 3600.0
"""A service that asks for more is not waited for as told but asked again within the hour."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The venue did it."""

    answer: WriteAnswer


@dataclass(frozen=True, slots=True)
class Refused:
    """Positive evidence that the write had no effect."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that nothing was executed. ``retry_after_s`` is the wait that the service asked for, if any."""

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Everything else. ``evidence`` is what arrived, bounded, for whoever has to settle it."""

    reason: str
    evidence: str = ""


Outcome = Confirmed | Refused | NotSent | Unknown

_REFUSALS = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_AUTHENTICATION = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_WAIT = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def is_about_the_write(code: str) -> bool:
    """Whether a refusal with this code speaks of the write itself.

    A failed authentication, an answer without a code (a proxy's 404), or a key that the service knows otherwise tell
    nothing about another sending of the same write.
    """
    return not code.startswith((AUTHENTICATION_FAILED, "IDEMPOTENCY_", "HTTP_"))


def outcome_of_error(status: int, code: str, message: str, retry_after_s: float | None, evidence: str) -> Outcome:
    """The outcome of a write that was answered with anything but 200.

    ``code`` and ``message`` are the body's own, empty when it had none.
    """
    if status in _AUTHENTICATION:
        return Refused(AUTHENTICATION_FAILED, message or f"the service answered {status}")
    if status in _WAIT and retry_after_s is not None:
        return NotSent(code or f"HTTP_{status}", min(max(retry_after_s, 0.0), MAX_RETRY_AFTER_S))
    if status in _REFUSALS and code != IDEMPOTENCY_IN_PROGRESS:
        return Refused(code or f"HTTP_{status}", message or f"the service answered {status}")
    return Unknown(code or f"HTTP_{status}", evidence)
