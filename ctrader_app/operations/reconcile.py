"""Keep an account's books in step with its venue: one coalesced run per account reads the truth and applies it."""

from ctrader_app.ledger import reconciliations
from ctrader_app.ledger.reconciliations import waiting_runs
from ctrader_app.models import ReconciliationRun, TradingAccount

__all__ = ["request", "waiting_runs"]


def request(account: TradingAccount, cause: str) -> ReconciliationRun:
    """The account's waiting run: joined if there is one, else created. Runs in the caller's transaction.

    The caller publishes it (``tasks.queue.enqueue_sync(run.pk)``) after its commit; the sweep publishes it again if
    that was lost.
    """
    return reconciliations.request(account, cause)
