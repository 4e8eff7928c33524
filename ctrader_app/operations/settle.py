"""Turn what is known into a final state and its MT5-shaped result."""

from datetime import datetime

from connectors.base import Mt5Dict
from ctrader_app.domain import mt5
from ctrader_app.domain.facts import Cancelled, CancelStatus, Closed, Placed, Protected, WriteAnswer
from ctrader_app.domain.intents import PlaceIntent
from ctrader_app.domain.operations import State
from ctrader_app.ledger import operations as ledger
from ctrader_app.ledger.operations import Why
from ctrader_app.models import Operation
from ctrader_app.operations.announce import announce
from ctrader_app.operations.verdicts import FollowUp, Verdict


def confirmed(operation: Operation, answer: WriteAnswer, why: Why, now: datetime) -> Verdict:
    """The venue did what it answered: succeeded, but for a cancellation that came after the fill."""
    if isinstance(answer, Cancelled) and answer.status is CancelStatus.FILLED:
        message = f"order {answer.order_id} had filled: there was nothing left to cancel"
        return ended(operation, State.REFUSED, code="ORDER_FILLED", message=message, why=why, now=now)
    if not ledger.succeed(operation, _result(operation, answer), why, now):
        return _settled_elsewhere(operation)
    return finished(operation)


def ended(
    operation: Operation,
    state: State,
    *,
    code: str,
    message: str,
    why: Why,
    now: datetime,
    unless_doubted: bool = False,
) -> Verdict:
    """To REFUSED, EXPIRED or FAILED; ``unless_doubted``: not if somebody has put it in doubt meanwhile."""
    if not ledger.end(operation, state, code=code, message=message, why=why, now=now, unless_doubted=unless_doubted):
        return _settled_elsewhere(operation)
    return finished(operation)


def _settled_elsewhere(operation: Operation) -> Verdict:
    return Verdict(State(ledger.get(operation.pk).state))


def finished(operation: Operation) -> Verdict:
    """Announce it and let the next of its lane go."""
    announce(operation)
    following = ledger.next_in_lane(operation)
    follow_ups = () if following is None else (FollowUp.to_execute(following),)
    return Verdict(State(operation.state), follow_ups)


def _result(operation: Operation, answer: WriteAnswer) -> Mt5Dict:
    operation_id = str(operation.pk)
    match answer:
        case Placed():
            return mt5.place_result(operation_id, PlaceIntent.of_parameters(operation.parameters), answer)
        case Closed():
            return mt5.close_result(answer)
        case Protected():
            return mt5.modify_result(operation_id, answer)
        case Cancelled():
            return mt5.cancel_result(answer)
