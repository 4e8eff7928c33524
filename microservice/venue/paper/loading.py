"""Reads the books back from the ledger: at the start, and after a transaction that was rolled back."""

from decimal import Decimal
from typing import Any

from microservice.database import Database
from microservice.venue.model import Direction, OrderType, TimeInForce
from microservice.venue.paper.books import Account, Books, PendingOrder, Position


def load_books(database: Database) -> Books:
    """Return the accounts with their open positions and waiting orders."""
    books = Books()
    for row in database.execute(
        "SELECT account_id, internal_account_id, broker_login, currency, leverage, balance, connected"
        " FROM paper_accounts"
    ):
        name, internal, login, currency, leverage, balance, connected = row
        books.add_account(
            Account(name, internal, login, currency, leverage, Decimal(balance), connected=bool(connected))
        )
    for row in database.execute(
        "SELECT id, account_id, symbol, direction, opened_lots, lots, open_price, stop_loss, take_profit, commission,"
        " opened_ms, client_order_id, label, comment, swap, booked_profit, booked_swap, booked_commission"
        " FROM paper_positions WHERE closed_ms IS NULL ORDER BY id"
    ):
        books.add_position(_position(row))
    for row in database.execute(
        "SELECT id, account_id, symbol, direction, order_type, lots, price, stop_loss, take_profit, sl_distance,"
        " tp_distance, time_in_force, good_till_ms, created_ms, client_order_id, label, comment"
        " FROM paper_orders WHERE status = 'pending' ORDER BY id"
    ):
        books.add_order(_order(row))
    return books


def _optional(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _position(row: tuple[Any, ...]) -> Position:  # sqlite3 does not type its rows
    return Position(
        id=row[0],
        account_id=row[1],
        symbol=row[2],
        direction=Direction(row[3]),
        opened_lots=Decimal(row[4]),
        lots=Decimal(row[5]),
        open_price=Decimal(row[6]),
        stop_loss=_optional(row[7]),
        take_profit=_optional(row[8]),
        commission=Decimal(row[9]),
        opened_ms=row[10],
        client_order_id=row[11],
        label=row[12],
        comment=row[13],
        swap=Decimal(row[14]),
        booked_profit=Decimal(row[15]),
        booked_swap=Decimal(row[16]),
        booked_commission=Decimal(row[17]),
    )


def _order(row: tuple[Any, ...]) -> PendingOrder:
    return PendingOrder(
        id=row[0],
        account_id=row[1],
        symbol=row[2],
        direction=Direction(row[3]),
        order_type=OrderType(row[4]),
        lots=Decimal(row[5]),
        price=Decimal(row[6]),
        stop_loss=_optional(row[7]),
        take_profit=_optional(row[8]),
        sl_distance=_optional(row[9]),
        tp_distance=_optional(row[10]),
        time_in_force=TimeInForce(row[11]),
        good_till_ms=row[12],
        created_ms=row[13],
        client_order_id=row[14],
        label=row[15],
        comment=row[16],
    )
