"""``ws/accounts/{account_id}/``: the account's figures, positions, working orders and operations, as they change.

Out: ``{"type": "account_update", "data"}``, where ``data`` has one or more of ``account_info``, ``open_positions``,
``pending_orders`` (what is absent has not changed, or is not known), and ``{"type": "operation_update", "data"}``.
At connect comes what the books know. An account that was never reconciled is, now.
"""

import asyncio
import logging
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from django.db import Error as DatabaseFailure

from ctrader_app.broadcast.groups import account_group
from ctrader_app.broadcast.messages import Message, conflation_key, make
from ctrader_app.consumers.sockets.base import Socket
from ctrader_app.consumers.sockets.hub import hub
from ctrader_app.consumers.sockets.threads import in_database_thread, in_http_thread
from ctrader_app.domain.facts import AccountFigures
from ctrader_app.domain.mt5 import account_info, pending_order_row, position_row
from ctrader_app.ledger import books
from ctrader_app.ledger.views import operation_json
from ctrader_app.models import Operation, ReconciliationRun, TradingAccount
from ctrader_app.operations import reconcile
from ctrader_app.tasks.queue import QueueUnavailable, enqueue_sync

logger = logging.getLogger(__name__)

OPERATIONS_TOLD = 200
"""The newest ones, as far as they have changed."""
CLOCKS_DIFFER = timedelta(seconds=5)
"""Between this machine and the database: an operation told twice does no harm."""


class AccountSocket(Socket):
    """One account."""

    kind = "accounts"

    account: TradingAccount | None = None
    _snapshot: asyncio.Task[None] | None = None

    async def opened(self, account: TradingAccount) -> None:
        """Join the account's group, then tell what the books know: what changes in between comes after."""
        self.account = account
        await hub().join(account_group(account.pk), self)
        self._snapshot = asyncio.create_task(self._send_snapshot(account))

    def refresh(self, since_s: float) -> None:
        """Tell what the books know now, and the operations that have changed since."""
        if self.account is None:
            return
        if self._snapshot is not None:
            self._snapshot.cancel()
        self.outbox.reopen(account_group(self.account.pk))
        self._snapshot = asyncio.create_task(self._send_snapshot(self.account, since_s))

    async def closed(self) -> None:
        """Leave the group."""
        if self._snapshot is not None:
            self._snapshot.cancel()
        if self.account is not None:
            await hub().leave(account_group(self.account.pk), self)

    async def _send_snapshot(self, account: TradingAccount, since_s: float | None = None) -> None:
        try:
            messages = await in_database_thread(snapshot_of, account, since_s)
            for message in messages:
                self.outbox.offer_first((account_group(account.pk), conflation_key(message)), message["text"])
            if not any(message["type"] == "open_positions_update" for message in messages):
                await in_http_thread(_ask_for_books, account)
        except (DatabaseFailure, QueueUnavailable) as error:
            # What changes is pushed all the same; the next socket tries again.
            logger.warning("no snapshot of account %s: %r", account.pk, error)


def snapshot_of(account: TradingAccount, since_s: float | None = None) -> list[Message]:
    """What the books know of the account; what they do not know is not among it. With ``since_s`` (epoch seconds),
    the operations that have changed since then as well, of the newest :data:`OPERATIONS_TOLD`."""
    messages: list[Message] = [] if since_s is None else _operations(account, since_s)
    figures = _figures(account)
    if figures is not None:
        messages.append(make("account_info_update", asdict(account_info(figures))))
    done = ReconciliationRun.objects.filter(account=account, state=ReconciliationRun.State.DONE)
    if done.exists():
        positions = [position_row(books.position_fact(row)) for row in books.open_positions(account)]
        orders = [pending_order_row(books.order_fact(row)) for row in books.working_orders(account)]
        messages += [make("open_positions_update", positions), make("pending_orders_update", orders)]
    return messages


def _operations(account: TradingAccount, since_s: float) -> list[Message]:
    since = datetime.fromtimestamp(since_s, UTC) - CLOCKS_DIFFER
    # By the order of creation, which has an index.
    newest = Operation.objects.filter(account=account).order_by("-sequence")[:OPERATIONS_TOLD]
    return [make("operation_update", operation_json(row)) for row in reversed(newest) if row.updated_at >= since]


def _figures(account: TradingAccount) -> AccountFigures | None:
    account.refresh_from_db()
    balance, equity, margin, free = account.balance, account.equity, account.margin, account.free_margin
    if balance is None or equity is None or margin is None or free is None:
        return None
    return AccountFigures(balance, equity, margin, free, account.margin_level, account.currency)


def _ask_for_books(account: TradingAccount) -> None:
    run = reconcile.request(account, "account page")
    enqueue_sync(run.pk)
