"""Faults on demand: what the paper venue does wrong when told to, counted."""

import random
from enum import StrEnum

import msgspec

MAX_ARMED = 100
MAX_SECONDS = 300.0


class HttpFault(StrEnum):
    """What may go wrong with a request."""

    DELAY = "delay"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    ERROR_AFTER = "error_after"
    UNAUTHORIZED = "401"
    RATE_LIMITED = "429"
    UNAVAILABLE = "503"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"


class EventFault(StrEnum):
    """What may go wrong with an event."""

    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DELAY = "delay"
    MALFORMED = "malformed"


NOT_EXECUTED = frozenset({HttpFault.DROP_BEFORE, HttpFault.UNAUTHORIZED, HttpFault.RATE_LIMITED, HttpFault.UNAVAILABLE})
"""Faults that strike before anything is executed, and so exclude the others."""


class FaultRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One fault to arm, for an ``endpoint`` or for an ``event`` type; "*" stands for all of them.

    ``count`` is how often it strikes (null: until cleared), ``probability`` how likely each time. ``seconds`` is
    the length of a delay, ``retry_after`` what 429 and 503 ask for. ``account_id`` limits it to one account.
    """

    kind: str | int
    endpoint: str | None = None
    event: str | None = None
    count: int | None = 1
    probability: float = 1.0
    seconds: float = 1.0
    retry_after: float = 1.0
    account_id: str | int | None = None


class Fault(msgspec.Struct, kw_only=True):
    """An armed fault and how often it has struck; ``remaining`` null means for ever."""

    id: int
    kind: str
    endpoint: str | None
    event: str | None
    remaining: int | None
    probability: float
    seconds: float
    retry_after: float
    account_id: str | None
    hits: int = 0


class Plan(msgspec.Struct, frozen=True):
    """What one request is in for."""

    kinds: frozenset[HttpFault] = frozenset()
    seconds: float = 0.0
    retry_after: float = 1.0


NO_FAULTS = Plan()


def check(request: FaultRequest, endpoints: set[str], events: set[str]) -> str | None:
    """Return what is wrong with a request to arm a fault, None if nothing is."""
    kind = str(request.kind)
    if (request.endpoint is None) == (request.event is None):
        return "give an endpoint or an event type, not both"
    if request.endpoint is not None:
        if kind not in set(HttpFault):
            return f"no fault {kind!r} of requests: {', '.join(HttpFault)}"
        if request.endpoint not in endpoints | {"*"}:
            return f"no endpoint {request.endpoint!r}"
    else:
        if kind not in set(EventFault):
            return f"no fault {kind!r} of events: {', '.join(EventFault)}"
        if request.event not in events | {"*"}:
            return f"no event type {request.event!r}"
    return _check_numbers(request)


def _check_numbers(request: FaultRequest) -> str | None:
    if request.count is not None and not 1 <= request.count <= 1_000_000:
        return "count must be 1 to 1000000, or null"
    if not 0 < request.probability <= 1:
        return "probability must be above 0 and at most 1"
    if not 0 <= request.seconds <= MAX_SECONDS or not 0 <= request.retry_after <= MAX_SECONDS:
        return f"seconds and retry_after must be 0 to {MAX_SECONDS:g}"
    return None


class FaultBoard:
    """The armed faults. Chance is seeded: the same run strikes the same way."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chance, not secrecy
        self._faults: list[Fault] = []
        self._next_id = 1

    def arm(self, request: FaultRequest) -> Fault:
        """Arm a checked fault."""
        fault = Fault(
            id=self._next_id,
            kind=str(request.kind),
            endpoint=request.endpoint,
            event=request.event,
            remaining=request.count,
            probability=request.probability,
            seconds=request.seconds,
            retry_after=request.retry_after,
            account_id=None if request.account_id is None else str(request.account_id),
        )
        self._next_id += 1
        self._faults = [*self._faults, fault][-MAX_ARMED:]
        return fault

    def armed(self) -> list[Fault]:
        """Return all faults, spent ones too, for their hits."""
        return list(self._faults)

    def clear(self) -> int:
        """Forget all faults; return how many there were."""
        cleared = len(self._faults)
        self._faults = []
        return cleared

    def _strikes(self, fault: Fault, account_id: str | None) -> bool:
        if fault.remaining == 0 or (fault.account_id is not None and fault.account_id != account_id):
            return False
        if fault.probability < 1 and self._random.random() >= fault.probability:
            return False
        fault.hits += 1
        if fault.remaining is not None:
            fault.remaining -= 1
        return True

    def plan(self, endpoint: str, account_id: str | None) -> Plan:
        """Decide what a request is in for. One that is not executed meets no other fault."""
        matching = [fault for fault in self._faults if fault.endpoint in {endpoint, "*"}]
        if not matching:
            return NO_FAULTS
        for fault in matching:
            if HttpFault(fault.kind) in NOT_EXECUTED and self._strikes(fault, account_id):
                return Plan(frozenset({HttpFault(fault.kind)}), 0.0, fault.retry_after)
        struck = [
            fault
            for fault in matching
            if HttpFault(fault.kind) not in NOT_EXECUTED and self._strikes(fault, account_id)
        ]
        seconds = sum(fault.seconds for fault in struck if fault.kind == HttpFault.DELAY)
        return Plan(frozenset(HttpFault(fault.kind) for fault in struck), seconds)

    def strike_event(self, event_type: str, account_id: str) -> list[tuple[EventFault, float]]:
        """Decide what an event is in for: faults with their seconds."""
        return [
            (EventFault(fault.kind), fault.seconds)
            for fault in self._faults
            if fault.event in {event_type, "*"} and self._strikes(fault, account_id)
        ]
