"""Fills: how positions come to be and cease to be. Everything here runs inside a transaction and cannot refuse."""

from decimal import Decimal

from microservice.clock import Clock, utc
from microservice.venue.base import StateListener
from microservice.venue.model import Closure, DealReason, Direction, OrderType, TimeInForce
from microservice.venue.paper.books import ZERO, Account, Books, OrderStatus, PendingOrder, Position
from microservice.venue.paper.store import LedgerStore
from microservice.venue.paper.symbols import SYMBOLS
from microservice.venue.paper.validation import from_distances
from microservice.venue.paper.valuation import Valuation, money

_IN, _OUT = 0, 1


class Execution:
    """Applies fills to the books and the ledger together, and tells the listener."""

    def __init__(
        self, books: Books, store: LedgerStore, valuation: Valuation, listener: StateListener, clock: Clock
    ) -> None:
        self.books = books
        self._store = store
        self._valuation = valuation
        self._listener = listener
        self._clock = clock

    def open(self, order: PendingOrder, price: Decimal) -> tuple[Position, int]:
        """Fill an order whose row is already in the ledger; return the position and the id of its deal."""
        account = self.books.accounts[order.account_id]
        now_ms = self._clock.now_ms()
        spec = SYMBOLS[order.symbol]
        by_distance = from_distances(spec, order.direction, price, order.sl_distance, order.tp_distance)
        commission = self._valuation.commission(spec, order.lots, account.currency)
        position = Position(
            id=self._store.next_position_id(),
            account_id=order.account_id,
            symbol=order.symbol,
            direction=order.direction,
            opened_lots=order.lots,
            lots=order.lots,
            open_price=price,
            stop_loss=order.stop_loss if by_distance[0] is None else by_distance[0],
            take_profit=order.take_profit if by_distance[1] is None else by_distance[1],
            commission=commission,
            opened_ms=now_ms,
            client_order_id=order.client_order_id,
            label=order.label,
            comment=order.comment,
        )
        self._store.insert_position(position)
        deal_id = self._store.insert_deal(
            position, order.id, order.direction, _IN, order.lots, price, (ZERO, commission, ZERO),
            DealReason.EXPERT, now_ms, order.client_order_id,
        )  # fmt: skip
        self._store.link_order(order.id, position.id, deal_id, price)
        self.books.add_position(position)
        self._listener.changed(order.account_id)
        return position, deal_id

    def close(
        self, position: Position, lots: Decimal, reason: DealReason, client_order_id: str | None = None
    ) -> tuple[int, int, Decimal, Decimal]:
        """Close ``lots`` of a position at the market; return order id, deal id, price and gross profit."""
        account = self.books.accounts[position.account_id]
        now_ms = self._clock.now_ms()
        price = self._valuation.closing_price(position.symbol, position.direction)
        profit = self._valuation.profit(position, price, lots, account.currency)
        swap, opening = self._share(position, lots)
        closing = self._valuation.commission(SYMBOLS[position.symbol], lots, account.currency)
        account.balance += profit + swap + opening + closing
        position.lots -= lots
        position.swap -= swap
        position.commission -= opening
        position.booked_profit += profit
        position.booked_swap += swap
        position.booked_commission += opening + closing
        order_id = self._closing_order(position, lots, price, reason, client_order_id)
        deal_id = self._store.insert_deal(
            position, order_id, position.direction.opposite, _OUT, lots, price, (profit, closing, swap),
            reason, now_ms, client_order_id,
        )  # fmt: skip
        self._store.link_order(order_id, position.id, deal_id, price)
        self._store.update_position(position, None if position.lots else now_ms)
        self._store.save_account(account, now_ms)
        if not position.lots:
            self.books.drop_position(position)
            self._listener.closed(account.account_id, _closure(position, price, now_ms, deal_id, reason))
        self._listener.changed(account.account_id)
        return order_id, deal_id, price, profit

    @staticmethod
    def _share(position: Position, lots: Decimal) -> tuple[Decimal, Decimal]:
        """The swap and the opening commission that go with ``lots``; the last part takes what is left, to the cent."""
        if lots == position.lots:
            return position.swap, position.commission
        share = lots / position.lots
        return money(position.swap * share), money(position.commission * share)

    def _closing_order(
        self,
        position: Position,
        lots: Decimal,
        price: Decimal,
        reason: DealReason,
        client_order_id: str | None,
    ) -> int:
        now_ms = self._clock.now_ms()
        order = PendingOrder(
            id=self._store.next_order_id(),
            account_id=position.account_id,
            symbol=position.symbol,
            direction=position.direction.opposite,
            order_type=OrderType.MARKET,
            lots=lots,
            price=price,
            stop_loss=None,
            take_profit=None,
            sl_distance=None,
            tp_distance=None,
            time_in_force=TimeInForce.IOC,
            good_till_ms=None,
            created_ms=now_ms,
            client_order_id=client_order_id,
            label=None,
            comment=None,
        )
        self._store.insert_finished(order, OrderStatus.FILLED, now_ms, reason.name.lower(), closing=True)
        return order.id

    def fill_pending(self, order: PendingOrder) -> None:
        """Fill a waiting order at the market, or reject it if the money is no longer there."""
        account = self.books.accounts[order.account_id]
        now_ms = self._clock.now_ms()
        price = self._valuation.closing_price(order.symbol, order.direction.opposite)
        self.books.drop_order(order)
        if self.affordable(account, order.symbol, order.lots, price):
            self._store.finish_order(order.id, OrderStatus.FILLED, now_ms)
            self.open(order, price)
        else:
            self._store.finish_order(order.id, OrderStatus.REJECTED, now_ms, "NOT_ENOUGH_MONEY")
            self._listener.changed(order.account_id)

    def drop_pending(self, order: PendingOrder, status: OrderStatus) -> None:
        """Take a waiting order out of the book: cancelled or expired."""
        self.books.drop_order(order)
        self._store.finish_order(order.id, status, self._clock.now_ms())
        self._listener.changed(order.account_id)

    def note(self, account: Account) -> None:
        """Tell that something about an account has changed."""
        self._listener.changed(account.account_id)

    def affordable(self, account: Account, symbol: str, lots: Decimal, price: Decimal) -> bool:
        """Tell whether free margin covers the margin and the opening commission of a new position."""
        spec = SYMBOLS[symbol]
        free = self._valuation.equity(account) - self._valuation.used_margin(account)
        needed = self._valuation.margin(spec, lots, price, account)
        return free >= needed - self._valuation.commission(spec, lots, account.currency)


def _closure(position: Position, price: Decimal, now_ms: int, deal_id: int, reason: DealReason) -> Closure:
    return Closure(
        position_id=str(position.id),
        symbol=position.symbol,
        direction=Direction(position.direction),
        volume=position.opened_lots,
        open_time=utc(position.opened_ms),
        open_price=position.open_price,
        close_time=utc(now_ms),
        close_price=price,
        profit=position.booked_profit,
        commission=position.booked_commission,
        swap=position.booked_swap,
        broker_deal_id=str(deal_id),
        reason=reason.name.lower(),
        client_order_id=position.client_order_id,
        label=position.label,
    )
