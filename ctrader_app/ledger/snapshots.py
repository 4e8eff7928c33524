"""Bring an account's books to what the venue stated: one short transaction, a constant number of statements."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import models, transaction

from ctrader_app.domain.diff import BookDiff, KnownOrder, KnownPosition, compare
from ctrader_app.domain.endings import deal_time, ending_of, tickets_of, with_closing_deal
from ctrader_app.domain.facts import AccountFigures, OpenBook, OrderFact, PositionFact, SyncFact
from ctrader_app.ledger import reconciliations, signals
from ctrader_app.ledger.books import (
    POSITION_FACT_COLUMNS,
    ZERO,
    announce,
    lock_account,
    note_figures,
    order_fact,
    position_fact,
    position_fact_of,
)
from ctrader_app.ledger.upserts import upsert
from ctrader_app.models import Deal, Order, Position, ReconciliationRun, TradingAccount

_POSITION_KEY = ("account", "position_id")
_POSITION_CHANGES = (
    *("symbol", "direction", "volume", "open_price", "current_price", "stop_loss", "take_profit", "profit", "swap"),
    *("commission", "open_time", "client_order_id", "label", "comment", "is_open", "close_time", "close_price"),
    *("is_settled", "observed_at"),
)
_ORDER_KEY = ("account", "order_id")
_ORDER_CHANGES = (
    *("symbol", "direction", "order_type", "volume", "price", "stop_loss", "take_profit", "placed_at"),
    *("client_order_id", "label", "observed_at"),
)

IDS_PER_STATEMENT = 30_000
"""SQLite takes 32,766 parameters in a statement, PostgreSQL 65,535."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read for one run.

    ``asked_at`` is our clock before the first read. ``figures`` None: they could not be read. ``syncs`` are the
    lives of some positions by id. ``gone``: positions that complete books did not list twice and whose life the venue
    does not tell; True where it said that there is nothing to tell, False where it may yet.
    """

    asked_at: datetime
    book: OpenBook
    figures: AccountFigures | None = None
    syncs: Mapping[str, SyncFact] = field(default_factory=dict)
    gone: Mapping[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class Applied:
    """What changed, and the open book as the rows now have it. ``orders`` None: they are not known."""

    opened: list[Position]
    changed: list[Position]
    closed: list[Position]
    positions: list[PositionFact]
    orders: list[OrderFact] | None


def unsettled(account: TradingAccount, limit: int) -> list[Position]:
    """Closed positions whose deals are still to be read, those closed last first."""
    rows = Position.objects.filter(account=account, is_open=False, is_settled=False)
    return list(rows.order_by("-observed_at")[:limit])


def difference(account: TradingAccount, book: OpenBook, asked_at: datetime) -> BookDiff:
    """How the books differ from ``book`` now; nothing is locked and nothing is written."""
    return _compare(_known(account, book), _orders(account), book, asked_at)


def apply(run: ReconciliationRun, snapshot: Snapshot, *, at: datetime, note: str = "") -> Applied:
    """Write the changes, mark the run done and send the signals after the commit.

    Raises RunGoneError, and changes nothing, when the run was given up meanwhile.
    """
    account = run.account
    with transaction.atomic():
        lock_account(account.pk)
        known = _known(account, snapshot.book)
        orders = _orders(account)
        diff = _compare(known, orders, snapshot.book, snapshot.asked_at)
        changed_ids = {change.after.position_id for change in diff.changed}
        rows = _rows(account, changed_ids.union(snapshot.syncs, snapshot.gone))
        changes = _Changes(account, rows, snapshot)
        changes.collect(diff)
        changes.write()
        _write_orders(account, diff, snapshot.asked_at)
        if snapshot.figures is not None:
            note_figures(account, snapshot.figures, snapshot.asked_at)
        opened = changes.opened_rows()
        reconciliations.finish(
            run, at=at, opened=len(opened), changed=len(diff.changed), closed=len(changes.closed), note=note
        )
        applied = Applied(
            opened=opened,
            changed=[rows[change.after.position_id] for change in diff.changed if change.is_material],
            closed=changes.closed,
            positions=changes.positions_after(known),
            orders=None if snapshot.book.orders is None else _orders_after(orders, diff),
        )
        transaction.on_commit(lambda: _announce(applied), robust=True)
    return applied


def _announce(applied: Applied) -> None:
    announce(signals.position_opened, applied.opened)
    announce(signals.position_changed, applied.changed)
    announce(signals.position_closed, applied.closed)


def _known(account: TradingAccount, book: OpenBook) -> list[KnownPosition]:
    """The open positions of the books, and any closed one that ``book`` lists."""
    of_account = Position.objects.filter(account=account)
    known = _known_among(of_account.filter(is_open=True))
    others = {fact.position_id for fact in book.positions}.difference(row.fact.position_id for row in known)
    for some in _portions(others):
        known += _known_among(of_account.filter(position_id__in=some))
    return known


def _known_among(rows: "models.QuerySet[Position]") -> list[KnownPosition]:
    # Without making models of them: of ten thousand a snapshot changes ten.
    values = rows.values_list(*POSITION_FACT_COLUMNS, "observed_at", "is_open")
    return [KnownPosition(position_fact_of(fact), observed_at, is_open) for *fact, observed_at, is_open in values]


def _rows(account: TradingAccount, position_ids: Collection[str]) -> dict[str, Position]:
    found: dict[str, Position] = {}
    for some in _portions(position_ids):
        rows = Position.objects.filter(account=account, position_id__in=some)
        found |= {row.position_id: row for row in rows}
    return found


def _portions(position_ids: Collection[str]) -> Iterator[list[str]]:
    """The ids in lists that fit one statement. None for no ids."""
    ids = list(position_ids)
    for start in range(0, len(ids), IDS_PER_STATEMENT):
        yield ids[start : start + IDS_PER_STATEMENT]


def _orders(account: TradingAccount) -> dict[str, Order]:
    return {row.order_id: row for row in Order.objects.filter(account=account)}


def _compare(
    positions: Collection[KnownPosition], orders: Mapping[str, Order], book: OpenBook, asked_at: datetime
) -> BookDiff:
    return compare(
        positions,
        [KnownOrder(order_fact(row), row.observed_at) for row in orders.values()],
        book,
        asked_at,
    )


class _Changes:
    """The positions and deals that one snapshot changes.

    ``rows``: the positions that may have to be changed, by id; they are brought to their new state in place.
    """

    def __init__(self, account: TradingAccount, rows: dict[str, Position], snapshot: Snapshot) -> None:
        self._account = account
        self._rows = rows
        self._snapshot = snapshot
        self._touched: dict[str, Position] = {}
        self._opened_ids: list[str] = []
        self._deals: list[Deal] = []
        self.closed: list[Position] = []

    def collect(self, diff: BookDiff) -> None:
        for fact in diff.opened:
            self._opened_ids.append(fact.position_id)
            self._rows[fact.position_id] = Position(account=self._account, position_id=fact.position_id)
            self._state_open(fact)
        for change in diff.changed:
            self._state_open(change.after)
        vanished = {known.fact.position_id for known in diff.vanished}
        for position_id, sync in self._snapshot.syncs.items():
            row = self._rows.get(position_id)
            if row is None:
                continue
            self._deals += _deal_rows(self._account, position_fact(row), sync)
            if sync.is_closed and (position_id in vanished or not (row.is_open or row.is_settled)):
                self._settle(row, sync)
        for position_id, nothing_to_tell in self._snapshot.gone.items():
            row = self._rows.get(position_id)
            if row is not None and (position_id in vanished or not row.is_open):
                self._close(row, is_settled=nothing_to_tell)

    def _state_open(self, fact: PositionFact) -> None:
        row = self._rows[fact.position_id]
        row.symbol = fact.symbol
        row.direction = fact.direction.value
        row.volume = fact.volume_lots
        row.open_price = fact.open_price
        row.current_price = fact.current_price
        row.stop_loss = fact.stop_loss
        row.take_profit = fact.take_profit
        row.profit = fact.profit
        row.swap = fact.swap
        row.commission = fact.commission
        row.open_time = fact.open_time
        row.client_order_id = fact.client_order_id
        row.label = fact.label
        row.comment = fact.comment
        row.is_open = True
        row.is_settled = False
        row.close_time = row.close_price = None
        row.observed_at = self._snapshot.asked_at
        self._touch(row)

    def _settle(self, row: Position, sync: SyncFact) -> None:
        ending = ending_of(sync)
        row.close_time = ending.close_time or row.close_time
        row.close_price = row.close_price if ending.close_price is None else ending.close_price
        row.profit = row.profit if ending.profit is None else ending.profit
        row.commission = row.commission if ending.commission is None else ending.commission
        row.swap = row.swap if ending.swap is None else ending.swap
        self._close(row, is_settled=True)

    def _close(self, row: Position, *, is_settled: bool) -> None:
        if row.is_open:
            self.closed.append(row)
        elif row.is_settled == is_settled:
            return
        row.is_open = False
        row.is_settled = is_settled
        row.volume = ZERO
        row.observed_at = max(row.observed_at, self._snapshot.asked_at)
        self._touch(row)

    def _touch(self, row: Position) -> None:
        row.account = self._account  # the same object for every receiver of a signal, and no query for it
        self._touched[row.position_id] = row

    def write(self) -> None:
        upsert(Position, list(self._touched.values()), unique=_POSITION_KEY, update=_POSITION_CHANGES)
        upsert(Deal, self._deals, unique=("account", "ticket"))

    def opened_rows(self) -> list[Position]:
        """The new rows as the database has them, with their keys."""
        rows = list(_rows(self._account, self._opened_ids).values())
        for row in rows:
            row.account = self._account
        return rows

    def positions_after(self, known: Iterable[KnownPosition]) -> list[PositionFact]:
        """The open positions, once the changes are written."""
        facts = {row.fact.position_id: row.fact for row in known if row.is_open}
        for position_id, row in self._touched.items():
            if row.is_open:
                facts[position_id] = position_fact(row)
            else:
                facts.pop(position_id, None)
        return list(facts.values())


def _deal_rows(account: TradingAccount, position: PositionFact, sync: SyncFact) -> list[Deal]:
    deals = with_closing_deal(position, sync)
    return [
        Deal(
            account=account,
            ticket=ticket,
            order_id=deal.order_id,
            position_id=deal.position_id,
            symbol=deal.symbol,
            direction=deal.direction.value,
            is_entry=deal.is_entry,
            reason=deal.reason.value,
            volume=deal.volume_lots,
            price=deal.price,
            profit=deal.profit,
            commission=deal.commission,
            swap=deal.swap,
            executed_at=deal_time(deal),
            comment=deal.comment,
            magic=deal.magic,
            client_order_id=deal.client_order_id,
            is_invented=is_invented,
        )
        for deal, (ticket, is_invented) in zip(deals, tickets_of(account.pk, deals), strict=True)
    ]


def _write_orders(account: TradingAccount, diff: BookDiff, asked_at: datetime) -> None:
    upsert(
        Order,
        [
            Order(
                account=account,
                order_id=fact.order_id,
                symbol=fact.symbol,
                direction=fact.direction.value,
                order_type=fact.order_type.value,
                volume=fact.volume_lots,
                price=fact.price,
                stop_loss=fact.stop_loss,
                take_profit=fact.take_profit,
                placed_at=fact.created_at,
                client_order_id=fact.client_order_id,
                label=fact.label,
                observed_at=asked_at,
            )
            for fact in (*diff.orders_opened, *diff.orders_changed)
        ],
        unique=_ORDER_KEY,
        update=_ORDER_CHANGES,
    )
    if diff.orders_gone:
        gone = [known.fact.order_id for known in diff.orders_gone]
        Order.objects.filter(account=account, order_id__in=gone).delete()


def _orders_after(rows: Mapping[str, Order], diff: BookDiff) -> list[OrderFact]:
    orders = {order_id: order_fact(row) for order_id, row in rows.items()}
    orders |= {fact.order_id: fact for fact in (*diff.orders_opened, *diff.orders_changed)}
    gone = {known.fact.order_id for known in diff.orders_gone}
    return [fact for order_id, fact in orders.items() if order_id not in gone]
