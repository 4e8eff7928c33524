"""Look at the account for what became of a write. Nothing here sends or records anything."""

from decimal import Decimal
from typing import Any

from django.db.models import Q

from connectors.errors import RequestRefusedError
from ctrader_app.domain import doubt, mt5
from ctrader_app.domain.facts import OpenBook, OrderTrace, OrderType, SyncFact
from ctrader_app.domain.intents import CancelIntent, CloseIntent, ModifyIntent, PlaceIntent, intent_of
from ctrader_app.domain.operations import Kind, State
from ctrader_app.models import Operation, Order, Position
from ctrader_app.operations import gateway


def look(operation: Operation) -> doubt.Reading:
    """What the account shows of this operation. Raises ConnectorError when it cannot be read."""
    intent = intent_of(Kind(operation.kind), operation.parameters)
    book = gateway.client().open_book(gateway.ref_of(operation.account))
    body: dict[str, Any] = operation.body or {}
    baseline: dict[str, Any] = operation.baseline or {}
    match intent:
        case PlaceIntent():
            history = gateway.client().order_history(gateway.ref_of(operation.account), operation.client_order_id)
            is_market = intent.order_type is OrderType.MARKET
            return doubt.read_place(operation.client_order_id, book, history, is_market=is_market)
        case CloseIntent(position_id=position_id):
            if "volume" not in baseline or "volume" not in body:
                return doubt.Inconclusive("what was open before is not known")
            before, volume = Decimal(str(baseline["volume"])), Decimal(str(body["volume"]))
            return doubt.read_close(position_id, before, volume, book, _life_of(operation, position_id))
        case ModifyIntent(position_id=position_id):
            return doubt.read_modify(position_id, _levels(baseline), _levels(body), book)
        case CancelIntent(order_id=order_id):
            return _look_for_order(operation, order_id, book)


def _life_of(operation: Operation, position_id: str) -> SyncFact | None:
    symbol = str((operation.body or {}).get("symbol", ""))
    try:
        return gateway.client().sync_data(gateway.ref_of(operation.account), position_id, symbol)
    except RequestRefusedError:
        return None


def _levels(values: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    def level(name: str) -> Decimal | None:
        value = values.get(name)
        return None if value is None else Decimal(str(value))

    return level("stop_loss"), level("take_profit")


# -- cancellations -----------------------------------------------------------------------------------------------


def _look_for_order(operation: Operation, order_id: str, book: OpenBook) -> doubt.Reading:
    placed_as = _client_order_id_of(operation, order_id)
    return doubt.read_cancel(
        order_id,
        book,
        _positions_of(operation, placed_as, book) if placed_as else (),
        _trace_of(operation, order_id, placed_as) if placed_as else None,
        was_gone=_was_cancelled_before(operation),
    )


def _client_order_id_of(operation: Operation, order_id: str) -> str:
    """Under which client order id this order was placed, by the books or the ledger; "" when neither knows."""
    known = Order.objects.filter(account_id=operation.account_id, order_id=order_id).first()
    if known is not None and known.client_order_id:
        return known.client_order_id
    placed = Operation.objects.filter(
        account_id=operation.account_id,
        kind=Kind.PLACE.value,
        state=State.SUCCEEDED.value,
        result__order_id=mt5.mt5_id(order_id),
    )
    return placed.order_by("-sequence").values_list("client_order_id", flat=True).first() or ""


def _positions_of(operation: Operation, placed_as: str, book: OpenBook) -> list[str]:
    """Positions that carry this client order id, at the venue or in our books; none when the id is not one of ours.

    Whoever else names orders may use a name more than once.
    """
    if not Operation.objects.filter(client_order_id=placed_as).exists():
        return []
    at_venue = [row.position_id for row in book.positions if doubt.carries(row, placed_as)]
    carried = Q(client_order_id=placed_as) | Q(label=placed_as) | Q(comment=placed_as)
    booked = Position.objects.filter(carried, account_id=operation.account_id)
    return at_venue or list(booked.values_list("position_id", flat=True))


def _trace_of(operation: Operation, order_id: str, placed_as: str) -> OrderTrace | None:
    """The order in the service's history, if it keeps one."""
    history = gateway.client().order_history(gateway.ref_of(operation.account), placed_as)
    return next((trace for trace in history or () if trace.order_id == order_id), None)


def _was_cancelled_before(operation: Operation) -> bool:
    """Whether an earlier cancellation of this order had succeeded: one write of a lane is in flight at a time."""
    earlier = Operation.objects.filter(
        account_id=operation.account_id,
        lane=operation.lane,
        kind=Kind.CANCEL.value,
        state=State.SUCCEEDED.value,
        sequence__lt=operation.sequence,
    )
    return earlier.exists()
