"""Send one operation, once: claim it, send it, record what came back.

What a death after each step leaves behind: before the claim, a QUEUED row that the redelivered message or the sweep
sends; after it, a SENDING row that nobody sends again and that becomes IN_DOUBT; after the record, a final row.
"""

import random
import uuid
from dataclasses import replace
from datetime import datetime, timedelta

from connectors.errors import AuthenticationError, ConnectorError, RequestRefusedError
from ctrader_app.conf import get_settings
from ctrader_app.domain import outcomes
from ctrader_app.domain.doubt import Happened, read_place
from ctrader_app.domain.facts import Placed, PlaceStatus
from ctrader_app.domain.intents import Intent, intent_of
from ctrader_app.domain.operations import FINAL, Kind, State
from ctrader_app.ledger import clock
from ctrader_app.ledger import operations as ledger
from ctrader_app.ledger.operations import Why
from ctrader_app.models import Operation
from ctrader_app.operations import gateway
from ctrader_app.operations.announce import announce
from ctrader_app.operations.gate import Denial, denial_of
from ctrader_app.operations.prepare import Prepared, prepare
from ctrader_app.operations.settle import confirmed, ended
from ctrader_app.operations.verdicts import FollowUp, Verdict

RETRY_FIRST_S = 0.25
RETRY_LAST_S = 5.0
"""What was not sent is tried again after 0.25 s, doubling up to 5 s: a restarting service is back within seconds."""

CLAIM_GOOD_FOR = timedelta(seconds=5)
"""A sender that is held up for longer between its claim and its first byte (a machine that was paused, a database that
stalled) does not send: others may take it for dead by then. ``gateway.longest_write_s`` leaves twice that."""

LONGEST_MESSAGE_DELAY_S = 10.0
"""A delayed message sits unacknowledged in a worker; anything longer is left to the sweep."""


def execute(operation_id: uuid.UUID, *, actor: str, redelivered: bool = False) -> Verdict:
    """Do what the operation's state calls for. Safe to call any number of times, from anywhere, at once.

    ``redelivered``: the broker says that this message was with another worker before, which did not finish it.
    """
    operation = ledger.get(operation_id)
    state = State(operation.state)
    if state in FINAL:
        return Verdict(state)
    if state is State.IN_DOUBT:
        return Verdict(state, (FollowUp.to_resolve(operation),))
    if state is State.SENDING:
        return _found_in_sending(operation, actor, redelivered=redelivered)
    return _try_to_send(operation, actor, redelivered=redelivered)


def _found_in_sending(operation: Operation, actor: str, *, redelivered: bool) -> Verdict:
    """It is not sent again. Its sender died there, unless a second copy of the message overtook a living one."""
    now = clock.now()
    age = None if operation.claimed_at is None else (now - operation.claimed_at).total_seconds()
    if not redelivered and age is not None and age < gateway.longest_write_s():
        return Verdict(State.SENDING)
    return into_doubt(operation, Why("found in sending: its sender died", actor), now)


def _try_to_send(operation: Operation, actor: str, *, redelivered: bool) -> Verdict:
    now = clock.now()
    if operation.deadline <= now:
        return expired(operation, "its deadline passed before it was sent", actor, now)
    if operation.not_before is not None and operation.not_before > now:
        return _again(operation, (operation.not_before - now).total_seconds())
    blocker = ledger.blocker(operation)
    if blocker is not None:
        return Verdict(State.QUEUED, blocked_by=blocker)
    intent = intent_of(Kind(operation.kind), operation.parameters)
    denial = denial_of(operation, intent)
    prepared = denial or _prepared(operation, intent)
    if prepared is None:
        return _retry_preparation(operation)
    if isinstance(prepared, Denial):
        why = Why("denied before sending", actor, prepared.message)
        return ended(operation, State.REFUSED, code=prepared.code, message=prepared.message, why=why, now=clock.now())
    return _claim_and_send(operation, prepared, actor, redelivered=redelivered)


def _prepared(operation: Operation, intent: Intent) -> Prepared | Denial | None:
    if operation.body is not None:
        return Prepared(operation.body, operation.baseline)
    try:
        return prepare(operation, intent, gateway.client(), gateway.ref_of(operation.account))
    except AuthenticationError as error:
        return Denial(outcomes.AUTHENTICATION_FAILED, error.message)
    except RequestRefusedError as error:
        return Denial(error.code, error.message)
    except ConnectorError:
        return None


