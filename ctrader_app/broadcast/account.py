"""What is pushed to the sockets of one account. Shapes are the caller's; a part that is unknown is not sent at all."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from ctrader_app.broadcast.broadcaster import get_broadcaster
from ctrader_app.broadcast.groups import account_group
from ctrader_app.broadcast.messages import make

Row = Mapping[str, object]


def account_info_update(account_id: UUID | str, data: Row) -> None:
    """The account's figures: balance, equity, margin, free_margin, margin_level, currency (JSON values)."""
    _push(account_id, "account_info_update", dict(data))


def open_positions_update(account_id: UUID | str, rows: Sequence[Row]) -> None:
    """ALL open positions of the account."""
    _push(account_id, "open_positions_update", [dict(row) for row in rows])


def pending_orders_update(account_id: UUID | str, rows: Sequence[Row]) -> None:
    """ALL working orders of the account. Never for an account whose orders are not known."""
    _push(account_id, "pending_orders_update", [dict(row) for row in rows])


def operation_update(account_id: UUID | str, operation_json: Row) -> None:
    """One operation, as the JSON API shows it."""
    _push(account_id, "operation_update", dict(operation_json))


def _push(account_id: UUID | str, kind: str, content: object) -> None:
    get_broadcaster().send(account_group(account_id), make(kind, content))
