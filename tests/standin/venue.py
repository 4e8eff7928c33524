"""The stand-in's own market and books: prices stand still until somebody moves them."""

import itertools
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.standin.books import Body, Deal, Effect, Instrument, Order, Position, RefusedError

LEVERAGE = 100
DEPOSIT = Decimal(10_000)
REASON_EXPERT, REASON_STOP_LOSS, REASON_TAKE_PROFIT = 3, 4, 5

Emit = Callable[[str, str, Any], None]


class Venue:
    """Accounts exist as soon as they are named. All calls may come from any thread.

    `emit(event type, account, subject)` is told what happened while the lock is held: it must not block.
    """

    def __init__(self, emit: Emit) -> None:
        self.lock = threading.RLock()
        self.instruments = {
            each.name: each
            for each in (
                Instrument("EURUSD", 5, 100_000, Decimal("1.10000"), Decimal("0.00010")),
                Instrument("GBPUSD", 5, 100_000, Decimal("1.30000"), Decimal("0.00012")),
            )
        }
        self.positions: dict[int, Position] = {}
        self.orders: dict[int, Order] = {}
        self.deals: list[Deal] = []
        self.effects: list[Effect] = []
        self._gone: dict[int, str] = {}
        self._numbers = itertools.count(7_000_001)
        self._emit = emit

    # -- reads -------------------------------------------------------------------------------------------------------

    def instrument(self, symbol: object) -> Instrument:
        """The symbol; RefusedError 404 when there is none."""
        found = self.instruments.get(str(symbol))
        if found is None:
            raise RefusedError(404, "SYMBOL_NOT_FOUND", f"there is no symbol {symbol!r}")
        return found

    def open_positions(self, account: str) -> list[Position]:
        """The account's, oldest first."""
        return [each for each in self.positions.values() if each.account == account]

    def working_orders(self, account: str) -> list[Order]:
        """The account's, oldest first."""
        return [each for each in self.orders.values() if each.account == account]

    def profit(self, position: Position, volume: Decimal | None = None) -> Decimal:
        """What closing (so many lots of) it now would bring, in USD."""
        instrument = self.instruments[position.symbol]
        gain = instrument.exit(position.direction) - position.open_price
        signed = gain if position.direction == "BUY" else -gain
        return signed * (volume or position.volume) * instrument.contract_size

    def figures(self, account: str) -> dict[str, Decimal]:
        """Balance, equity and margin."""
        mine = self.open_positions(account)
        balance = DEPOSIT + sum(
            (each.profit + each.commission for each in self.deals if each.position.account == account), Decimal(0)
        )
        equity = balance + sum((self.profit(each) for each in mine), Decimal(0))
        margin = sum((self._margin(each.symbol, each.volume, each.open_price) for each in mine), Decimal(0))
        level = equity / margin * 100 if margin else Decimal(0)
        return {
            "balance": balance, "equity": equity, "margin": margin, "free_margin": equity - margin,
            "margin_level": level,
        }  # fmt: skip

    def history(self, account: str, position_id: object) -> tuple[Position | None, list[Deal]]:
        """A position, None once closed, with its deals; RefusedError 404 when it never was."""
        deals = [
            each
            for each in self.deals
            if each.position.account == account and str(each.position.number) == str(position_id)
        ]
        if not deals:
            raise RefusedError(404, "POSITION_NOT_FOUND", f"there is no position {position_id}")
        return self.positions.get(deals[0].position.number), deals

    def effects_of(self, kind: str, subject: object = None) -> int:
        """How many of a kind happened, to one subject or to all."""
        with self.lock:
            return sum(1 for each in self.effects if each.kind == kind and subject in (None, each.subject))

    # -- writes ------------------------------------------------------------------------------------------------------

    def place(self, account: str, body: Body) -> Position | Order:
        """Fill a market order, or keep a limit or stop order."""
        instrument = self.instrument(body.get("symbol"))
        direction = _one_of(body, "direction", ("BUY", "SELL"))
        order_type = _one_of(body, "order_type", ("MARKET", "LIMIT", "STOP"))
        volume = self._volume(instrument, body.get("volume"))
        client_order_id = body.get("client_order_id")
        if not isinstance(client_order_id, str) or not client_order_id:
            raise RefusedError(400, "BAD_REQUEST", "client_order_id is missing")
        if order_type == "MARKET":
            price = instrument.entry(direction)
            _check_sides(direction, price, _level(body, "stop_loss"), _level(body, "take_profit"))
            if self._margin(instrument.name, volume, price) > self.figures(account)["free_margin"]:
                raise RefusedError(200, "NOT_ENOUGH_MONEY", "the free margin does not suffice")
            self._note("place", account, client_order_id)
            return self._open(account, instrument, direction, volume, body)
        price = self._working_price(instrument, direction, order_type, body)
        _check_sides(direction, price, _level(body, "stop_loss"), _level(body, "take_profit"))
        order = Order(next(self._numbers), account, instrument.name, direction, order_type, volume, price, dict(body))
        self.orders[order.number] = order
        self._note("place", account, client_order_id)
        self._emit("positions.snapshot", account, None)
        return order

    def close(self, account: str, body: Body) -> tuple[Deal, Decimal]:
        """The deal and what is left open."""
        position = self._position(account, body)
        volume = Decimal(str(body.get("volume", 0)))
        if not 0 < volume <= position.volume or volume % self.instruments[position.symbol].lot_step:
            raise RefusedError(422, "INVALID_VOLUME", f"{volume} of {position.volume} lots cannot be closed")
        self._note("close", account, str(position.number))
        deal = self._close(position, volume, REASON_EXPERT)
        return deal, position.volume

    def modify(self, account: str, body: Body) -> Position:
        """Both levels, null for none."""
        position = self._position(account, body)
        if "stop_loss" not in body or "take_profit" not in body:
            raise RefusedError(400, "BAD_REQUEST", "stop_loss and take_profit are both needed")
        stop_loss, take_profit = _level(body, "stop_loss"), _level(body, "take_profit")
        price = self.instruments[position.symbol].exit(position.direction)
        _check_sides(position.direction, price, stop_loss, take_profit)
        position.stop_loss, position.take_profit = stop_loss, take_profit
        self._note("modify", account, str(position.number))
        self._emit("positions.snapshot", account, None)
        return position

    def cancel(self, account: str, body: Body) -> tuple[int, str]:
        """The order and `cancelled`, or `filled` when it was too late."""
        number = _number(body.get("order_id"))
        order = self.orders.get(number)
        if order is not None and order.account == account:
            del self.orders[number]
            self._gone[number] = "cancelled"
            self._note("cancel", account, str(number))
            self._emit("positions.snapshot", account, None)
            return number, "cancelled"
        if self._gone.get(number) == "filled":
            return number, "filled"
        raise RefusedError(404, "ORDER_NOT_FOUND", f"there is no order {body.get('order_id')}")

    # -- the market --------------------------------------------------------------------------------------------------

    def move(self, symbol: str, bid: Decimal) -> None:
        """Set a price; orders fill and protections fire at it."""
        with self.lock:
            instrument = self.instruments[symbol]
            instrument.bid = bid
            for order in [each for each in self.orders.values() if each.symbol == symbol and self._is_touched(each)]:
                del self.orders[order.number]
                self._gone[order.number] = "filled"
                self._open(order.account, instrument, order.direction, order.volume, order.body, order.number)
            for position in [each for each in self.positions.values() if each.symbol == symbol]:
                reason = self._fired(position)
                if reason is not None:
                    self._close(position, position.volume, reason)

    def _is_touched(self, order: Order) -> bool:
        entry = self.instruments[order.symbol].entry(order.direction)
        falls = (order.direction == "BUY") == (order.order_type == "LIMIT")
        return entry <= order.price if falls else entry >= order.price

    def _fired(self, position: Position) -> int | None:
        sign = 1 if position.direction == "BUY" else -1
        price = self.instruments[position.symbol].exit(position.direction)
        if position.stop_loss is not None and (price - position.stop_loss) * sign <= 0:
            return REASON_STOP_LOSS
        if position.take_profit is not None and (price - position.take_profit) * sign >= 0:
            return REASON_TAKE_PROFIT
        return None

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _open(
        self,
        account: str,
        instrument: Instrument,
        direction: str,
        volume: Decimal,
        body: Body,
        order: int | None = None,
    ) -> Position:
        price = instrument.entry(direction)
        sign = 1 if direction == "BUY" else -1
        stop_loss, take_profit = _level(body, "stop_loss"), _level(body, "take_profit")
        if body.get("sl_distance") is not None:
            stop_loss = price - sign * Decimal(str(body["sl_distance"]))
        if body.get("tp_distance") is not None:
            take_profit = price + sign * Decimal(str(body["tp_distance"]))
        position = Position(
            next(self._numbers), account, instrument.name, direction, volume, price, stop_loss, take_profit,
            str(body["client_order_id"]), str(body.get("label") or ""), str(body.get("comment") or ""),
        )  # fmt: skip
        self.positions[position.number] = position
        number = order or next(self._numbers)
        self._gone.setdefault(number, "filled")
        self.deals.append(
            Deal(next(self._numbers), number, position, direction, True, volume, price, Decimal(0), REASON_EXPERT)
        )
        self._emit("positions.snapshot", account, None)
        self._emit("account.info", account, None)
        return position

    def _close(self, position: Position, volume: Decimal, reason: int) -> Deal:
        direction = "SELL" if position.direction == "BUY" else "BUY"
        price = self.instruments[position.symbol].exit(position.direction)
        deal = Deal(
            next(self._numbers), next(self._numbers), position, direction, False, volume, price,
            self.profit(position, volume), reason,
        )  # fmt: skip
        self.deals.append(deal)
        position.volume -= volume
        if not position.volume:
            del self.positions[position.number]
            self._emit("position.closed", position.account, deal)
        self._emit("positions.snapshot", position.account, None)
        self._emit("account.info", position.account, None)
        return deal

    def _position(self, account: str, body: Body) -> Position:
        position = self.positions.get(_number(body.get("position_id")))
        if position is None or position.account != account:
            raise RefusedError(404, "POSITION_NOT_FOUND", f"there is no position {body.get('position_id')}")
        if body.get("symbol") != position.symbol:
            raise RefusedError(422, "SYMBOL_MISMATCH", f"position {position.number} is in {position.symbol}")
        return position

    def _volume(self, instrument: Instrument, given: object) -> Decimal:
        if isinstance(given, bool) or not isinstance(given, int | Decimal):
            raise RefusedError(400, "BAD_REQUEST", "volume must be a number of lots")
        volume = Decimal(given)
        if not instrument.min_lot <= volume <= instrument.max_lot or volume % instrument.lot_step:
            raise RefusedError(422, "INVALID_VOLUME", f"{volume} lots of {instrument.name} cannot be traded")
        return volume

    def _working_price(self, instrument: Instrument, direction: str, order_type: str, body: Body) -> Decimal:
        price = _level(body, "limit_price" if order_type == "LIMIT" else "stop_price")
        if price is None:
            raise RefusedError(400, "BAD_REQUEST", f"a {order_type} order needs its price")
        entry = instrument.entry(direction)
        below = (direction == "BUY") == (order_type == "LIMIT")
        if price == entry or (price < entry) != below:
            raise RefusedError(422, "INVALID_PRICE", f"{price} is on the wrong side of {entry}")
        return price

    def _margin(self, symbol: str, volume: Decimal, price: Decimal) -> Decimal:
        return volume * self.instruments[symbol].contract_size * price / LEVERAGE

    def _note(self, kind: str, account: str, subject: str) -> None:
        self.effects.append(Effect(kind, account, subject))


def _level(body: Body, name: str) -> Decimal | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value <= 0:
        raise RefusedError(400, "BAD_REQUEST", f"{name} must be a price")
    return Decimal(value)


def _check_sides(direction: str, price: Decimal, stop_loss: Decimal | None, take_profit: Decimal | None) -> None:
    sign = 1 if direction == "BUY" else -1
    if stop_loss is not None and (price - stop_loss) * sign <= 0:
        # As brokers do it: the answer is good, what it says is not.
        raise RefusedError(200, "TRADING_BAD_STOPS", f"the stop loss {stop_loss} is on the wrong side of {price}")
    if take_profit is not None and (take_profit - price) * sign <= 0:
        raise RefusedError(200, "TRADING_BAD_STOPS", f"the take profit {take_profit} is on the wrong side of {price}")


def _one_of(body: Body, name: str, among: tuple[str, ...]) -> str:
    value = body.get(name)
    if value not in among:
        raise RefusedError(400, "BAD_REQUEST", f"{name} must be one of {', '.join(among)}")
    return str(value)


def _number(value: object) -> int:
    text = str(value)
    return int(text) if text.isdigit() else -1
