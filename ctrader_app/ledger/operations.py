"""Operation rows: opened once per intent, moved only along the transition table, never deleted.

Every move is one guarded ``UPDATE ... WHERE state IN (...)``, to which the database itself adds the audit row; a move
that lost a race returns False and changes nothing.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import F, Q

from connectors.base import Mt5Dict
from connectors.errors import IdempotencyKeyReusedError
from ctrader_app.domain.idempotency import checked_key, client_order_id, fingerprint
from ctrader_app.domain.intents import Intent
from ctrader_app.domain.operations import FINAL, IN_FLIGHT, OPEN, State, sources
from ctrader_app.ledger import clock, statements
from ctrader_app.models import Operation, TradingAccount

SWEEP_BATCH = 500
"""Rows one sweep takes up; the next sweep goes on where it stopped."""

EVIDENCE_LIMIT = 4000

_FINAL = sorted(FINAL)


@dataclass(frozen=True, slots=True)
class Why:
    """Why an operation moves, for the audit trail."""

    reason: str
    actor: str
    evidence: str = ""

    def columns(self) -> dict[str, str]:
        """As the row keeps it; the database's trigger copies it to the audit trail."""
        return {
            "reason": self.reason[:200],
            "actor": self.actor[:150],
            "evidence": self.evidence[:EVIDENCE_LIMIT],
        }


def open_operation(
    account: TradingAccount, intent: Intent, *, key: str | None, ttl_s: float, now: datetime, actor: str
) -> tuple[Operation, bool]:
    """The operation of this intent and whether it is new. Joins the caller's transaction.

    The same key and parameters give the same operation back. Raises IdempotencyKeyReusedError for a key that names
    another intent, InvalidRequestError for a key that cannot be one.
    """
    operation = _draft(account, intent, key=key, ttl_s=ttl_s, now=now, why=Why("submitted", actor))
    # The unique constraint decides between rivals; a loser waits for the winner's commit and then reads it.
    if statements.insert(operation):
        return operation, True
    existing = Operation.objects.get(account=account, idempotency_key=operation.idempotency_key)
    return _same_intent(existing, operation), False


def _draft(
    account: TradingAccount, intent: Intent, *, key: str | None, ttl_s: float, now: datetime, why: Why
) -> Operation:
    operation_id = uuid.uuid4()
    parameters = intent.parameters()
    return Operation(
        id=operation_id,
        sequence=clock.now_ns(),
        account=account,
        kind=intent.kind.value,
        state=State.QUEUED.value,
        idempotency_key=str(operation_id) if key is None else checked_key(key),
        fingerprint=fingerprint(intent.kind.value, parameters),
        parameters=parameters,
        client_order_id=client_order_id(operation_id),
        lane=intent.lane,
        deadline=now + timedelta(seconds=ttl_s),
        task_id=str(operation_id),
        created_at=now,
        updated_at=now,
        **why.columns(),
    )


def _same_intent(existing: Operation, wanted: Operation) -> Operation:
    if existing.fingerprint != wanted.fingerprint:
        raise IdempotencyKeyReusedError(
            f"idempotency key {wanted.idempotency_key!r} already names another {existing.kind} operation",
            operation_id=str(existing.pk),
        )
    return existing


