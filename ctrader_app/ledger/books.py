"""The books' rows: positions, working orders, deals, and the account's figures.

Every write happens inside the caller's transaction and takes the account's row first (the one order of locks), so
two writers of one account's books never interleave. On SQLite the transaction itself is that lock.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone

from ctrader_app.domain.diff import ClosureFact, stored_number
from ctrader_app.domain.facts import AccountFigures
from ctrader_app.ledger import signals
from ctrader_app.models import Deal, Order, Position, TradingAccount

ZERO = Decimal(0)


def lock_account(account_id: UUID) -> None:
    """Let no other transaction write this account's books before ours ends. Needs an open transaction."""
    if connection.features.has_select_for_update:
        # no_key: rows that merely refer to the account (operations, events) can go on being inserted.
        accounts = TradingAccount.objects.select_for_update(no_key=True).filter(pk=account_id)
        accounts.values_list("pk").first()


def note_figures(account: TradingAccount, figures: AccountFigures, at: datetime) -> bool:
    """Keep the account's figures as stated at ``at``; False, and no change, when newer ones are known.

    A statement from the future is taken as made now: a venue whose clock runs ahead must not be able to make every
    later statement look old.
    """
    at = min(at, timezone.now())
    older = Q(figures_at__isnull=True) | Q(figures_at__lte=at)
    return bool(
        TradingAccount.objects.filter(older, pk=account.pk).update(
            balance=figures.balance,
            equity=figures.equity,
            margin=figures.margin,
            free_margin=figures.free_margin,
            margin_level=figures.margin_level,
            currency=figures.currency[:8],
            figures_at=at,
        )
    )


def note_closed(account: TradingAccount, closure: ClosureFact, occurred_at: datetime) -> bool:
    """Book an announced closure, with the row if the books did not have it. False when it was booked before.

    Never reopens and never overwrites figures that were read from the venue's deals. ``position_closed`` is sent
    after the commit. The deals are left to the reconciliation that the announcement asks for.
    """
    with transaction.atomic():
        lock_account(account.pk)
        position = Position.objects.filter(account=account, position_id=closure.position_id).first()
        if position is not None and not position.is_open:
            return False
        if position is None:
            position = _unseen(account, closure)
        _close(position, closure, occurred_at)
        position.save()
        closed = position
        transaction.on_commit(lambda: announce_closed([closed]), robust=True)
    return True


def announce_closed(positions: list[Position]) -> None:
    """Send ``position_closed`` for each; a receiver that raises is logged by Django and hinders nobody."""
    for position in positions:
        signals.position_closed.send_robust(sender=Position, account=position.account, position=position)


def _unseen(account: TradingAccount, closure: ClosureFact) -> Position:
    return Position(
        account=account,
        position_id=closure.position_id,
        symbol=closure.symbol,
        direction=closure.direction.value,
        open_price=closure.open_price,
        open_time=closure.open_time,
    )


def _close(position: Position, closure: ClosureFact, occurred_at: datetime) -> None:
    position.is_open = False
    position.volume = ZERO
    position.close_time = closure.close_time or occurred_at
    position.close_price = stored_number(closure.close_price)
    position.open_time = position.open_time or closure.open_time
    for name in ("profit", "commission", "swap"):
        stated: Decimal | None = getattr(closure, name)
        if stated is not None:
            setattr(position, name, stored_number(stated))
    # Our clock, not the venue's: any snapshot that was asked for before this moment may still list the position.
    position.observed_at = timezone.now()


def open_positions(account: TradingAccount) -> models.QuerySet[Position]:
    """The account's open positions, oldest first."""
    return Position.objects.filter(account=account, is_open=True).order_by("open_time", "pk")


def working_orders(account: TradingAccount) -> models.QuerySet[Order]:
    """The account's working orders, oldest first."""
    return Order.objects.filter(account=account).order_by("placed_at", "pk")


def deals(account: TradingAccount, limit: int) -> models.QuerySet[Deal]:
    """The account's newest ``limit`` deals, newest first."""
    return Deal.objects.filter(account=account).order_by("-executed_at", "-pk")[:limit]
