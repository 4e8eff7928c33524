"""Tell browsers and the host what became of an operation. Always after the commit of what is told."""

import logging

from ctrader_app.broadcast import account as account_group
from ctrader_app.domain.operations import FINAL, State
from ctrader_app.ledger.signals import operation_finished
from ctrader_app.ledger.views import operation_json
from ctrader_app.models import Operation

logger = logging.getLogger(__name__)


def announce(operation: Operation) -> None:
    """Push the operation to its account's group; send ``operation_finished`` once it is final."""
    account_group.operation_update(operation.account_id, operation_json(operation))
    if State(operation.state) not in FINAL:
        return
    for receiver, answer in operation_finished.send_robust(
        sender=Operation, operation=operation, account=operation.account
    ):
        if isinstance(answer, Exception):
            logger.error("a receiver of operation_finished failed: %r", receiver, exc_info=answer)
