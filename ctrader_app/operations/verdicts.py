"""What a use-case leaves to be done next; the task that called it publishes that."""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from ctrader_app.domain.operations import Kind, State
from ctrader_app.models import Operation


class Step(StrEnum):
    """What to do with an operation."""

    EXECUTE = "execute"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One message to publish. ``delay_s`` is short: longer waits are left to the sweep."""

    step: Step
    operation_id: uuid.UUID
    kind: Kind
    delay_s: float = 0.0

    @classmethod
    def to_execute(cls, operation: Operation, delay_s: float = 0.0) -> Self:
        """Send this operation, or whatever its state calls for by then."""
        return cls(Step.EXECUTE, operation.pk, Kind(operation.kind), delay_s)

    @classmethod
    def to_resolve(cls, operation: Operation, delay_s: float = 0.0) -> Self:
        """Examine this operation, if it is in doubt by then."""
        return cls(Step.RESOLVE, operation.pk, Kind(operation.kind), delay_s)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where an operation stands after a use-case. ``blocked_by`` has to end before this one may go."""

    state: State
    follow_ups: tuple[FollowUp, ...] = ()
    blocked_by: uuid.UUID | None = None
