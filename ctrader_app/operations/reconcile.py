"""Keep an account's books in step with its venue: one coalesced run per account reads the truth and applies it.

A run reads over HTTP with no transaction open and applies what it read in one short one. A read that fails changes
nothing: the run is FAILED and another one waits in its place.
"""

import dataclasses
import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from connectors.errors import ConnectorError
from ctrader_app.broadcast import account as push
from ctrader_app.domain.facts import AccountFigures
from ctrader_app.domain.mt5 import account_info, pending_order_row, position_row
from ctrader_app.ledger import reconciliations, snapshots
from ctrader_app.ledger.reconciliations import RunBusyError, RunGoneError, forget_finished, waiting_runs
from ctrader_app.models import ReconciliationRun, TradingAccount
from ctrader_app.operations import gateway
from ctrader_app.operations.reading import BookReader, Reading, read

__all__ = [
    "Busy",
    "Done",
    "Failed",
    "Verdict",
    "forget_finished",
    "recover_abandoned",
    "request",
    "run",
    "waiting_runs",
]

logger = logging.getLogger(__name__)

ABANDONED_AFTER_S = 300.0
"""No living worker reads for longer: see the bounds of ctrader_app.operations.reading."""

WORKER_DIED = "its worker died"

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 300.0
"""Retries go on for as long as the venue cannot be read, ever more slowly. Far below the 30 minutes after which
RabbitMQ takes a waiting message's consumer for dead; a new trigger does not wait for them."""

_random = random.SystemRandom()


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do for this run. ``next_run`` waits and should be published, in ``next_in_s`` seconds."""

    next_run: UUID | None = None
    next_in_s: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Busy:
    """Another run of the account is reading; this one still waits, and the other's verdict will name it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """The venue could not be read; the books are as they were. ``next_run`` is to be published in ``retry_in_s``."""

    error: str
    next_run: UUID
    retry_in_s: float


Verdict = Done | Busy | Failed


def request(account: TradingAccount, cause: str) -> ReconciliationRun:
    """The account's waiting run: joined if there is one, else created. Runs in the caller's transaction.

    The caller publishes it (``tasks.queue.enqueue_sync(run.pk)``) after its commit; the sweep publishes it again if
    that was lost.
    """
    return reconciliations.request(account, cause)


def run(run_id: UUID, reader: BookReader | None = None, *, redelivered: bool = False) -> Verdict:
    """Do the waiting run ``run_id``; a message that came twice finds nothing to do.

    One that was ``redelivered`` comes from a worker that died or lost its broker or database: if the run was claimed
    and has not ended, it is given up for a new one, and what the first worker may still have read is not applied.
    Reads through this process's client unless told otherwise. Must be called with no transaction open. Raises
    django.db.Error when the database is away; the message should then be delivered again.
    """
    try:
        claimed = reconciliations.claim(run_id, timezone.now())
    except RunBusyError:
        return Busy()
    if claimed is None:
        lost = reconciliations.running(run_id) if redelivered else None
        return Done() if lost is None else _failed(lost, WORKER_DIED)
    try:
        return _do(claimed, reader or gateway.client())
    except RunGoneError:
        logger.warning("reconciliation %s took so long that it was given up; nothing of it was applied", run_id)
        return Done()
    except ConnectorError as error:
        return _failed(claimed, f"{error.code}: {error.message}")
    except Exception as error:
        # The run's own boundary: whatever went wrong, the row has to say so and somebody has to try again.
        logger.exception("reconciliation %s failed", run_id)
        return _failed(claimed, f"{type(error).__name__}: {error}")


def recover_abandoned(now: datetime) -> tuple[UUID, ...]:
    """Give up the runs whose worker died; the runs that wait in their place, to be published."""
    recovered: list[UUID] = []
    for lost in reconciliations.abandoned(now - timedelta(seconds=ABANDONED_AFTER_S)):
        try:
            recovered.append(reconciliations.fail(lost, WORKER_DIED, now).pk)
        except RunGoneError:
            continue
    return tuple(recovered)


def retry_delay_s(attempts: int) -> float:
    """Doubling from FIRST_RETRY_S to LAST_RETRY_S, each time anywhere between half of it and all of it."""
    return longest_wait_s(attempts) * _random.uniform(0.5, 1.0)


def longest_wait_s(attempts: int) -> float:
    """The upper bound of :func:`retry_delay_s`; none before the first attempt."""
    return 0.0 if attempts < 1 else min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(attempts - 1, 16))


def _do(claimed: ReconciliationRun, reader: BookReader) -> Verdict:
    reading = read(reader, claimed)
    note = "; ".join(_bounded(reading.problems))
    with transaction.atomic():  # a run that left something undone never ends without the one that goes on
        applied = snapshots.apply(claimed, reading.snapshot, at=timezone.now(), note=note)
        verdict = _next(claimed, reading)
    _show(claimed.account, applied, reading.snapshot.figures)
    return verdict


def _next(claimed: ReconciliationRun, reading: Reading) -> Done:
    if reading.problems:
        again = reconciliations.request(claimed.account, "what could not be read", attempts=claimed.attempts)
        return Done(again.pk, retry_delay_s(claimed.attempts))
    if reading.is_partial:
        return Done(reconciliations.request(claimed.account, "the rest").pk)
    return Done(reconciliations.waiting_run_of(claimed.account))


def _failed(claimed: ReconciliationRun, error: str) -> Verdict:
    try:
        again = reconciliations.fail(claimed, error, timezone.now())
    except RunGoneError:
        return Done()
    return Failed(error, again.pk, retry_delay_s(claimed.attempts))


def _bounded(problems: Sequence[str], most: int = 10) -> list[str]:
    more = [f"and {len(problems) - most} more"] if len(problems) > most else []
    return [*problems[:most], *more]


def _show(account: TradingAccount, applied: snapshots.Applied, figures: AccountFigures | None) -> None:
    push.open_positions_update(account.pk, [position_row(position) for position in applied.positions])
    if applied.orders is not None:
        push.pending_orders_update(account.pk, [pending_order_row(order) for order in applied.orders])
    if figures is not None:
        push.account_info_update(account.pk, dataclasses.asdict(account_info(figures)))
