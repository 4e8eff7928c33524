"""Reads of the past, straight from the ledger: deals, orders, one position's story, and what really happened."""

from decimal import Decimal
from typing import Any

import msgspec

from microservice.clock import utc
from microservice.database import Database
from microservice.venue.base import not_found
from microservice.venue.model import DealReason, DealRow, Direction, OrderRecord, OrderType, SyncData

_DEALS = (
    "SELECT id, order_id, position_id, symbol, direction, entry, lots, price, profit, commission, swap, reason,"
    " time_ms, client_order_id, comment FROM paper_deals"
)
_ORDERS = (
    "SELECT id, status, symbol, direction, order_type, lots, price, fill_price, position_id, deal_id, closing,"
    " created_ms, finished_ms, client_order_id, label, comment FROM paper_orders"
)

_CHOSEN = "(?1 IS NULL OR client_order_id = ?1) AND (?2 IS NULL OR account_id = ?2)"
_COUNT_ORDERS = (
    "SELECT count(*), coalesce(sum(status = 'pending'), 0), coalesce(sum(status = 'filled'), 0),"  # noqa: S608
    " coalesce(sum(status IN ('cancelled', 'expired')), 0) FROM paper_orders"
    f" WHERE closing = 0 AND {_CHOSEN} AND (?3 IS NULL OR position_id = ?3)"
)
_COUNT_DEALS = (
    "SELECT coalesce(sum(entry = 0), 0), coalesce(sum(entry = 1), 0), count(*) FROM paper_deals"  # noqa: S608
    f" WHERE {_CHOSEN} AND (?3 IS NULL OR position_id = ?3)"
)
_COUNT_POSITIONS = f"SELECT count(*) FROM paper_positions WHERE {_CHOSEN} AND (?3 IS NULL OR id = ?3)"  # noqa: S608
_COUNT_CHANGES = (
    "SELECT coalesce(sum(kind = 'modify'), 0), coalesce(sum(kind = 'cancel'), 0) FROM paper_changes"  # noqa: S608
    f" WHERE {_CHOSEN} AND (?3 IS NULL OR position_id = ?3)"
)


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What really happened at the venue, counted from its ledger.

    ``orders`` were placed (not the closing ones), ``opens`` and ``closes`` are deals, ``positions`` came to be.
    """

    orders: int
    pending: int
    filled: int
    cancelled: int
    opens: int
    closes: int
    deals: int
    positions: int
    modifications: int
    cancellations: int


class Reports:
    """Queries over the ledger. Raises Refusal for what is unknown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def order_status(self, account_id: str, order_id: int) -> str | None:
        """Return the status of an order that was placed (not of a closing one), None if there is none."""
        row = self._database.execute(
            "SELECT status FROM paper_orders WHERE id = ? AND account_id = ? AND closing = 0",
            (order_id, account_id),
        ).fetchone()
        return None if row is None else str(row[0])

    def deals(self, account_id: str, start_ms: int, end_ms: int, limit: int) -> list[DealRow]:
        """Return the deals with ``start_ms <= time <= end_ms``, oldest first, at most ``limit``."""
        rows = self._database.execute(
            f"{_DEALS} WHERE account_id = ? AND time_ms BETWEEN ? AND ? ORDER BY id LIMIT ?",
            (account_id, start_ms, end_ms, limit),
        )
        return [_deal(row) for row in rows]

    def orders(
        self, account_id: str, client_order_id: str | None, order_id: int | None, limit: int
    ) -> list[OrderRecord]:
        """Return orders of an account, newest first."""
        rows = self._database.execute(
            f"{_ORDERS} WHERE account_id = ?1 AND (?2 IS NULL OR client_order_id = ?2)"
            " AND (?3 IS NULL OR id = ?3) ORDER BY id DESC LIMIT ?4",
            (account_id, client_order_id, order_id, limit),
        )
        return [_order(row) for row in rows]

    def sync_data(self, account_id: str, position_id: int) -> SyncData:
        """Tell the story of one position. Raises Refusal POSITION_NOT_FOUND."""
        row = self._database.execute(
            "SELECT symbol, lots, booked_profit, booked_commission, booked_swap, closed_ms FROM paper_positions"
            " WHERE id = ? AND account_id = ?",
            (position_id, account_id),
        ).fetchone()
        if row is None:
            raise not_found("POSITION_NOT_FOUND", f"no position {position_id}")
        rows = self._database.execute(f"{_DEALS} WHERE position_id = ? ORDER BY id", (position_id,))
        deals = [_deal(deal) for deal in rows]
        closed = row[5] is not None
        return SyncData(
            position_id=str(position_id),
            symbol=row[0],
            deals=deals,
            is_closed_on_platform=closed,
            platform_remaining_size=Decimal(row[1]),
            latest_deal_timestamp=deals[-1].time,
            last_deal_price=deals[-1].price,
            final_profit=Decimal(row[2]) if closed else None,
            final_commission=Decimal(row[3]) if closed else None,
            final_swap=Decimal(row[4]) if closed else None,
        )

    def effects(self, *, client_order_id: str | None, account_id: str | None, position_id: int | None) -> Effects:
        """Count effects by any of the three; deals of a position opened by the client order count as its own."""
        chosen = (client_order_id, account_id, position_id)
        orders = self._database.execute(_COUNT_ORDERS, chosen).fetchone()
        deals = self._database.execute(_COUNT_DEALS, chosen).fetchone()
        (positions,) = self._database.execute(_COUNT_POSITIONS, chosen).fetchone()
        changes = self._database.execute(_COUNT_CHANGES, chosen).fetchone()
        return Effects(
            orders=orders[0],
            pending=orders[1],
            filled=orders[2],
            cancelled=orders[3],
            opens=deals[0],
            closes=deals[1],
            deals=deals[2],
            positions=positions,
            modifications=changes[0],
            cancellations=changes[1],
        )


def _deal(row: tuple[Any, ...]) -> DealRow:  # sqlite3 does not type its rows
    direction = Direction(row[4])
    return DealRow(
        ticket=row[0],
        deal_id=str(row[0]),
        order=row[1],
        order_id=str(row[1]),
        position_id=str(row[2]),
        time=row[12] // 1000,
        time_msc=row[12],
        type=0 if direction is Direction.BUY else 1,
        direction=direction,
        entry=row[5],
        reason=row[11],
        reason_name=DealReason(row[11]).name.lower(),
        volume=Decimal(row[6]),
        price=Decimal(row[7]),
        profit=Decimal(row[8]),
        commission=Decimal(row[9]),
        swap=Decimal(row[10]),
        symbol=row[3],
        comment=row[14] or "",
        client_order_id=row[13],
    )


def _order(row: tuple[Any, ...]) -> OrderRecord:
    price = row[7] or row[6]
    return OrderRecord(
        order_id=str(row[0]),
        status=row[1],
        symbol=row[2],
        direction=Direction(row[3]),
        order_type=OrderType(row[4]),
        volume=Decimal(row[5]),
        price=Decimal(price) if price else None,
        position_id=None if row[8] is None else str(row[8]),
        deal_id=None if row[9] is None else str(row[9]),
        closing=bool(row[10]),
        created_at=utc(row[11]),
        finished_at=None if row[12] is None else utc(row[12]),
        client_order_id=row[13],
        label=row[14],
        comment=row[15],
    )
