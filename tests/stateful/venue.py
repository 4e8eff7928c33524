"""A venue in memory, in place of the connector's client: it errs as it is told to, and counts its effects."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from connectors.errors import ConnectionError as VenueAway
from connectors.errors import RequestRefusedError
from ctrader_app.connector import AccountRef
from ctrader_app.domain.facts import (
    Cancelled,
    CancelStatus,
    Closed,
    DealFact,
    DealReason,
    Direction,
    OpenBook,
    OrderFact,
    OrderTrace,
    OrderType,
    Placed,
    PlaceStatus,
    PositionFact,
    Protected,
    SyncFact,
)
from ctrader_app.domain.operations import Kind
from ctrader_app.domain.outcomes import IDEMPOTENCY_IN_PROGRESS, Confirmed, NotSent, Outcome, Refused, Unknown
from ctrader_app.wire.requests import (
    CancelBody,
    CloseBody,
    ModifyProtectionBody,
    PlaceBody,
    WriteBody,
    write_body_from_stored,
)

PRICE = Decimal("1.1")


class SenderDied(BaseException):
    """The process that was sending is gone. No handler of the product may catch it."""


class Fault(StrEnum):
    """What goes wrong with one write."""

    UNREACHABLE = "no connection"
    BUSY = "429 with Retry-After"
    LONG_BUSY = "503 with a Retry-After beyond the deadline of an order"
    DROP_BEFORE = "connection cut, nothing executed"
    DROP_AFTER = "executed, connection cut"
    DIE_BEFORE = "sender dies before a byte leaves"
    DIE_AFTER = "sender dies after the effect"
    REJECT = "the broker rejects it"
    LATE = "answer times out, execution comes later"
    RIVAL_BEFORE = "a rival worker runs before the execution"
    RIVAL_AFTER = "a rival worker runs before the answer arrives"


LATE_S = 40.0
"""A late execution comes within the time of the longest write (49 s with the default settings)."""


@dataclass
class Position:
    """One position, open while it has lots."""

    fact: PositionFact
    exits: list[DealFact] = field(default_factory=list)


@dataclass(frozen=True)
class Write:
    """A request on its way to the matching engine."""

    key: str
    kind: Kind
    body: WriteBody
    due: datetime


class ScriptedVenue:
    """Implements what the operations ask of ``CTraderClient``, for one account.

    ``replays``: it keeps the promise of ``Idempotency-Key`` and of ``expires_at``. ``keeps_history``: it has
    ``GET /orders``. ``unlisted`` are positions that it does not show yet. Effects are counted by key, which is the
    operation's id, whether or not it replays.
    """

    def __init__(self, now: Callable[[], datetime], *, replays: bool, keeps_history: bool) -> None:
        self._now = now
        self.replays = replays
        self.keeps_history = keeps_history
        self.script: deque[Fault] = deque()
        self.reads_to_fail = 0
        self.rival: Callable[[], None] = lambda: None
        self.on_write: Callable[[str], None] = lambda _key: None
        self.effects: dict[str, list[str]] = defaultdict(list)
        self.disturbed: set[str] = set()
        self.unlisted: set[str] = set()
        self.positions: dict[str, Position] = {}
        self.orders: dict[str, OrderFact] = {}
        self._traces: dict[str, OrderTrace] = {}
        self._labels: dict[str, str] = {}
        self._verdicts: dict[str, Outcome] = {}
        self._late: list[Write] = []
        self._ids = 100

    # -- what the operations call ----------------------------------------------------------------------------------

    def open_book(self, ref: AccountRef) -> OpenBook:
        """Positions and working orders. cTrader's positions carry no client order id, only label and comment."""
        self._read()
        rows = tuple(
            position.fact
            for position_id, position in self.positions.items()
            if position.fact.volume_lots and position_id not in self.unlisted
        )
        return OpenBook(positions=rows, orders=tuple(self.orders.values()))

    def order_history(self, ref: AccountRef, client_order_id: str) -> tuple[OrderTrace, ...] | None:
        """Every order under this id, or None without a history."""
        self._read()
        if not self.keeps_history:
            return None
        return tuple(trace for trace in self._traces.values() if trace.client_order_id == client_order_id)

    def sync_data(self, ref: AccountRef, position_id: str, symbol: str) -> SyncFact:
        """The life of one position."""
        self._read()
        position = self.positions.get(position_id)
        if position is None or (position.fact.volume_lots and position_id in self.unlisted):
            raise RequestRefusedError(f"no position {position_id}", code="POSITION_NOT_FOUND")
        closed = not position.fact.volume_lots
        figure = Decimal(0) if closed else None
        return SyncFact(
            deals=tuple(position.exits),
            is_closed=closed,
            remaining_lots=position.fact.volume_lots,
            latest_deal_time_s=None,
            last_deal_price=PRICE,
            final_profit=figure,
            final_commission=figure,
            final_swap=figure,
        )

    def write(self, ref: AccountRef, kind: Kind, body: Mapping[str, object], idempotency_key: str) -> Outcome:
        """One request, with the fault that the script has for it."""
        self.on_write(idempotency_key)
        request = Write(idempotency_key, kind, write_body_from_stored(kind, body), self._now())
        fault = self.script.popleft() if self.script else None
        match fault:
            case Fault.UNREACHABLE:
                return NotSent("connection refused")
            case Fault.BUSY:
                return NotSent("RATE_LIMITED", 1.0)
            case Fault.LONG_BUSY:
                return NotSent("UNAVAILABLE", 90.0)
            case Fault.DROP_BEFORE:
                return Unknown("connection reset", "before the execution")
            case Fault.DIE_BEFORE:
                raise SenderDied
            case Fault.LATE:
                self._late.append(replace(request, due=self._now() + timedelta(seconds=LATE_S)))
                return Unknown("read timeout", "no answer in time")
            case Fault.RIVAL_BEFORE:
                self.rival()
        return self._answered(request, fault)

    def _answered(self, request: Write, fault: Fault | None) -> Outcome:
        outcome = self._execute(request, rejected=fault is Fault.REJECT)
        match fault:
            case Fault.DROP_AFTER:
                return Unknown("connection reset", "after the execution")
            case Fault.DIE_AFTER:
                raise SenderDied
            case Fault.RIVAL_AFTER:
                self.rival()
        return outcome

    def _read(self) -> None:
        if self.reads_to_fail:
            self.reads_to_fail -= 1
            raise VenueAway("no answer")

    # -- what happens without us -----------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Execute what was late and is due now."""
        due = [write for write in self._late if write.due <= self._now()]
        self._late = [write for write in self._late if write.due > self._now()]
        for write in due:
            self._execute(write, rejected=False)

    def restart(self) -> None:
        """What was on its way is gone; books and verdicts are on disk."""
        self._late.clear()

    def fill(self, order_id: str) -> None:
        """The market reaches a working order."""
        order = self.orders.pop(order_id)
        position_id = self._open_position(order.direction, order.volume_lots, self._labels[order_id])
        self._traces[order_id] = replace(self._traces[order_id], status="filled", position_id=position_id)

    def stop_out(self, position_id: str) -> None:
        """The market takes a position away."""
        self.disturbed.add(position_id)
        self._reduce(position_id, self.positions[position_id].fact.volume_lots)

    def is_under_way(self, key: str) -> bool:
        """Whether a request of this operation may still be executed."""
        return any(write.key == key for write in self._late)

    def client_order_id_of(self, order_id: str) -> str:
        """The id under which the order was placed."""
        return self._traces[order_id].client_order_id

    # -- execution -------------------------------------------------------------------------------------------------

    def _execute(self, write: Write, *, rejected: bool) -> Outcome:
        if not self.replays:
            return self._perform(write, rejected=rejected)
        if write.key in self._verdicts:
            return self._verdicts[write.key]
        if any(late.key == write.key for late in self._late):
            return Unknown(IDEMPOTENCY_IN_PROGRESS, "409")
        verdict = self._perform(write, rejected=rejected)
        self._verdicts[write.key] = verdict
        return verdict

    def _perform(self, write: Write, *, rejected: bool) -> Outcome:
        if rejected:
            return self._rejected(write)
        match write.body:
            case PlaceBody():
                return self._place(write.key, write.body)
            case CloseBody():
                return self._close(write.key, write.body)
            case ModifyProtectionBody():
                return self._modify(write.key, write.body)
            case CancelBody():
                return self._cancel(write.key, write.body)

    def _rejected(self, write: Write) -> Refused:
        if isinstance(write.body, PlaceBody):
            self._trace(self._next_id(), write.body, "rejected", None)
        return Refused("BROKER_REJECTED", "the broker says no")

    def _place(self, key: str, body: PlaceBody) -> Outcome:
        if self.replays and body.expires_at is not None and body.expires_at <= self._now():
            return Refused("ORDER_EXPIRED", "too late")
        self.effects[key].append("placed")
        order_id = self._next_id()
        if body.order_type is not OrderType.MARKET:
            self._rest(order_id, body)
            return Confirmed(Placed(order_id, PlaceStatus.PENDING, body.volume, body.client_order_id or ""))
        position_id = self._open_position(body.direction, body.volume, body.label or "")
        self._trace(order_id, body, "filled", position_id)
        filled = Placed(
            order_id, PlaceStatus.FILLED, body.volume, body.client_order_id or "", position_id, order_id, PRICE
        )
        return Confirmed(filled)

    def _rest(self, order_id: str, body: PlaceBody) -> None:
        self._labels[order_id] = body.label or ""
        self._trace(order_id, body, "pending", None)
        self.orders[order_id] = OrderFact(
            order_id=order_id,
            symbol=body.symbol,
            direction=body.direction,
            order_type=body.order_type,
            volume_lots=body.volume,
            price=body.limit_price or PRICE,
            stop_loss=None,
            take_profit=None,
            created_at=self._now(),
            client_order_id=body.client_order_id or "",
            label=body.label or "",
        )

    def _trace(self, order_id: str, body: PlaceBody, status: str, position_id: str | None) -> None:
        self._traces[order_id] = OrderTrace(order_id, status, body.client_order_id or "", body.volume, position_id)

    def _open_position(self, direction: Direction, lots: Decimal, label: str) -> str:
        position_id = self._next_id()
        fact = PositionFact(
            position_id=position_id,
            symbol="EURUSD",
            direction=direction,
            volume_lots=lots,
            open_price=PRICE,
            current_price=PRICE,
            stop_loss=None,
            take_profit=None,
            profit=Decimal(0),
            swap=Decimal(0),
            commission=Decimal(0),
            open_time=datetime.now(UTC),
            label=label,
        )
        self.positions[position_id] = Position(fact)
        return position_id

    def _close(self, key: str, body: CloseBody) -> Outcome:
        position = self.positions.get(body.position_id)
        if position is None or not position.fact.volume_lots:
            return Refused("POSITION_NOT_FOUND", "it is not open")
        if body.volume > position.fact.volume_lots:
            return Refused("TRADING_BAD_VOLUME", "more than is open")
        self.effects[key].append("closed")
        deal = self._reduce(body.position_id, body.volume)
        return Confirmed(Closed(deal.order_id, deal.ticket, PRICE, body.volume, position.fact.volume_lots))

    def _reduce(self, position_id: str, lots: Decimal) -> DealFact:
        position = self.positions[position_id]
        position.fact = replace(position.fact, volume_lots=position.fact.volume_lots - lots)
        deal = _exit(self._next_id(), position.fact, lots)
        position.exits.append(deal)
        return deal

    def _modify(self, key: str, body: ModifyProtectionBody) -> Outcome:
        position = self.positions.get(body.position_id)
        if position is None or not position.fact.volume_lots:
            return Refused("POSITION_NOT_FOUND", "it is not open")
        self.effects[key].append("modified")
        position.fact = replace(position.fact, stop_loss=body.stop_loss, take_profit=body.take_profit)
        return Confirmed(Protected(body.position_id, body.stop_loss, body.take_profit))

    def _cancel(self, key: str, body: CancelBody) -> Outcome:
        if body.order_id in self.orders:
            self.effects[key].append("cancelled")
            del self.orders[body.order_id]
            self._traces[body.order_id] = replace(self._traces[body.order_id], status="cancelled")
            return Confirmed(Cancelled(body.order_id, CancelStatus.CANCELLED))
        trace = self._traces.get(body.order_id)
        if trace is not None and trace.status == "filled":
            return Confirmed(Cancelled(body.order_id, CancelStatus.FILLED))
        return Refused("ORDER_NOT_FOUND", "it is not working")

    def _next_id(self) -> str:
        self._ids += 1
        return str(self._ids)


def _exit(ticket: str, position: PositionFact, lots: Decimal) -> DealFact:
    return DealFact(
        ticket=ticket,
        order_id=ticket,
        position_id=position.position_id,
        symbol=position.symbol,
        direction=Direction.SELL if position.direction is Direction.BUY else Direction.BUY,
        is_entry=False,
        reason=DealReason.EXPERT,
        volume_lots=lots,
        price=PRICE,
        profit=Decimal(0),
        commission=Decimal(0),
        swap=Decimal(0),
        time_ms=int(ticket),
    )
