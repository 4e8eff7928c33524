"""The table of the API: what is mounted and what the OpenAPI document says are both made from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from ctrader_app.desk.api import reads, schemas, writes
from ctrader_app.desk.api.replies import Reply
from ctrader_app.desk.api.requests import MAX_WAIT_S, Call

Handler = Callable[[Call], Reply]


@dataclass(frozen=True)
class Query:
    """A query parameter; ``schema`` is its JSON schema."""

    name: str
    description: str
    schema: Mapping[str, object]


@dataclass(frozen=True)
class Route:
    """One call. ``answers`` are the types of its successful answers (and of the 422 that carries an operation)."""

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    answers: Mapping[int, Any]
    body: type[Struct] | None = None
    queries: tuple[Query, ...] = ()
    takes_key: bool = False


def _whole(name: str, default: int, largest: int) -> Query:
    return Query(name, "How many.", {"type": "integer", "minimum": 1, "maximum": largest, "default": default})


_WAIT = Query(
    "wait",
    "Seconds to wait for the outcome before answering 202.",
    {"type": "number", "minimum": 0, "maximum": MAX_WAIT_S, "default": 0},
)
_OPERATION: Mapping[int, Any] = MappingProxyType(
    {200: schemas.OperationBody, 202: schemas.OperationBody, 422: schemas.OperationBody}
)


def _read(path: str, name: str, summary: str, handler: Handler, answer: Any, *queries: Query) -> Route:
    return Route("GET", path, name, summary, handler, {200: answer}, queries=queries)


def _write(
    method: str, path: str, name: str, summary: str, handler: Handler, body: type[Struct] | None = None
) -> Route:
    return Route(method, path, name, summary, handler, _OPERATION, body, (_WAIT,), takes_key=True)


_A = "accounts/{account_id}"

ROUTES: tuple[Route, ...] = (
    _write("POST", f"{_A}/trades", "place-trade", "Place an order.", writes.place, schemas.PlaceTrade),
    _write(
        "POST",
        f"{_A}/positions/{{position_id}}/close",
        "close-position",
        "Close a position, wholly or in part.",
        writes.close,
        schemas.ClosePosition,
    ),
    _write(
        "PATCH",
        f"{_A}/positions/{{position_id}}/protection",
        "modify-protection",
        "Set, keep or remove a position's stop loss and take profit.",
        writes.modify_protection,
        schemas.ModifyProtection,
    ),
    _write("DELETE", f"{_A}/orders/{{order_id}}", "cancel-order", "Cancel a working order.", writes.cancel),
    _read(
        "operations/{operation_id}",
        "operation",
        "What is known of one write.",
        writes.operation,
        schemas.OperationBody,
    ),
    _read(
        f"{_A}/operations",
        "operations",
        "The account's writes, newest first.",
        writes.operations,
        list[schemas.OperationBody],
        _whole("limit", 50, 500),
    ),
    _read(
        "accounts", "accounts", "Your accounts, with the last figures seen.", reads.accounts, list[schemas.AccountBody]
    ),
    _read(f"{_A}/account-info", "account-info", "The account's figures.", reads.account_info, schemas.AccountInfoBody),
    _read(f"{_A}/positions", "positions", "The open positions.", reads.positions, list[schemas.PositionBody]),
    _read(f"{_A}/orders", "orders", "The working orders.", reads.orders, list[schemas.Mt5Row]),
    _read(
        f"{_A}/deals",
        "deals",
        "The account's deals in the books, newest first.",
        reads.deals,
        list[schemas.Mt5Row],
        _whole("limit", reads.DEFAULT_DEALS, reads.MAX_DEALS),
        Query("position_id", "Only the deals of this position.", {"type": "string"}),
    ),
    _read(f"{_A}/price/{{symbol}}", "price", "The symbol's quote.", reads.price, schemas.PriceBody),
    _read(
        f"{_A}/candles/{{symbol}}/{{timeframe}}",
        "candles",
        "The last bars, oldest first.",
        reads.candles,
        list[schemas.CandleBody],
        _whole("count", reads.DEFAULT_CANDLES, reads.MAX_CANDLES),
    ),
    _read(f"{_A}/symbols/{{symbol}}", "symbol", "How the symbol trades.", reads.symbol_info, schemas.SymbolBody),
    Route(
        "POST",
        "ws-ticket",
        "ws-ticket",
        "A single-use ticket for one WebSocket.",
        reads.ws_ticket,
        {200: schemas.TicketBody},
    ),
)
