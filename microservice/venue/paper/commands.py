"""The writes: place, close, modify, cancel. Each first decides, raising Refusal with nothing touched, then acts."""

from collections.abc import Callable
from decimal import Decimal

from microservice.clock import Clock
from microservice.venue.base import Refusal, not_found
from microservice.venue.model import (
    Answer,
    AnswerError,
    CancelAnswer,
    CancelOrder,
    CloseAnswer,
    ClosePosition,
    Command,
    DealReason,
    Direction,
    ModifyAnswer,
    ModifyProtection,
    OrderType,
    PlaceAnswer,
    PlaceOrder,
    TimeInForce,
)
from microservice.venue.paper.books import ZERO, Account, OrderStatus, PendingOrder, Position
from microservice.venue.paper.execution import Execution
from microservice.venue.paper.market import PaperMarket
from microservice.venue.paper.store import LedgerStore
from microservice.venue.paper.symbols import SymbolSpec, find_symbol
from microservice.venue.paper.validation import (
    check_distances,
    check_good_till,
    check_step,
    check_volume,
    from_distances,
    pending_price,
    protection,
    sane,
    touched,
)

MAX_ROWS = 1_000
"""Open positions and waiting orders one account may hold: bounds the size of its snapshots."""

_LONGEST_ID = 18  # digits that fit a 64-bit integer


def symbol_spec(name: str) -> SymbolSpec:
    """Return an instrument or refuse: UNKNOWN_SYMBOL."""
    spec = find_symbol(name)
    if spec is None:
        raise not_found("UNKNOWN_SYMBOL", f"no symbol {name!r}")
    return spec


def as_number(identifier: str) -> int:
    """Return an id as a number; one that cannot be an id becomes 0, which nothing has."""
    return int(identifier) if identifier.isdecimal() and len(identifier) <= _LONGEST_ID else 0


def _levels(
    spec: SymbolSpec, command: PlaceOrder, price: Decimal, valued_at: Decimal
) -> tuple[Decimal | None, Decimal | None]:
    """The protection of a new order: by distance from ``price`` or absolute, checked against ``valued_at``."""
    by_distance = from_distances(spec, command.direction, price, command.sl_distance, command.tp_distance)
    stop_loss = command.stop_loss if by_distance[0] is None else by_distance[0]
    take_profit = command.take_profit if by_distance[1] is None else by_distance[1]
    return protection(spec, command.direction, valued_at, stop_loss, take_profit)


