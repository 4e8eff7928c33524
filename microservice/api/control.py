"""Control endpoints of the paper venue, for tests and demonstrations: faults, effects, prices."""

import msgspec

from microservice.api.errors import bad_request
from microservice.api.requests import EffectsQuery, MarketRequest
from microservice.events import EventType
from microservice.faults import Fault, FaultBoard, FaultRequest, check
from microservice.venue.model import Quote
from microservice.venue.paper.reports import Effects
from microservice.venue.paper.venue import PaperVenue


class Armed(msgspec.Struct, frozen=True):
    """The faults, spent ones too."""

    armed: list[Fault]


class Cleared(msgspec.Struct, frozen=True):
    """How many faults were forgotten."""

    cleared: int


class MarketAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The market as it stands after a move."""

    quote: Quote
    hold: bool
    closed: bool


class Control:
    """Handlers of the control endpoints."""

    def __init__(self, venue: PaperVenue, board: FaultBoard, endpoints: set[str]) -> None:
        self._venue = venue
        self._board = board
        self._endpoints = endpoints

    async def arm(self, request: FaultRequest) -> Armed:
        """Arm a fault."""
        problem = check(request, self._endpoints, set(EventType))
        if problem is not None:
            raise bad_request(problem)
        self._board.arm(request)
        return Armed(self._board.armed())

    async def armed(self, _: msgspec.Struct) -> Armed:
        """Return the armed faults."""
        return Armed(self._board.armed())

    async def clear(self, _: msgspec.Struct) -> Cleared:
        """Forget all faults."""
        return Cleared(self._board.clear())

    async def effects(self, query: EffectsQuery) -> Effects:
        """Count what really happened."""
        if query.client_order_id is None and query.account_id is None and query.position_id is None:
            raise bad_request("give client_order_id, account_id or position_id")
        return self._venue.effects(
            client_order_id=query.client_order_id, account_id=query.account_id, position_id=query.position_id
        )

    async def market(self, request: MarketRequest) -> MarketAnswer:
        """Move a price."""
        if request.bid is not None and request.move is not None:
            raise bad_request("give bid or move, not both")
        self._venue.move(request.symbol, bid=request.bid, move=request.move, held=request.hold, closed=request.closed)
        name = self._venue.symbol_name(request.symbol)
        market = self._venue.market
        return MarketAnswer(quote=market.quote(name), hold=market.is_held(name), closed=market.is_closed(name))
