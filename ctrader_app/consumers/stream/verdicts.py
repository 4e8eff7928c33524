"""What becomes of a message, decided by the type of what its handling raised: here and nowhere else.

| raised | verdict |
|---|---|
| nothing | ACK |
| BadEvent | DEAD_LETTER under the event's own reason |
| the database or the task queue is away or busy | HOLD: try the same message again, unacknowledged |
| IntegrityError: a race with another process | HOLD, at most :data:`RACES` times, then as a defect |
| DataError: the database refuses these values | DEAD_LETTER |
| any other exception: a defect | DEAD_LETTER, counted against the error budget |
| no exception: exit, interrupt, no memory | STOP: the message goes back to the queue with the connection |

HOLD and defects count against the consecutive-error budget; when it is used up the worker stops, and what it holds
goes back to the queue.
"""

from enum import Enum
from typing import NamedTuple

from django.db import DataError, IntegrityError, InterfaceError, InternalError, OperationalError

from ctrader_app.tasks.queue import QueueUnavailable
from ctrader_app.wire.errors import BadEvent


class Verdict(Enum):
    """What to do with the message."""

    ACK = "ack"
    DEAD_LETTER = "dead_letter"
    HOLD = "hold"
    STOP = "stop"


class Ruling(NamedTuple):
    """``reason`` and ``detail`` are for the dead letter; ``is_error`` counts against the budget."""

    verdict: Verdict
    reason: str = ""
    detail: str = ""
    is_error: bool = False


RACES = 3
UNUSABLE_VALUES = "unusable_values"
HANDLER_FAILED = "handler_failed"


def rule(error: BaseException | None, attempt: int = 1) -> Ruling:
    """The ruling on a message whose handling ended so, at the ``attempt``-th time."""
    match error:
        case None:
            return Ruling(Verdict.ACK)
        case BadEvent():
            return Ruling(Verdict.DEAD_LETTER, str(error.reason), error.detail)
        case DataError():
            return Ruling(Verdict.DEAD_LETTER, UNUSABLE_VALUES, str(error))
        case OperationalError() | InterfaceError() | InternalError() | QueueUnavailable():
            return Ruling(Verdict.HOLD, detail=repr(error), is_error=True)
        case IntegrityError() if attempt <= RACES:
            return Ruling(Verdict.HOLD, detail=repr(error), is_error=True)
        case Exception() if not isinstance(error, MemoryError):
            return Ruling(Verdict.DEAD_LETTER, HANDLER_FAILED, repr(error), is_error=True)
        case _:
            return Ruling(Verdict.STOP, detail=repr(error), is_error=True)