class Commands:
    """Carries commands out against the books."""

    def __init__(
        self,
        execution: Execution,
        store: LedgerStore,
        market: PaperMarket,
        clock: Clock,
        order_status: Callable[[str, int], str | None],
    ) -> None:
        self._execution = execution
        self._store = store
        self._market = market
        self._clock = clock
        self._order_status = order_status

    def apply(self, account: Account, command: Command) -> Answer:
        """Carry a command out for a connected account."""
        match command:
            case PlaceOrder():
                return self._place(account, command)
            case ClosePosition():
                return self._close(account, command)
            case ModifyProtection():
                return self._modify(account, command)
            case CancelOrder():
                return self._cancel(account, command)

    # --- place ---

    def _place(self, account: Account, command: PlaceOrder) -> PlaceAnswer:
        now_ms = self._clock.now_ms()
        if command.expires_at_ms is not None and now_ms > command.expires_at_ms:
            raise Refusal("ORDER_EXPIRED", "the deadline of this request has passed; nothing was executed")
        spec = symbol_spec(command.symbol)
        check_volume(spec, command.volume)
        check_distances(spec, command)
        check_good_till(command, now_ms)
        if len(account.positions) + len(account.orders) >= MAX_ROWS:
            raise Refusal("TOO_MANY_POSITIONS", f"an account holds at most {MAX_ROWS} positions and orders")
        quote = self._market.quote(spec.name)
        market_price = quote.ask if command.direction is Direction.BUY else quote.bid
        if command.order_type is OrderType.MARKET:
            return self._execute_now(account, spec, command, market_price)
        price = pending_price(spec, command)
        reached = touched(command.order_type, command.direction, price, quote)
        if reached and command.order_type is OrderType.STOP:
            raise Refusal("TRADING_BAD_PRICES", f"the market is already beyond stop_price {price}")
        if reached:  # a marketable limit fills at once, at the market or better, as at cTrader
            return self._execute_now(account, spec, command, market_price)
        return self._wait(account, spec, command, price)

    def _execute_now(self, account: Account, spec: SymbolSpec, command: PlaceOrder, price: Decimal) -> PlaceAnswer:
        self._check_open(spec)
        quote = self._market.quote(spec.name)
        valued_at = quote.bid if command.direction is Direction.BUY else quote.ask
        levels = _levels(spec, command, price, valued_at)
        if not self._execution.affordable(account, spec.name, command.volume, price):
            raise Refusal("NOT_ENOUGH_MONEY", "free margin does not cover this order")
        order = self._order(account, spec, command, price, levels)
        self._store.insert_finished(order, OrderStatus.FILLED, order.created_ms, None)
        position, deal_id = self._execution.open(order, price)
        return PlaceAnswer(
            order_id=str(order.id),
            status=OrderStatus.FILLED,
            symbol=spec.name,
            direction=command.direction,
            volume=command.volume,
            client_order_id=command.client_order_id,
            position_id=str(position.id),
            deal_id=str(deal_id),
            price=price,
            stop_loss=position.stop_loss,
            take_profit=position.take_profit,
        )

    def _wait(self, account: Account, spec: SymbolSpec, command: PlaceOrder, price: Decimal) -> PlaceAnswer:
        levels = _levels(spec, command, price, price)
        order = self._order(account, spec, command, price, levels)
        at_once = command.time_in_force in {TimeInForce.IOC, TimeInForce.FOK}
        status = OrderStatus.REJECTED if at_once else OrderStatus.PENDING
        error = None
        if at_once:
            error = AnswerError("ORDER_NOT_FILLED", f"not executable at once as {command.time_in_force}")
            self._store.insert_finished(order, OrderStatus.CANCELLED, order.created_ms, error.code)
        else:
            self._store.insert_pending(order)
            self._execution.books.add_order(order)
            self._execution.note(account)
        return PlaceAnswer(
            order_id=str(order.id),
            status=status,
            symbol=spec.name,
            direction=command.direction,
            volume=command.volume,
            client_order_id=command.client_order_id,
            price=price,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            error=error,
        )

    def _order(
        self,
        account: Account,
        spec: SymbolSpec,
        command: PlaceOrder,
        price: Decimal,
        levels: tuple[Decimal | None, Decimal | None],
    ) -> PendingOrder:
        default = TimeInForce.IOC if command.order_type is OrderType.MARKET else TimeInForce.GTC
        return PendingOrder(
            id=self._store.next_order_id(),
            account_id=account.account_id,
            symbol=spec.name,
            direction=command.direction,
            order_type=command.order_type,
            lots=command.volume,
            price=price,
            stop_loss=levels[0],
            take_profit=levels[1],
            sl_distance=command.sl_distance,
            tp_distance=command.tp_distance,
            time_in_force=command.time_in_force or default,
            good_till_ms=command.good_till_ms,
            created_ms=self._clock.now_ms(),
            client_order_id=command.client_order_id,
            label=command.label,
            comment=command.comment,
        )

    def _check_open(self, spec: SymbolSpec) -> None:
        if self._market.is_closed(spec.name):
            raise Refusal("MARKET_CLOSED", f"the market of {spec.name} is closed")

    # --- close, modify, cancel ---

    def _position(self, account: Account, position_id: str, symbol: str | None) -> Position:
        position = account.positions.get(as_number(position_id))
        if position is None:
            raise not_found("POSITION_NOT_FOUND", f"no open position {position_id}")
        if symbol is not None and symbol_spec(symbol).name != position.symbol:
            raise Refusal("SYMBOL_MISMATCH", f"position {position_id} is in {position.symbol}")
        return position

    def _close(self, account: Account, command: ClosePosition) -> CloseAnswer:
        position = self._position(account, command.position_id, command.symbol)
        spec = symbol_spec(position.symbol)
        if not sane(command.volume):
            raise Refusal("TRADING_BAD_VOLUME", "volume must be a positive number of lots")
        if command.volume > position.lots:
            raise Refusal("TRADING_BAD_VOLUME", f"position {position.id} has {position.lots} lots")
        check_step(spec, command.volume)
        if ZERO < position.lots - command.volume < spec.min_lot:
            raise Refusal("TRADING_BAD_VOLUME", f"less than {spec.min_lot} lots would be left")
        self._check_open(spec)
        order_id, deal_id, price, profit = self._execution.close(
            position, command.volume, DealReason.EXPERT, command.client_order_id
        )
        return CloseAnswer(
            order_id=str(order_id),
            deal_id=str(deal_id),
            position_id=str(position.id),
            close_price=price,
            closed_volume=command.volume,
            remaining_volume=position.lots,
            profit=profit,
            client_order_id=command.client_order_id,
        )

    def _modify(self, account: Account, command: ModifyProtection) -> ModifyAnswer:
        position = self._position(account, command.position_id, command.symbol)
        spec = symbol_spec(position.symbol)
        quote = self._market.quote(spec.name)
        reference = quote.bid if position.direction is Direction.BUY else quote.ask
        levels = protection(spec, position.direction, reference, command.stop_loss, command.take_profit)
        position.stop_loss, position.take_profit = levels
        self._store.update_position(position)
        self._store.insert_change(account.account_id, "modify", self._clock.now_ms(), position=position)
        self._execution.note(account)
        return ModifyAnswer(
            position_id=str(position.id), stop_loss=position.stop_loss, take_profit=position.take_profit
        )

    def _cancel(self, account: Account, command: CancelOrder) -> CancelAnswer:
        number = as_number(command.order_id)
        order = account.orders.get(number)
        if order is not None:
            self._execution.drop_pending(order, OrderStatus.CANCELLED)
            self._store.insert_change(account.account_id, "cancel", self._clock.now_ms(), order=order)
            return CancelAnswer(order_id=command.order_id, status=OrderStatus.CANCELLED)
        status = self._order_status(account.account_id, number)
        if status == OrderStatus.FILLED:
            return CancelAnswer(order_id=command.order_id, status=OrderStatus.FILLED)
        if status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED}:  # already gone: what was wanted
            return CancelAnswer(order_id=command.order_id, status=OrderStatus.CANCELLED)
        raise not_found("ORDER_NOT_FOUND", f"no order {command.order_id}")
