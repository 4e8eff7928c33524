"""The life of an operation: its kinds, its states, and the only transitions that exist.

The ledger builds its guarded updates from this table, the documentation prints it, and a test compares the three.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """What a caller wants done."""

    PLACE = "place"
    CLOSE = "close"
    MODIFY = "modify"
    CANCEL = "cancel"


RISK_REDUCING = frozenset({Kind.CLOSE, Kind.MODIFY, Kind.CANCEL})
"""Kinds that a kill switch leaves possible and that live longer than an order."""


class State(StrEnum):
    """Where an operation stands. The last four are final."""

    QUEUED = "queued"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    EXPIRED = "expired"
    FAILED = "failed"


FINAL = frozenset({State.SUCCEEDED, State.REFUSED, State.EXPIRED, State.FAILED})
IN_FLIGHT = frozenset({State.SENDING, State.IN_DOUBT})
OPEN = frozenset(State) - FINAL

TRANSITIONS: Mapping[State, Mapping[State, str]] = MappingProxyType(
    {
        State.QUEUED: {
            State.SENDING: "claimed by a worker, before the first byte leaves",
            State.REFUSED: "denied by the kill switch, the feature flag, a pre-trade check or an answer to a read",
            State.EXPIRED: "the deadline passed before anything was sent",
        },
        State.SENDING: {
            State.QUEUED: "proof that nothing was executed: it may be sent again until its deadline",
            State.SUCCEEDED: "the venue confirmed it",
            State.REFUSED: "the venue refused it",
            State.EXPIRED: "proof that nothing was executed, and the deadline has passed",
            State.IN_DOUBT: "it may have left and no answer settles it, or its sender died",
        },
        State.IN_DOUBT: {
            State.SUCCEEDED: "evidence that it had its effect",
            State.REFUSED: "evidence that the venue refused it",
            State.FAILED: "evidence, complete and twice, or a person's word, that it had no effect",
        },
        State.SUCCEEDED: {},
        State.REFUSED: {},
        State.EXPIRED: {},
        State.FAILED: {},
    }
)
"""From -> to -> why. Nothing else is possible; final states have no way out."""


def sources(target: State) -> frozenset[State]:
    """The states from which ``target`` may be reached."""
    return frozenset(state for state, targets in TRANSITIONS.items() if target in targets)
