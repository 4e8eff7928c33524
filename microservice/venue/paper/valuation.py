"""What positions are worth: profit, commission, swap, margin, and the figures of an account.

Nothing here is stored; it follows from positions and quotes. Rules: a BUY is valued at the bid, a SELL at the ask;
foreign money is converted at the middle of the venue's own quotes; a hedged account pays margin for every position
(cTrader's margin type SUM); margin is the notional at the opening price over the account's leverage.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal

from microservice.clock import utc
from microservice.venue.model import AccountInfo, Direction, PositionRow, Quote
from microservice.venue.paper.books import ZERO, Account, Position
from microservice.venue.paper.symbols import SYMBOLS, SymbolSpec

_CENT = Decimal("0.01")
_PIVOT = "USD"
COMMISSION_CURRENCY = "USD"
_PAIRS = {(spec.base, spec.quote): name for name, spec in SYMBOLS.items()}

QuoteOf = Callable[[str], Quote]


def money(value: Decimal) -> Decimal:
    """Round to cents, half to even, so that rounding favours nobody."""
    return value.quantize(_CENT, ROUND_HALF_EVEN)


class Valuation:
    """Arithmetic over the current quotes."""

    def __init__(self, quote_of: QuoteOf) -> None:
        self._quote_of = quote_of

    def rate(self, source: str, target: str) -> Decimal:
        """Return what one unit of ``source`` is worth in ``target``, directly or through the dollar.

        Raises LookupError if the venue quotes no such pair.
        """
        if source == target:
            return Decimal(1)
        direct = self._direct(source, target)
        if direct is not None:
            return direct
        first, second = self._direct(source, _PIVOT), self._direct(_PIVOT, target)
        if first is None or second is None:
            msg = f"no rate from {source} to {target}"
            raise LookupError(msg)
        return first * second

    def _direct(self, source: str, target: str) -> Decimal | None:
        name = _PAIRS.get((source, target))
        if name is not None:
            quote = self._quote_of(name)
            return (quote.bid + quote.ask) / 2
        name = _PAIRS.get((target, source))
        if name is not None:
            quote = self._quote_of(name)
            return 2 / (quote.bid + quote.ask)
        return None

    def closing_price(self, symbol: str, direction: Direction) -> Decimal:
        """Return where a position of that direction would be closed now."""
        quote = self._quote_of(symbol)
        return quote.bid if direction is Direction.BUY else quote.ask

    def profit(self, position: Position, price: Decimal, lots: Decimal, currency: str) -> Decimal:
        """Return the gross profit of closing ``lots`` of a position at ``price``."""
        spec = SYMBOLS[position.symbol]
        moved = price - position.open_price if position.direction is Direction.BUY else position.open_price - price
        return money(moved * lots * spec.contract_size * self.rate(spec.quote, currency))

    def commission(self, spec: SymbolSpec, lots: Decimal, currency: str) -> Decimal:
        """Return the cost of one side, as a negative amount."""
        return -money(spec.commission_usd * lots * self.rate(COMMISSION_CURRENCY, currency))

    def swap_of_a_night(self, position: Position, currency: str) -> Decimal:
        """Return what holding a position over one rollover brings (or, negative, costs)."""
        spec = SYMBOLS[position.symbol]
        points = spec.swap_long_points if position.direction is Direction.BUY else spec.swap_short_points
        value = points * spec.tick_size * spec.contract_size * position.lots
        return money(value * self.rate(spec.quote, currency))

    def margin(self, spec: SymbolSpec, lots: Decimal, open_price: Decimal, account: Account) -> Decimal:
        """Return the margin that ``lots`` opened at ``open_price`` use."""
        notional = lots * spec.contract_size
        if spec.base != account.currency:
            notional *= open_price * self.rate(spec.quote, account.currency)
        return money(notional / account.leverage)

    def floating(self, position: Position, currency: str) -> Decimal:
        """Return the gross profit of a position as it stands."""
        price = self.closing_price(position.symbol, position.direction)
        return self.profit(position, price, position.lots, currency)

    def used_margin(self, account: Account) -> Decimal:
        """Return the margin of all open positions."""
        return sum(
            (self.margin(SYMBOLS[p.symbol], p.lots, p.open_price, account) for p in account.positions.values()),
            ZERO,
        )

    def equity(self, account: Account) -> Decimal:
        """Return balance plus what the open positions would bring net."""
        return account.balance + sum(
            (self.floating(p, account.currency) + p.swap + p.commission for p in account.positions.values()),
            ZERO,
        )

    def figures(self, account: Account) -> AccountInfo:
        """Return the figures of an account; margin_level is 0 while no margin is used, as MetaTrader has it."""
        equity, margin = self.equity(account), self.used_margin(account)
        return AccountInfo(
            account_id=account.account_id,
            balance=money(account.balance),
            equity=money(equity),
            margin=margin,
            free_margin=money(equity - margin),
            margin_level=money(equity / margin * 100) if margin else ZERO,
            currency=account.currency,
            leverage=account.leverage,
        )

    def row(self, position: Position, currency: str) -> PositionRow:
        """Return a position as callers see it."""
        price = self.closing_price(position.symbol, position.direction)
        return PositionRow(
            position_id=str(position.id),
            symbol=position.symbol,
            direction=position.direction,
            volume=position.lots,
            open_price=position.open_price,
            current_price=price,
            stop_loss=position.stop_loss,
            take_profit=position.take_profit,
            profit=self.profit(position, price, position.lots, currency),
            swap=position.swap,
            commission=position.commission,
            open_time=utc(position.opened_ms),
            client_order_id=position.client_order_id,
            label=position.label,
            comment=position.comment,
        )
