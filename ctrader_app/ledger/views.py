"""Operations as other processes and browsers see them."""

from typing import Any

from ctrader_app.domain.mt5 import iso
from ctrader_app.models import Operation


def operation_json(operation: Operation) -> dict[str, Any]:
    """The operation in the shape of the JSON API and of ``operation_update`` messages."""
    error = None
    if operation.error_code:
        error = {"code": operation.error_code, "message": operation.error_message}
    return {
        "id": str(operation.pk),
        "account_id": str(operation.account_id),
        "kind": operation.kind,
        "state": operation.state,
        "idempotency_key": operation.idempotency_key,
        "client_order_id": operation.client_order_id,
        "parameters": operation.parameters,
        "attempts": operation.attempts,
        "created_at": iso(operation.created_at),
        "finished_at": None if operation.finished_at is None else iso(operation.finished_at),
        "result": operation.result,
        "error": error,
    }
