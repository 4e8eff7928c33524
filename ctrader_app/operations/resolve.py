"""Settle a doubt by evidence: the service's own replay, or what is to be seen on the account, or a person.

Nothing here looks at how long a doubt has lasted: an old doubt is examined less often, and stays one until it is
settled.
"""

import random
import uuid
from datetime import datetime, timedelta

from connectors.base import Mt5Dict
from connectors.errors import ConnectorError
from ctrader_app.conf import get_settings
from ctrader_app.domain import doubt, mt5, outcomes
from ctrader_app.domain.operations import Kind, State
from ctrader_app.ledger import clock
from ctrader_app.ledger import operations as ledger
from ctrader_app.ledger.operations import Why
from ctrader_app.models import Operation
from ctrader_app.operations import gateway
from ctrader_app.operations.gate import stop_of
from ctrader_app.operations.looking import look
from ctrader_app.operations.settle import confirmed, ended, finished
from ctrader_app.operations.verdicts import FollowUp, Verdict

REPLAY_PROMISE_S = 23 * 3600
"""Services promise to replay for 24 hours; the last one is left to differing clocks."""

REPLAYS_ALONE = 3
"""Replays that prove nothing before the account is looked at besides: a key may be stuck for as long as it is kept."""

FIRST_LOOK_S = 0.5
LAST_LOOK_S = 60.0
"""A doubt is examined after half a second, doubling up to once a minute."""


def resolve(operation_id: uuid.UUID, *, actor: str) -> Verdict:
    """Examine one doubt. Safe to call at any time; an operation that is not in doubt is left alone."""
    operation = ledger.get(operation_id)
    if State(operation.state) is not State.IN_DOUBT:
        return Verdict(State(operation.state))
    if _may_replay(operation, clock.now()):
        return _replay(operation, actor)
    return _look(operation, actor)


def _may_replay(operation: Operation, now: datetime) -> bool:
    """Whether asking again under the same key cannot do it twice, nor do it too late, nor do what is stopped by now.

    The replay may be the first to arrive, and then it is carried out. An order carries its own expiry: past it a
    replay only tells. A close or a modify does not, so past its deadline it is settled by looking.
    """
    settings = get_settings()
    if not settings.idempotent_writes or operation.body is None or operation.claimed_at is None:
        return False
    if not settings.execution_enabled or (now - operation.claimed_at).total_seconds() > REPLAY_PROMISE_S:
        return False
    if now < operation.deadline:
        return stop_of(operation) is None
    return Kind(operation.kind) is Kind.PLACE


def _replay(operation: Operation, actor: str) -> Verdict:
    ref = gateway.ref_of(operation.account)
    outcome = gateway.client().write(ref, Kind(operation.kind), operation.body or {}, str(operation.pk))
    now = clock.now()
    match outcome:
        case outcomes.Confirmed(answer):
            return confirmed(operation, answer, Why("confirmed by a replay under the same key", actor), now)
        case outcomes.Refused(code, message) if outcomes.is_about_the_write(code):
            why = Why("refused by a replay under the same key", actor, f"{code}: {message}")
            return ended(operation, State.REFUSED, code=code, message=message, why=why, now=now)
        case outcomes.Refused(code, message):
            return _unproven(operation, Why(f"the replay proved nothing: {code}", actor, message), now)
        case outcomes.NotSent(reason):
            return _still(operation, Why(f"the replay did not get through: {reason}", actor), now)
        case outcomes.Unknown(reason, evidence):
            return _unproven(operation, Why(f"the replay proved nothing: {reason}", actor, evidence), now)


def _unproven(operation: Operation, why: Why, now: datetime) -> Verdict:
    """A replay's answer tells more than looking does, so it gets its chances; then an effect that is seen counts too.

    An absence does not: this very replay may still be carried out.
    """
    if operation.resolutions < REPLAYS_ALONE:
        return _still(operation, why, now)
    return _look(operation, why.actor, after=f"{why.reason}; ")


