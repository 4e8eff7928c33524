"""The writes: place, close, modify protection, cancel. Each records one operation and answers with it.

202 while it is not final, 200 once it succeeded, 422 once it was refused, expired or failed.
"""

from collections.abc import Callable
from decimal import Decimal
from http import HTTPStatus

from msgspec import UnsetType

from connectors.base import Mt5Dict, OperationHandle
from connectors.errors import WriteError
from connectors.trading_service import TradingService
from ctrader_app.desk.api.errors import bad_request, operation_not_found
from ctrader_app.desk.api.replies import Reply
from ctrader_app.desk.api.requests import Call, parsed_uuid
from ctrader_app.desk.api.schemas import ClosePosition, ModifyProtection, PlaceTrade
from ctrader_app.domain.operations import FINAL, Kind, State
from ctrader_app.ledger.views import operation_json
from ctrader_app.models import Operation, TradingAccount


def place(call: Call) -> Reply:
    """POST accounts/{id}/trades."""
    body = call.body_as(PlaceTrade)
    lot_size = _one_volume(body)
    return _submit(
        call,
        Kind.PLACE,
        lambda service, key: service.submit_place_trade(
            body.symbol,
            lot_size,
            body.direction,
            body.stop_loss,
            body.take_profit,
            body.order_type,
            body.limit_price,
            body.sl_distance,
            body.tp_distance,
            idempotency_key=key,
            label=body.label,
            comment=body.comment,
            ttl=body.ttl,
        ),
    )


def close(call: Call) -> Reply:
    """POST accounts/{id}/positions/{position_id}/close."""
    body = call.body_as(ClosePosition)
    return _submit(
        call,
        Kind.CLOSE,
        lambda service, key: service.submit_close_position(
            call.path["position_id"], body.volume, body.symbol, idempotency_key=key
        ),
    )


def modify_protection(call: Call) -> Reply:
    """PATCH accounts/{id}/positions/{position_id}/protection."""
    body = call.body_as(ModifyProtection)
    return _submit(
        call,
        Kind.MODIFY,
        lambda service, key: service.submit_modify_position_protection(
            call.path["position_id"],
            body.symbol,
            _level(body.stop_loss),
            _level(body.take_profit),
            idempotency_key=key,
        ),
    )


def cancel(call: Call) -> Reply:
    """DELETE accounts/{id}/orders/{order_id}."""
    return _submit(
        call,
        Kind.CANCEL,
        lambda service, key: service.submit_cancel_order(call.path["order_id"], idempotency_key=key),
    )


def operation(call: Call) -> Reply:
    """GET operations/{operation_id}: always 200 when it is the caller's, whatever became of it."""
    key = parsed_uuid(call.path["operation_id"])
    row = Operation.objects.filter(pk=key, account__user_id=call.user.pk).first() if key else None
    if row is None:
        raise operation_not_found()
    return Reply(operation_json(row))


def operations(call: Call) -> Reply:
    """GET accounts/{id}/operations: the newest first."""
    rows = Operation.objects.filter(account=call.account()).order_by("-sequence")
    return Reply([operation_json(row) for row in rows[: call.whole_number("limit", default=50, largest=500)]])


def _submit(call: Call, kind: Kind, submit: Callable[[TradingService, str | None], OperationHandle]) -> Reply:
    account = call.account()
    wait_s = call.wait_s()
    key = call.idempotency_key()
    handle = submit(TradingService(account), key)
    error: WriteError | None = None
    if wait_s > 0:
        try:
            handle.wait(wait_s)
        except WriteError as refused:  # what the operation says below is all of it, and newer
            error = refused
    answer = _recorded(account, handle) or _stated(str(account.pk), handle, kind, key, error)
    return Reply(answer, _status(str(answer["state"])), {"Location": f"{call.api_root}operations/{answer['id']}"})


def _recorded(account: TradingAccount, handle: OperationHandle) -> Mt5Dict | None:
    key = parsed_uuid(handle.operation_id)
    row = Operation.objects.filter(pk=key, account=account).first() if key else None
    return None if row is None else operation_json(row)


def _stated(account_id: str, handle: OperationHandle, kind: Kind, key: str | None, error: WriteError | None) -> Mt5Dict:
    """The operation of a platform that keeps its own records instead of our ledger, as far as its handle tells."""
    state = handle.state
    return {
        "id": handle.operation_id,
        "account_id": account_id,
        "kind": kind.value,
        "state": state,
        "idempotency_key": key or "",
        "client_order_id": "",
        "parameters": {},
        "attempts": 0,
        "created_at": None,
        "finished_at": None,
        "result": handle.result,
        "error": {"code": error.code, "message": error.message} if error and state != State.SUCCEEDED else None,
    }


def _status(state: str) -> HTTPStatus:
    if state == State.SUCCEEDED:
        return HTTPStatus.OK
    return HTTPStatus.UNPROCESSABLE_ENTITY if state in FINAL else HTTPStatus.ACCEPTED


def _one_volume(body: PlaceTrade) -> Decimal:
    given = {volume for volume in (body.lot_size, body.volume) if not isinstance(volume, UnsetType)}
    if len(given) != 1:
        raise bad_request("lot_size is missing." if not given else "lot_size and volume differ: give one of them.")
    return given.pop()


def _level(value: Decimal | UnsetType | None) -> Decimal | None:
    """TradingService says None for "keep" and 0 for "remove"; JSON says it with absence and null."""
    if isinstance(value, UnsetType):
        return None
    return Decimal(0) if value is None else value