def _claim_and_send(operation: Operation, prepared: Prepared, actor: str, *, redelivered: bool) -> Verdict:
    claimed = ledger.claim(operation, body=prepared.body, baseline=prepared.baseline, now=clock.now(), actor=actor)
    if not claimed:
        return _claim_lost(operation, actor, redelivered=redelivered)
    announce(operation)
    now = clock.now()
    # The database judged the deadline when it was asked, and may have granted the claim much later.
    if now >= operation.deadline or operation.claimed_at is None or now - operation.claimed_at > CLAIM_GOOD_FOR:
        return _not_sent(operation, "the sender was held up after its claim", 0.0, actor, now)
    outcome = gateway.client().write(
        gateway.ref_of(operation.account), Kind(operation.kind), prepared.body, str(operation.pk)
    )
    return _record(operation, outcome, actor)


def _claim_lost(operation: Operation, actor: str, *, redelivered: bool) -> Verdict:
    """Somebody else has it, its lane is taken, or its deadline has just passed: look again, do not send.

    Who died at its claim may have got it all the same: the database carries out what a dead client has asked for.
    """
    found = ledger.get(operation.pk)
    state = State(found.state)
    if state is State.SENDING:
        return _found_in_sending(found, actor, redelivered=redelivered)
    return _again(operation, RETRY_FIRST_S) if state is State.QUEUED else Verdict(state)


def _record(operation: Operation, outcome: outcomes.Outcome, actor: str) -> Verdict:
    now = clock.now()
    match outcome:
        case outcomes.Confirmed(answer):
            if isinstance(answer, Placed):
                answer = _with_position(operation, answer)
            return confirmed(operation, answer, Why("confirmed by the venue", actor), now)
        case outcomes.Refused(code, message):
            why = Why("refused by the venue", actor, f"{code}: {message}")
            # Who took us for dead may have replayed it, and what refused us may have let that pass.
            unless_doubted = not outcomes.is_about_the_write(code)
            return ended(
                operation, State.REFUSED, code=code, message=message, why=why, now=now, unless_doubted=unless_doubted
            )
        case outcomes.NotSent(reason, retry_after_s):
            return _not_sent(operation, reason, retry_after_s, actor, now)
        case outcomes.Unknown(reason, evidence):
            return into_doubt(operation, Why(f"unknown outcome: {reason}", actor, evidence), now)


def _with_position(operation: Operation, placed: Placed) -> Placed:
    """A fill whose answer names no position: the position that carries our id is looked up, never assumed."""
    if placed.status is not PlaceStatus.FILLED or placed.position_id is not None:
        return placed
    try:
        reading = read_place(operation.client_order_id, gateway.client().open_book(gateway.ref_of(operation.account)))
    except ConnectorError:
        return placed
    if not isinstance(reading, Happened) or not isinstance(reading.answer, Placed):
        return placed
    found = reading.answer
    price = placed.price if placed.price is not None else found.price
    return replace(placed, position_id=found.position_id, price=price)


def _not_sent(operation: Operation, reason: str, wait_s: float | None, actor: str, now: datetime) -> Verdict:
    delay_s = max(RETRY_FIRST_S / 5, wait_s) if wait_s is not None else _backoff_s(operation.attempts)
    not_before = now + timedelta(seconds=delay_s)
    why = Why(f"not executed: {reason}", actor)
    if not_before >= operation.deadline:
        return expired(operation, f"not executed ({reason}), and no time is left to try again", actor, now)
    if not ledger.requeue(operation, not_before=not_before, why=why, now=now):
        return Verdict(State(ledger.get(operation.pk).state))
    announce(operation)
    return _again(operation, delay_s)


def into_doubt(operation: Operation, why: Why, now: datetime) -> Verdict:
    """SENDING -> IN_DOUBT, and the first examination soon."""
    delay_s = RETRY_FIRST_S if get_settings().idempotent_writes else 2 * RETRY_FIRST_S
    if ledger.doubt(operation, resolve_after=now + timedelta(seconds=delay_s), why=why, now=now):
        announce(operation)
        return Verdict(State.IN_DOUBT, (FollowUp.to_resolve(operation, delay_s),))
    return Verdict(State(ledger.get(operation.pk).state))


def expired(operation: Operation, message: str, actor: str, now: datetime) -> Verdict:
    """Too late to send: a stale order must not reach the market."""
    return ended(operation, State.EXPIRED, code="EXPIRED", message=message, why=Why(message, actor), now=now)


def _retry_preparation(operation: Operation) -> Verdict:
    now = clock.now()
    delay_s = _backoff_s(operation.attempts + 2)
    ledger.postpone(operation, not_before=now + timedelta(seconds=delay_s), now=now)
    return _again(operation, delay_s)


def _again(operation: Operation, delay_s: float) -> Verdict:
    if delay_s > LONGEST_MESSAGE_DELAY_S:
        return Verdict(State.QUEUED)
    return Verdict(State.QUEUED, (FollowUp.to_execute(operation, delay_s),))


def _backoff_s(attempts: int) -> float:
    longest = min(RETRY_LAST_S, RETRY_FIRST_S * 2.0 ** max(0, attempts - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