def _look(operation: Operation, actor: str, after: str = "") -> Verdict:
    """Settle it by what the account shows. ``after``: what was tried before, for the audit trail."""
    asked_at = clock.now()
    try:
        reading = look(operation)
    except ConnectorError as error:
        why = Why(f"{after}the account could not be read: {error.code}", actor, error.message)
        return _still(operation, why, asked_at)
    now = clock.now()
    match reading:
        case doubt.Happened(answer, reason):
            return confirmed(operation, answer, Why("its effect was found", actor, reason), now)
        case doubt.Refuted(code, reason):
            why = Why("it was found to be without effect", actor, reason)
            return ended(operation, State.REFUSED, code=code, message=reason, why=why, now=now)
        case doubt.Absent() | doubt.Unchanged() if not after:
            return _as_before(operation, reading, actor, asked_at, now)
        case doubt.Absent(reason) | doubt.Unchanged(_, reason) | doubt.Inconclusive(reason):
            return _still(operation, Why(f"{after}looking proved nothing", actor, reason), now)


def _as_before(
    operation: Operation, reading: doubt.Absent | doubt.Unchanged, actor: str, asked_at: datetime, now: datetime
) -> Verdict:
    """One authoritative reading that shows nothing new; the second one settles it. Readings from before the dust
    settled do not count: the write may be under way, and what follows in its lane must not be undone by it."""
    last_sent = operation.claimed_at or now
    if get_settings().idempotent_writes:
        last_sent = max(last_sent, operation.deadline)  # until then it was replayed, and a replay may linger too
    settled_at = last_sent + timedelta(seconds=gateway.longest_write_s() + get_settings().settling_lag_s)
    if asked_at < settled_at:
        why = Why("no effect yet, and it may still be under way", actor, reading.reason)
        return _still(operation, why, now, absences=operation.absences)
    absences = operation.absences + 1
    why = Why(f"no effect ({absences} of {doubt.ABSENCES_NEEDED})", actor, reading.reason)
    if absences < doubt.ABSENCES_NEEDED:
        return _still(operation, why, now, absences=absences)
    if isinstance(reading, doubt.Unchanged):
        why = Why("nothing had to change, and nothing can arrive any more", actor, reading.reason)
        return confirmed(operation, reading.answer, why, now)
    return ended(operation, State.FAILED, code="NO_EFFECT", message=reading.reason, why=why, now=now)


def _still(operation: Operation, why: Why, now: datetime, *, absences: int = 0) -> Verdict:
    delay_s = min(LAST_LOOK_S, FIRST_LOOK_S * 2 ** min(operation.resolutions, 10)) * random.uniform(0.8, 1.2)  # noqa: S311
    ledger.note_resolution(
        operation, resolve_after=now + timedelta(seconds=delay_s), absences=absences, why=why, now=now
    )
    if delay_s > 2 * FIRST_LOOK_S:
        return Verdict(State.IN_DOUBT)
    return Verdict(State.IN_DOUBT, (FollowUp.to_resolve(operation, delay_s),))


# -- a person's word ---------------------------------------------------------------------------------------------


def settle_as_happened(operation_id: uuid.UUID, venue_id: str, actor: str) -> Verdict | None:
    """A person found its effect at the venue under ``venue_id``. None when it is not in doubt (any more)."""
    operation = ledger.get(operation_id)
    if State(operation.state) is not State.IN_DOUBT:
        return None
    why = Why("a person found its effect", actor, f"venue id {venue_id}")
    settled = ledger.succeed(operation, _testified(operation, venue_id), why, clock.now())
    return finished(operation) if settled else None


def _testified(operation: Operation, venue_id: str) -> Mt5Dict:
    """The result as far as a person can state it: what nobody read is None, not invented."""
    return {
        "message": "Confirmed by a person",
        "order_id": mt5.mt5_id(venue_id),
        "deal_id": None,
        "volume": None,
        "price": None,
        "close_price": None,
        "status": "filled",
        "opened_position_ticket": mt5.mt5_id(venue_id) if operation.kind == Kind.PLACE else None,
        "position_info": {},
        "retcode": mt5.RETCODE_DONE,
        "comment": "Confirmed by a person",
        "operation_id": str(operation.pk),
        "client_order_id": operation.client_order_id,
    }


def settle_as_not_happened(operation_id: uuid.UUID, actor: str) -> Verdict | None:
    """A person made sure that it had no effect. None when it is not in doubt (any more)."""
    operation = ledger.get(operation_id)
    message = "a person made sure that it had no effect"
    settled = ledger.end(
        operation, State.FAILED, code="NO_EFFECT", message=message, why=Why(message, actor), now=clock.now()
    )
    return finished(operation) if settled else None


def ask_again(operation_id: uuid.UUID, actor: str) -> Verdict:
    """A person wants it examined now."""
    ledger.note_question(ledger.get(operation_id), why=Why("a person asks again", actor), now=clock.now())
    return resolve(operation_id, actor=actor)
