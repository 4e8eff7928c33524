"""State events: each has its effect once, in one transaction with its inbox row, and is a trigger above all.

| event | effect |
|---|---|
| positions.snapshot | pushed to the account's sockets as it is, unless a newer one was; a reconciliation is requested |
| position.closed | the closure is booked; a reconciliation is requested |
| account.info | the figures are kept and pushed, unless newer ones are known; nothing is requested |

Requests are coalesced by the ledger: one waits per account at most. On top of that, a snapshot whose positions have
the ids, volumes and levels of the account's last snapshot asks for a reconciliation only if the last one that was
asked for is ``snapshot_s`` seconds old: services that send a snapshot with every price would otherwise keep every
account's book being read for ever, while a snapshot that shows a change always asks at once.

A snapshot never speaks for pending orders that it does not mention.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from ctrader_app.broadcast import account as push
from ctrader_app.domain.facts import OpenBook
from ctrader_app.domain.mt5 import account_info, pending_order_row, position_row
from ctrader_app.ledger import books, inbox
from ctrader_app.ledger.reconciliations import waiting_run_of
from ctrader_app.models import TradingAccount
from ctrader_app.operations import reconcile
from ctrader_app.tasks.queue import enqueue_sync
from ctrader_app.wire.errors import BadEvent, BadEventReason
from ctrader_app.wire.events import AccountInfoChanged, EventType, PositionClosed, PositionsSnapshot

StateEvent = PositionsSnapshot | PositionClosed | AccountInfoChanged

ACCOUNTS_REMEMBERED = 10_000

_Signature = frozenset[tuple[str, object, object, object]]


@dataclass(slots=True)
class _Seen:
    """What this process remembers of one account's snapshots. Losing it costs a reconciliation and a push."""

    shown_at: datetime | None = None
    signature: _Signature | None = None
    requested_at_s: float = 0.0


class StateEvents:
    """Handles the state events of one queue, one after the other. ``clock`` is monotonic seconds."""

    def __init__(self, snapshot_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._snapshot_s = snapshot_s
        self._clock = clock
        self._seen: dict[UUID, _Seen] = {}

    def handle(self, account_id: UUID, event: StateEvent) -> bool:
        """Give the event its effect; False when it had it before.

        Returns after the commit, the push, and the broker's confirmation of the reconciliation's task. Raises
        BadEvent, django.db.Error and QueueUnavailable; handling the event again is then right, whatever was done.
        """
        account = TradingAccount.objects.filter(pk=account_id).first()
        if account is None:
            raise BadEvent(BadEventReason.UNKNOWN_ACCOUNT, f"no account {account_id}")
        match event:
            case PositionsSnapshot():
                return self._snapshot(account, event)
            case PositionClosed():
                return self._closed(account, event)
            case AccountInfoChanged():
                return self._figures(account, event)

    def _snapshot(self, account: TradingAccount, event: PositionsSnapshot) -> bool:
        seen = self._seen_of(account.pk)
        signature = _signature(event.book)
        due = signature != seen.signature or self._clock() - seen.requested_at_s >= self._snapshot_s
        run_id: UUID | None = None
        with transaction.atomic():
            is_new = inbox.record(event.event_id, EventType.POSITIONS_SNAPSHOT, account, event.occurred_at)
            if is_new and due:
                run_id = reconcile.request(account, EventType.POSITIONS_SNAPSHOT).pk
        if run_id is not None:
            seen.signature, seen.requested_at_s = signature, self._clock()
        if is_new:
            self._show(account, event, seen)
        self._enqueue(account, run_id, is_new=is_new)
        return is_new

    def _show(self, account: TradingAccount, event: PositionsSnapshot, seen: _Seen) -> None:
        if seen.shown_at is not None and event.occurred_at < seen.shown_at:
            return
        seen.shown_at = event.occurred_at
        push.open_positions_update(account.pk, [position_row(position) for position in event.book.positions])
        if event.book.orders is not None:
            push.pending_orders_update(account.pk, [pending_order_row(order) for order in event.book.orders])

    def _closed(self, account: TradingAccount, event: PositionClosed) -> bool:
        run_id: UUID | None = None
        with transaction.atomic():
            is_new = inbox.record(event.event_id, EventType.POSITION_CLOSED, account, event.occurred_at)
            if is_new:
                books.note_closed(account, event)
                run_id = reconcile.request(account, EventType.POSITION_CLOSED).pk
        self._enqueue(account, run_id, is_new=is_new)
        return is_new

    def _figures(self, account: TradingAccount, event: AccountInfoChanged) -> bool:
        with transaction.atomic():
            is_new = inbox.record(event.event_id, EventType.ACCOUNT_INFO, account, event.occurred_at)
            is_news = is_new and books.note_figures(account, event.figures, event.occurred_at)
        if is_news:
            push.account_info_update(account.pk, asdict(account_info(event.figures)))
        return is_new

    def _enqueue(self, account: TradingAccount, run_id: UUID | None, *, is_new: bool) -> None:
        if not is_new:
            # Its task may be what the first delivery did not live to publish. Publishing a run twice does no harm.
            run_id = waiting_run_of(account)
        if run_id is not None:
            enqueue_sync(run_id)

    def _seen_of(self, account_id: UUID) -> _Seen:
        seen = self._seen.get(account_id)
        if seen is None:
            if len(self._seen) >= ACCOUNTS_REMEMBERED:
                del self._seen[next(iter(self._seen))]
            seen = self._seen[account_id] = _Seen()
        return seen


def _signature(book: OpenBook) -> _Signature:
    positions = ((each.position_id, each.volume_lots, each.stop_loss, each.take_profit) for each in book.positions)
    orders = ((f"order {each.order_id}", each.volume_lots, each.price, None) for each in book.orders or ())
    return frozenset((*positions, *orders))