def get(operation_id: uuid.UUID) -> Operation:
    """The row with its account and the kill switch, in one query. Raises Operation.DoesNotExist."""
    return statements.fetch(operation_id)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an operation stands: what those need to know who wait for it."""

    operation_id: uuid.UUID
    state: State
    result: Mt5Dict | None
    error_code: str
    error_message: str


def standing(operation_id: uuid.UUID) -> Standing:
    """Where the operation stands now. Raises Operation.DoesNotExist."""
    for row in statements.standings([operation_id]):
        return _standing(row)
    raise Operation.DoesNotExist(f"no operation {operation_id}")


def ended_among(operation_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Standing]:
    """Those of the operations that are final."""
    if not operation_ids:
        return {}
    return {row["id"]: _standing(row) for row in statements.standings(operation_ids, _FINAL)}


def _standing(row: Mapping[str, Any]) -> Standing:
    return Standing(row["id"], State(row["state"]), row["result"], row["error_code"], row["error_message"])


def claim(
    operation: Operation, *, body: Mapping[str, Any], baseline: Mapping[str, Any] | None, now: datetime, actor: str
) -> bool:
    """QUEUED -> SENDING, committed before a byte leaves. False: somebody else has it, or its lane is busy.

    The deadline is compared by the database, whose clock is the one that all processes share. ``body`` is fixed
    here, so that every later replay sends exactly the same. The partial unique constraint on the lane decides
    between two writes of one position.
    """
    try:
        return _move(
            operation,
            State.SENDING,
            Why("claimed", actor),
            now,
            before_deadline=True,
            changes={"attempts": operation.attempts + 1, "claimed_at": now, "body": body, "baseline": baseline},
        )
    except IntegrityError:
        return False


def requeue(operation: Operation, *, not_before: datetime, why: Why, now: datetime) -> bool:
    """SENDING -> QUEUED: nothing was executed, it may be sent again from ``not_before`` on."""
    return _move(operation, State.QUEUED, why, now, changes={"not_before": not_before})


def postpone(operation: Operation, *, not_before: datetime, now: datetime) -> None:
    """A queued operation could not even be prepared: look again at ``not_before``."""
    Operation.objects.filter(pk=operation.pk, state=State.QUEUED.value).update(not_before=not_before, updated_at=now)


def succeed(operation: Operation, result: Mt5Dict, why: Why, now: datetime) -> bool:
    """To SUCCEEDED, with its MT5-shaped result."""
    return _move(
        operation, State.SUCCEEDED, why, now, changes={"result": result, "error_code": "", "error_message": ""}
    )


def end(
    operation: Operation,
    state: State,
    *,
    code: str,
    message: str,
    why: Why,
    now: datetime,
    unless_doubted: bool = False,
) -> bool:
    """To REFUSED, EXPIRED or FAILED, with the code and message that callers get.

    ``unless_doubted``: not if somebody has put it in doubt meanwhile.
    """
    return _move(
        operation,
        state,
        why,
        now,
        changes={"error_code": code[:80], "error_message": message[:EVIDENCE_LIMIT]},
        unless_doubted=unless_doubted,
    )


def doubt(operation: Operation, *, resolve_after: datetime, why: Why, now: datetime) -> bool:
    """SENDING -> IN_DOUBT: it may have left, and nothing says what became of it."""
    return _move(operation, State.IN_DOUBT, why, now, changes={"doubted_at": now, "resolve_after": resolve_after})


def note_resolution(operation: Operation, *, resolve_after: datetime, absences: int, why: Why, now: datetime) -> None:
    """An examined doubt stays one: keep what was seen and when to look again.

    A doubt may be examined for days; the audit trail gets a row only when what was seen is news.
    """
    Operation.objects.filter(pk=operation.pk, state=State.IN_DOUBT.value).update(
        state=State.IN_DOUBT.value,
        resolutions=F("resolutions") + 1,
        absences=absences,
        resolve_after=resolve_after,
        updated_at=now,
        **why.columns(),
    )


def note_question(operation: Operation, *, why: Why, now: datetime) -> None:
    """A person wants this doubt examined: that belongs in the audit trail, whatever comes of it."""
    Operation.objects.filter(pk=operation.pk, state=State.IN_DOUBT.value).update(
        state=State.IN_DOUBT.value, updated_at=now, **why.columns()
    )


def _move(
    operation: Operation,
    target: State,
    why: Why,
    now: datetime,
    *,
    changes: Mapping[str, object],
    before_deadline: bool = False,
    unless_doubted: bool = False,
) -> bool:
    values: dict[str, object] = {"state": target.value, "updated_at": now, **why.columns(), **changes}
    if target not in OPEN:
        values["finished_at"] = now
    allowed = sources(target) - ({State.IN_DOUBT} if unless_doubted else frozenset())
    # A sender that was taken for dead must not speak for the attempt that followed its own: attempts guards that.
    if not statements.move(operation, values, sources=sorted(allowed), before_deadline=before_deadline):
        return False
    for name, value in values.items():
        setattr(operation, name, value)
    return True


# -- lanes -----------------------------------------------------------------------------------------------------


def blocker(operation: Operation) -> uuid.UUID | None:
    """The operation of the same lane that has to end first: one in flight, or an earlier one."""
    if not operation.lane:
        return None
    rivals = Operation.objects.filter(account_id=operation.account_id, lane=operation.lane).exclude(pk=operation.pk)
    earlier = Q(sequence__lt=operation.sequence) | Q(sequence=operation.sequence, pk__lt=operation.pk)
    return (
        rivals.filter(Q(state__in=sorted(IN_FLIGHT)) | Q(state=State.QUEUED.value) & earlier)
        .order_by("sequence", "pk")
        .values_list("pk", flat=True)
        .first()
    )


def next_in_lane(operation: Operation) -> Operation | None:
    """The operation that may go now that this one has ended."""
    if not operation.lane:
        return None
    lane = Operation.objects.filter(account_id=operation.account_id, lane=operation.lane, state=State.QUEUED.value)
    return lane.order_by("sequence", "pk").only("pk", "kind").first()


# -- the sweep's questions ---------------------------------------------------------------------------------------


def overdue(now: datetime) -> list[Operation]:
    """Queued operations whose deadline has passed."""
    rows = Operation.objects.filter(state=State.QUEUED.value, deadline__lte=now)
    return list(rows.select_related("account")[:SWEEP_BATCH])


def waiting(now: datetime, idle_since: datetime) -> list[Operation]:
    """Queued operations that nobody touched since ``idle_since``: their message may be lost."""
    rows = Operation.objects.filter(
        Q(not_before__isnull=True) | Q(not_before__lte=now), state=State.QUEUED.value, updated_at__lte=idle_since
    )
    return list(rows.order_by("sequence").only("pk", "kind")[:SWEEP_BATCH])


def mark_enqueued(operation_ids: list[uuid.UUID], now: datetime) -> None:
    """Keep the sweep from enqueueing the same rows again at once."""
    Operation.objects.filter(pk__in=operation_ids, state=State.QUEUED.value).update(updated_at=now)


def abandoned(claimed_before: datetime) -> list[Operation]:
    """Operations being sent for longer than any living sender takes."""
    rows = Operation.objects.filter(state=State.SENDING.value, claimed_at__lte=claimed_before)
    return list(rows.select_related("account")[:SWEEP_BATCH])


def doubts_due(now: datetime) -> list[Operation]:
    """Operations in doubt that should be examined now, those examined least recently first."""
    rows = Operation.objects.filter(
        Q(resolve_after__isnull=True) | Q(resolve_after__lte=now), state=State.IN_DOUBT.value
    )
    return list(rows.order_by("resolve_after").only("pk", "kind")[:SWEEP_BATCH])
