"""The command queue: open a row with the caller's transaction, enqueue it on commit."""

import uuid

from django.db import transaction

from ctrader_app.conf import get_settings
from ctrader_app.domain.intents import Intent
from ctrader_app.domain.operations import RISK_REDUCING
from ctrader_app.ledger import clock
from ctrader_app.ledger import operations as ledger
from ctrader_app.models import Operation, TradingAccount
from ctrader_app.operations.announce import announce
from ctrader_app.operations.verdicts import FollowUp, Step
from ctrader_app.tasks import names, publisher
from ctrader_app.tasks.publisher import Message, PublishError


class QueueUnavailable(Exception):  # noqa: N818 - it names the state of the queue
    """The broker did not confirm the task: whoever triggered it has to try again."""


def submit(
    account: TradingAccount, intent: Intent, *, key: str | None, ttl_s: float | None = None, actor: str = "caller"
) -> Operation:
    """The operation of this intent; it leaves when the caller's transaction commits.

    ``ttl_s`` seconds from now it is too late to send. Raises IdempotencyKeyReusedError and InvalidRequestError; a
    broker that is down raises nothing, the sweep publishes later.
    """
    settings = get_settings()
    if ttl_s is None:
        ttl_s = settings.reduce_ttl_s if intent.kind in RISK_REDUCING else settings.order_ttl_s
    operation, is_new = ledger.open_operation(account, intent, key=key, ttl_s=ttl_s, now=clock.now(), actor=actor)
    if is_new:
        # Robust: the intent is on record, and a caller who sees an error would ask for it again.
        transaction.on_commit(lambda: _leave(operation), robust=True)
    return operation


def _leave(operation: Operation) -> None:
    enqueue(FollowUp.to_execute(operation))
    announce(operation)


def enqueue(step: FollowUp) -> None:
    """Hand one step to the background publisher. Returns at once, never raises."""
    task = names.RESOLVE if step.step is Step.RESOLVE else names.OPERATION_TASKS[step.kind]
    # An operation's own task keeps the operation's id, so that its result is found in the admin.
    task_id = str(step.operation_id) if step.step is Step.EXECUTE else None
    publisher.background().hand_over(Message(task, (str(step.operation_id),), task_id, step.delay_s))


def enqueue_sync(run_id: uuid.UUID, *, delay_s: float = 0.0) -> None:
    """Publish a reconciliation and return once the broker has it. Raises QueueUnavailable within seconds."""
    try:
        publisher.confirmed(Message(names.SYNC, (str(run_id),), None, delay_s))
    except PublishError as error:
        raise QueueUnavailable(str(error)) from error
