"""What the market itself sets off: waiting orders, protections, expiries, stop-outs and rollovers."""

from collections.abc import Callable, Iterable

from microservice.clock import Clock
from microservice.venue.model import DealReason, Direction, Quote
from microservice.venue.paper.books import Account, OrderStatus, PendingOrder, Position
from microservice.venue.paper.calendar import rollovers_between
from microservice.venue.paper.execution import Execution
from microservice.venue.paper.store import LedgerStore
from microservice.venue.paper.validation import touched
from microservice.venue.paper.valuation import Valuation

STOP_OUT_PERCENT = 50
_ROLLOVER = "last_rollover_s"


def fired(position: Position, quote: Quote) -> DealReason | None:
    """Tell which protection a quote has reached; a BUY closes on the bid, a SELL on the ask."""
    if position.direction is Direction.BUY:
        if position.stop_loss is not None and quote.bid <= position.stop_loss:
            return DealReason.SL
        if position.take_profit is not None and quote.bid >= position.take_profit:
            return DealReason.TP
        return None
    if position.stop_loss is not None and quote.ask >= position.stop_loss:
        return DealReason.SL
    if position.take_profit is not None and quote.ask <= position.take_profit:
        return DealReason.TP
    return None


class Matching:
    """Looks at every new quote and works out what must happen; the caller carries it out in one transaction."""

    def __init__(self, execution: Execution, store: LedgerStore, valuation: Valuation, clock: Clock) -> None:
        self._execution = execution
        self._store = store
        self._valuation = valuation
        self._clock = clock
        self._rolled_s = 0
        self.restart()

    def due(self, quotes: Iterable[Quote]) -> list[Callable[[], None]]:
        """Return what these quotes, and the time, set off."""
        actions: list[Callable[[], None]] = []
        self._rollovers(actions)
        self._expiries(actions)
        for quote in quotes:
            self._triggers(quote, actions)
        return actions

    def _triggers(self, quote: Quote, actions: list[Callable[[], None]]) -> None:
        for order in self._execution.books.orders_in(quote.symbol):
            if touched(order.order_type, order.direction, order.price, quote):
                actions.append(self._filling(order))
        for position in self._execution.books.positions_in(quote.symbol):
            reason = fired(position, quote)
            if reason is not None:
                actions.append(self._closing(position, reason))

    def _filling(self, order: PendingOrder) -> Callable[[], None]:
        def fill() -> None:
            if self._waits(order):
                self._execution.fill_pending(order)

        return fill

    def _closing(self, position: Position, reason: DealReason) -> Callable[[], None]:
        return lambda: self._close(position, reason)

    def _close(self, position: Position, reason: DealReason) -> None:
        self._execution.close(position, position.lots, reason)

    def _waits(self, order: PendingOrder) -> bool:
        return order.id in self._execution.books.accounts[order.account_id].orders

    def _expiries(self, actions: list[Callable[[], None]]) -> None:
        now_ms = self._clock.now_ms()
        for order in list(self._execution.books.orders()):
            if order.good_till_ms is not None and order.good_till_ms <= now_ms:
                actions.append(self._expiring(order))

    def _expiring(self, order: PendingOrder) -> Callable[[], None]:
        return lambda: self._execution.drop_pending(order, OrderStatus.EXPIRED)

    def stopped_out(self) -> list[Account]:
        """Return the accounts whose margin level has fallen below the stop-out."""
        return [a for a in self._execution.books.accounts.values() if a.positions and self._broken(a)]

    def _broken(self, account: Account) -> bool:
        margin = self._valuation.used_margin(account)
        return margin > 0 and self._valuation.equity(account) * 100 < margin * STOP_OUT_PERCENT

    def stop_out(self, account: Account) -> None:
        """Close the most losing position, then the next, until the margin level holds."""
        while account.positions and self._broken(account):
            worst, _, _ = min(
                self._valuation.profits(account), key=lambda row: row[2] + row[0].swap + row[0].commission
            )
            self._execution.close(worst, worst.lots, DealReason.SO)

    def restart(self) -> None:
        """Count rollovers from the last one in the ledger; on the very first start, from now."""
        saved = self._store.meta(_ROLLOVER)
        if saved is None:
            saved = str(self._clock.now_ms() // 1000)
            self._store.set_meta(_ROLLOVER, saved)
        self._rolled_s = int(saved)

    def _rollovers(self, actions: list[Callable[[], None]]) -> None:
        now_s = self._clock.now_ms() // 1000
        if now_s <= self._rolled_s:
            return
        for moment_s, nights in rollovers_between(self._rolled_s, now_s):
            actions.append(self._rolling(moment_s, nights))
        self._rolled_s = now_s

    def _rolling(self, moment_s: int, nights: int) -> Callable[[], None]:
        def roll() -> None:
            for account in self._execution.books.accounts.values():
                held = [p for p in account.positions.values() if p.opened_ms < moment_s * 1000]
                for position in held:
                    position.swap += nights * self._valuation.swap_of_a_night(position, account.currency)
                    self._store.update_position(position)
                if held:
                    self._execution.note(account)
            self._store.set_meta(_ROLLOVER, str(moment_s))

        return roll
