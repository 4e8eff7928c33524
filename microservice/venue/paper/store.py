"""Reads and writes of the venue's ledger; every write runs inside the transaction of its caller."""

from decimal import Decimal

from microservice.database import Database
from microservice.venue.model import DealReason, Direction
from microservice.venue.paper.books import Account, OrderStatus, PendingOrder, Position
from microservice.venue.paper.schema import SCHEMA

# Each kind of id counts from its own base, so that one handed over in place of another is never found by accident.
_FIRST_ID = {"paper_orders": 10_000_001, "paper_positions": 20_000_001, "paper_deals": 30_000_001}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


class LedgerStore:
    """The tables of accounts, orders, positions and deals. Rows of the past are never deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.create(SCHEMA)
        self._next: dict[str, int] = {}
        self.reset_ids()

    def reset_ids(self) -> None:
        """Count on from what is really in the tables (after a start or a rollback)."""
        for table, first in _FIRST_ID.items():
            (last,) = self._database.execute(f"SELECT max(id) FROM {table}").fetchone()  # noqa: S608 - constant
            self._next[table] = first if last is None else last + 1

    def _take(self, table: str) -> int:
        taken = self._next[table]
        self._next[table] = taken + 1
        return taken

    def next_order_id(self) -> int:
        """Take the next order id."""
        return self._take("paper_orders")

    def next_position_id(self) -> int:
        """Take the next position id."""
        return self._take("paper_positions")

    def meta(self, name: str) -> str | None:
        """Return a remembered value."""
        row = self._database.execute("SELECT value FROM paper_meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Remember a value."""
        self._database.execute("INSERT OR REPLACE INTO paper_meta (name, value) VALUES (?, ?)", (name, value))

    def save_account(self, account: Account, now_ms: int) -> None:
        """Write an account."""
        self._database.execute(
            "INSERT INTO paper_accounts (account_id, internal_account_id, broker_login, currency, leverage,"
            " balance, connected, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (account_id) DO UPDATE SET internal_account_id = excluded.internal_account_id,"
            " broker_login = excluded.broker_login, balance = excluded.balance, connected = excluded.connected",
            (
                account.account_id,
                account.internal_account_id,
                account.broker_login,
                account.currency,
                account.leverage,
                str(account.balance),
                account.connected,
                now_ms,
            ),
        )

    def insert_pending(self, order: PendingOrder) -> None:
        """Write a waiting order."""
        self._insert_order(order, OrderStatus.PENDING, None, None)

    def insert_finished(
        self, order: PendingOrder, status: OrderStatus, now_ms: int, reason: str | None, *, closing: bool = False
    ) -> None:
        """Write an order that never waited."""
        self._insert_order(order, status, now_ms, reason, closing=closing)

    def _insert_order(
        self, order: PendingOrder, status: OrderStatus, now_ms: int | None, reason: str | None, *, closing: bool = False
    ) -> None:
        self._database.execute(
            "INSERT INTO paper_orders (id, account_id, symbol, direction, order_type, lots, price, stop_loss,"
            " take_profit, sl_distance, tp_distance, time_in_force, good_till_ms, status, closing, reason,"
            " client_order_id, label, comment, created_ms, finished_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                order.id,
                order.account_id,
                order.symbol,
                order.direction.value,
                order.order_type.value,
                str(order.lots),
                str(order.price),
                _text(order.stop_loss),
                _text(order.take_profit),
                _text(order.sl_distance),
                _text(order.tp_distance),
                order.time_in_force.value,
                order.good_till_ms,
                status,
                closing,
                reason,
                order.client_order_id,
                order.label,
                order.comment,
                order.created_ms,
                now_ms,
            ),
        )

    def finish_order(self, order_id: int, status: OrderStatus, now_ms: int, reason: str | None = None) -> None:
        """Write that an order waits no longer."""
        self._database.execute(
            "UPDATE paper_orders SET status = ?, finished_ms = ?, reason = ? WHERE id = ?",
            (status, now_ms, reason, order_id),
        )

    def link_order(self, order_id: int, position_id: int, deal_id: int, fill_price: Decimal) -> None:
        """Write what came of an order."""
        self._database.execute(
            "UPDATE paper_orders SET position_id = ?, deal_id = ?, fill_price = ? WHERE id = ?",
            (position_id, deal_id, str(fill_price), order_id),
        )

    def insert_position(self, position: Position) -> None:
        """Write an opened position."""
        self._database.execute(
            "INSERT INTO paper_positions (id, account_id, symbol, direction, opened_lots, lots, open_price,"
            " stop_loss, take_profit, swap, commission, booked_profit, booked_swap, booked_commission, opened_ms,"
            " client_order_id, label, comment) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                position.id,
                position.account_id,
                position.symbol,
                position.direction.value,
                str(position.opened_lots),
                str(position.lots),
                str(position.open_price),
                _text(position.stop_loss),
                _text(position.take_profit),
                str(position.swap),
                str(position.commission),
                str(position.booked_profit),
                str(position.booked_swap),
                str(position.booked_commission),
                position.opened_ms,
                position.client_order_id,
                position.label,
                position.comment,
            ),
        )

    def update_position(self, position: Position, closed_ms: int | None = None) -> None:
        """Write what changed of a position, or that it is closed."""
        self._database.execute(
            "UPDATE paper_positions SET lots = ?, stop_loss = ?, take_profit = ?, swap = ?, commission = ?,"
            " booked_profit = ?, booked_swap = ?, booked_commission = ?, closed_ms = ? WHERE id = ?",
            (
                str(position.lots),
                _text(position.stop_loss),
                _text(position.take_profit),
                str(position.swap),
                str(position.commission),
                str(position.booked_profit),
                str(position.booked_swap),
                str(position.booked_commission),
                closed_ms,
                position.id,
            ),
        )

    def insert_deal(
        self,
        position: Position,
        order_id: int,
        direction: Direction,
        entry: int,
        lots: Decimal,
        price: Decimal,
        costs: tuple[Decimal, Decimal, Decimal],
        reason: DealReason,
        now_ms: int,
        client_order_id: str | None,
    ) -> int:
        """Write a deal, ``costs`` being profit, commission and swap, and return its id."""
        deal_id = self._take("paper_deals")
        profit, commission, swap = costs
        self._database.execute(
            "INSERT INTO paper_deals (id, account_id, order_id, position_id, symbol, direction, entry, lots, price,"
            " profit, commission, swap, reason, time_ms, client_order_id, comment)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                deal_id,
                position.account_id,
                order_id,
                position.id,
                position.symbol,
                direction.value,
                entry,
                str(lots),
                str(price),
                str(profit),
                str(commission),
                str(swap),
                int(reason),
                now_ms,
                client_order_id,
                position.comment,
            ),
        )
        return deal_id

    def insert_change(
        self,
        account_id: str,
        kind: str,
        now_ms: int,
        *,
        position: Position | None = None,
        order: PendingOrder | None = None,
    ) -> None:
        """Write that a protection was set or an order taken back, so that effects can be counted."""
        subject = position or order
        self._database.execute(
            "INSERT INTO paper_changes (account_id, kind, position_id, order_id, client_order_id, time_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                account_id,
                kind,
                position.id if position else None,
                order.id if order else None,
                subject.client_order_id if subject else None,
                now_ms,
            ),
        )
