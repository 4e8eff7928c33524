"""The books' rows: positions, working orders, deals, and the account's figures.

Every write happens inside the caller's transaction and takes the account's row first (the one order of locks), so
two writers of one account's books never interleave. On SQLite the transaction itself is that lock.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils import timezone

from ctrader_app.domain.facts import AccountFigures, Direction, OrderFact, OrderType, PositionFact
from ctrader_app.ledger import signals
from ctrader_app.models import Deal, Order, Position, TradingAccount
from ctrader_app.wire.events import PositionClosed

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


def note_closed(account: TradingAccount, closed: PositionClosed) -> bool:
    """Book an announced closure, with the row if the books did not have it. False when it was booked before.

    Never reopens and never overwrites figures that were read from the venue's deals. ``position_closed`` is sent
    after the commit. The deals are left to the reconciliation that the announcement asks for.
    """
    with transaction.atomic():
        lock_account(account.pk)
        known = Position.objects.filter(account=account, position_id=closed.position_id).first()
        if known is not None and not known.is_open:
            return False
        position = known or _unseen(account, closed)
        _close(position, closed)
        position.save()
        transaction.on_commit(lambda: announce(signals.position_closed, [position]), robust=True)
    return True


def announce(signal: Signal, positions: Iterable[Position]) -> None:
    """Send one of the ledger's signals for each; Django logs a receiver that raises, and it hinders nobody."""
    for position in positions:
        signal.send_robust(sender=Position, account=position.account, position=position)


def _unseen(account: TradingAccount, closed: PositionClosed) -> Position:
    return Position(
        account=account,
        position_id=closed.position_id,
        symbol=closed.symbol,
        direction=closed.direction.value,
        open_price=closed.open_price,
    )


def _close(position: Position, closed: PositionClosed) -> None:
    position.is_open = False
    position.volume = ZERO
    position.open_time = position.open_time or closed.open_time
    position.close_time = closed.close_time
    position.close_price = closed.close_price
    position.profit = closed.profit
    position.commission = closed.commission
    position.swap = closed.swap
    # Our clock, not the venue's: any snapshot that was asked for before this moment may still list the position.
    position.observed_at = timezone.now()


# -- for pages -------------------------------------------------------------------------------------------------


def open_positions(account: TradingAccount) -> models.QuerySet[Position]:
    """The account's open positions, oldest first."""
    return Position.objects.filter(account=account, is_open=True).order_by("open_time", "pk")


def working_orders(account: TradingAccount) -> models.QuerySet[Order]:
    """The account's working orders, oldest first."""
    return Order.objects.filter(account=account).order_by("placed_at", "pk")


def deals(account: TradingAccount, limit: int) -> models.QuerySet[Deal]:
    """The account's newest ``limit`` deals, newest first."""
    return Deal.objects.filter(account=account).order_by("-executed_at", "-pk")[:limit]


POSITION_FACT_COLUMNS = (
    *("position_id", "symbol", "direction", "volume", "open_price", "current_price", "stop_loss", "take_profit"),
    *("profit", "swap", "commission", "open_time", "client_order_id", "label", "comment"),
)
"""What a PositionFact is made of, in its own order."""


def position_fact(row: Position) -> PositionFact:
    """The row as the domain knows it."""
    return position_fact_of([getattr(row, name) for name in POSITION_FACT_COLUMNS])


def position_fact_of(values: Sequence[Any]) -> PositionFact:
    """The values of POSITION_FACT_COLUMNS as the domain knows them."""
    position_id, symbol, direction, *others = values
    return PositionFact(position_id, symbol, Direction(direction), *others)


def order_fact(row: Order) -> OrderFact:
    """The row as the domain knows it."""
    return OrderFact(
        order_id=row.order_id,
        symbol=row.symbol,
        direction=Direction(row.direction),
        order_type=OrderType(row.order_type),
        volume_lots=row.volume,
        price=row.price,
        stop_loss=row.stop_loss,
        take_profit=row.take_profit,
        created_at=row.placed_at,
        client_order_id=row.client_order_id,
        label=row.label,
    )
