"""From an intent to the exact body that is sent, and what was there before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connectors.errors import ConnectionError, RequestRefusedError  # noqa: A004 - the names callers catch
from ctrader_app.connector import AccountRef, CTraderClient
from ctrader_app.domain.doubt import position_of
from ctrader_app.domain.facts import OrderType, PositionFact
from ctrader_app.domain.intents import CancelIntent, CloseIntent, Intent, ModifyIntent, PlaceIntent
from ctrader_app.domain.numbers import plain
from ctrader_app.ledger import clock
from ctrader_app.models import Operation
from ctrader_app.operations.gate import Denial
from ctrader_app.operations.listing import fill_within_lag, is_behind
from ctrader_app.wire import requests as wire


@dataclass(frozen=True, slots=True)
class Prepared:
    """``body`` in the form in which the ledger keeps it; ``baseline`` is what the write starts from."""

    body: Mapping[str, Any]
    baseline: Mapping[str, Any] | None = None


def prepare(operation: Operation, intent: Intent, client: CTraderClient, ref: AccountRef) -> Prepared | Denial:
    """Build the body; for a close or a modify read the position first. Raises ConnectorError when that fails.

    Closing needs what is open ("leave V1 of V0"), and the service takes both levels at once: a level to be kept has
    to be read, or setting the stop would delete the target. A listing that lags behind counts as a failed reading.
    """
    match intent:
        case PlaceIntent():
            return Prepared(wire.to_stored(_place_body(operation, intent, ref)))
        case CancelIntent(order_id=order_id):
            return Prepared(wire.to_stored(wire.CancelBody(account_id=ref.wire_id, order_id=order_id)))
        case CloseIntent() | ModifyIntent():
            position = position_of(client.open_book(ref), intent.position_id)
            if position is None:
                return _not_listed(operation, intent, client, ref)
            if is_behind(operation, position, clock.now()):
                raise ConnectionError(f"position {intent.position_id} is listed as it was before the last write")
            if isinstance(intent, CloseIntent):
                return _prepare_close(operation, intent, position, ref)
            return _prepare_modify(intent, position, ref)


def _not_listed(
    operation: Operation, intent: CloseIntent | ModifyIntent, client: CTraderClient, ref: AccountRef
) -> Denial:
    """It is not open, unless its fill is so young that it may not be listed yet: then its own history decides."""
    opening = fill_within_lag(operation, intent.position_id, clock.now())
    if opening is not None:
        try:
            is_closed = client.sync_data(ref, intent.position_id, str(opening.parameters["symbol"])).is_closed
        except RequestRefusedError:
            is_closed = False
        if not is_closed:
            raise ConnectionError(f"position {intent.position_id} was opened a moment ago and is not listed yet")
    return Denial("POSITION_NOT_FOUND", f"position {intent.position_id} is not open")


def _place_body(operation: Operation, intent: PlaceIntent, ref: AccountRef) -> wire.PlaceBody:
    return wire.PlaceBody(
        account_id=ref.wire_id,
        symbol=intent.symbol,
        direction=intent.direction,
        volume=intent.volume_lots,
        order_type=intent.order_type,
        limit_price=intent.price if intent.order_type is OrderType.LIMIT else None,
        stop_price=intent.price if intent.order_type is OrderType.STOP else None,
        stop_loss=intent.stop_loss,
        take_profit=intent.take_profit,
        sl_distance=intent.sl_distance,
        tp_distance=intent.tp_distance,
        client_order_id=operation.client_order_id,
        # cTrader positions carry no client order id, only label and comment: one of them has to tell whose it is.
        label=intent.label or operation.client_order_id,
        comment=intent.comment or None,
        expires_at=operation.deadline,
    )


def _prepare_close(operation: Operation, intent: CloseIntent, position: PositionFact, ref: AccountRef) -> Prepared:
    body = wire.CloseBody(
        account_id=ref.wire_id,
        position_id=intent.position_id,
        symbol=intent.symbol or position.symbol,
        volume=position.volume_lots if intent.volume_lots is None else intent.volume_lots,
        client_order_id=operation.client_order_id,
    )
    return Prepared(wire.to_stored(body), {"volume": plain(position.volume_lots)})


def _prepare_modify(intent: ModifyIntent, position: PositionFact, ref: AccountRef) -> Prepared:
    body = wire.ModifyProtectionBody(
        account_id=ref.wire_id,
        position_id=intent.position_id,
        symbol=intent.symbol or position.symbol,
        stop_loss=_target(intent.stop_loss, position.stop_loss),
        take_profit=_target(intent.take_profit, position.take_profit),
    )
    baseline = {"stop_loss": _text(position.stop_loss), "take_profit": _text(position.take_profit)}
    return Prepared(wire.to_stored(body), baseline)


def _target(wanted: Decimal | None, present: Decimal | None) -> Decimal | None:
    if wanted is None:
        return present
    return wanted if wanted else None


def _text(level: Decimal | None) -> str | None:
    return None if level is None else plain(level)
