"""The table of endpoints: what is mounted and what the OpenAPI document describes are the same rows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ctrader_app.wire.endpoints import Endpoint
from microservice.api import requests as asked
from microservice.api.control import Armed, Cleared, Control, MarketAnswer
from microservice.api.handlers import Candles, Deals, Handlers, Health, Orders, Status
from microservice.faults import FaultRequest
from microservice.venue import model
from microservice.venue.paper.reports import Effects

# A handler takes exactly the struct its row names; the table cannot say that in types, the decoder sees to it.
Handler = Callable[[Any], Awaitable[msgspec.Struct]]


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """One endpoint. Writes have no handler: they go through the journal. ``public`` needs no bearer token."""

    method: str
    path: str
    request: type[msgspec.Struct]
    response: type[msgspec.Struct]
    summary: str
    handler: Handler | None
    public: bool = False
    control: bool = False

    async def call(self, request: msgspec.Struct) -> msgspec.Struct:
        """Carry out a read or a subscription."""
        if self.handler is None:
            raise TypeError(f"{self.path} is a write: it goes through the journal")
        return await self.handler(request)

    @property
    def is_write(self) -> bool:
        """Tell whether the endpoint needs an Idempotency-Key."""
        return self.handler is None


class Empty(msgspec.Struct, frozen=True):
    """No fields."""


def _row(
    endpoint: Endpoint,
    request: type[msgspec.Struct],
    response: type[msgspec.Struct],
    summary: str,
    handler: Handler | None,
) -> RouteSpec:
    return RouteSpec(endpoint.method, endpoint.path, request, response, summary, handler)


def contract_routes(handlers: Handlers) -> list[RouteSpec]:
    """Return the endpoints every venue has."""
    e, h = Endpoint, handlers
    return [
        _row(e.CONNECT, asked.ConnectRequest, model.Session, "Open or resume an account", h.connect),
        _row(e.DISCONNECT, asked.AccountRequest, Status, "Let go of an account", h.disconnect),
        _row(e.ACCOUNT_INFO, asked.AccountRequest, model.AccountInfo, "Account figures", h.account_info),
        _row(e.OPEN_POSITIONS, asked.AccountRequest, model.Snapshot, "Positions and orders", h.open_positions),
        _row(e.SYMBOL_INFO, asked.SymbolRequest, model.SymbolInfo, "One instrument", h.symbol_info),
        _row(e.CANDLES, asked.CandlesQuery, Candles, "Bars", h.candles),
        _row(e.PRICE, asked.SymbolRequest, model.Quote, "The last quote", h.price),
        _row(e.SYNC_DATA, asked.SyncQuery, model.SyncData, "The story of one position", h.sync_data),
        _row(e.PLACE, asked.PlaceRequest, model.PlaceAnswer, "Place an order", None),
        _row(e.CLOSE, asked.CloseRequest, model.CloseAnswer, "Close a position, or part of it", None),
        _row(e.MODIFY_PROTECTION, asked.ModifyRequest, model.ModifyAnswer, "Set protection levels", None),
        _row(e.CANCEL_ORDER, asked.CancelRequest, model.CancelAnswer, "Cancel a pending order", None),
        _row(e.SUBSCRIBE_PRICE, asked.SymbolRequest, Status, "Start ticks", h.subscribe_price),
        _row(e.UNSUBSCRIBE_PRICE, asked.SymbolRequest, Status, "Stop ticks", h.unsubscribe_price),
        _row(e.SUBSCRIBE_CANDLES, asked.BarsRequest, Status, "Start bars", h.subscribe_candles),
        _row(e.UNSUBSCRIBE_CANDLES, asked.BarsRequest, Status, "Stop bars", h.unsubscribe_candles),
        RouteSpec("GET", "/deals", asked.DealsQuery, Deals, "Deals of a time window", h.deals),
        RouteSpec("GET", "/orders", asked.OrdersQuery, Orders, "Order history", h.orders),
        RouteSpec("GET", "/healthz", Empty, Health, "The process lives", h.health, public=True),
    ]


def control_routes(control: Control) -> list[RouteSpec]:
    """Return the endpoints of the paper venue alone."""
    return [
        RouteSpec("POST", "/_faults", FaultRequest, Armed, "Arm a fault", control.arm, control=True),
        RouteSpec("GET", "/_faults", Empty, Armed, "Armed faults and their hits", control.armed, control=True),
        RouteSpec("DELETE", "/_faults", Empty, Cleared, "Forget all faults", control.clear, control=True),
        RouteSpec("GET", "/_effects", asked.EffectsQuery, Effects, "Count effects", control.effects, control=True),
        RouteSpec("POST", "/_market", asked.MarketRequest, MarketAnswer, "Move a price", control.market, control=True),
    ]
