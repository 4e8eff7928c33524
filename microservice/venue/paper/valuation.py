"""What positions are worth: profit, commission, swap, margin, and the figures of an account.

Nothing here is stored; it follows from positions and quotes. Rules: a BUY is valued at the bid, a SELL at the ask;
foreign money is converted at the middle of the venue's own quotes; a hedged account pays margin for every position
(cTrader's margin type SUM); margin is the notional at the opening price over the account's leverage.
"""

from collections.abc import Callable, Iterator
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

    def _factor(self, spec: SymbolSpec, currency: str) -> Decimal:
        """What one lot earns, in ``currency``, when the price moves by one."""
        return spec.contract_size * self.rate(spec.quote, currency)

    def profit(self, position: Position, price: Decimal, lots: Decimal, currency: str) -> Decimal:
        """Return the gross profit of closing ``lots`` of a position at ``price``."""
        return _profit(position, price, lots, self._factor(SYMBOLS[position.symbol], currency))

    def profits(self, account: Account) -> Iterator[tuple[Position, Decimal, Decimal]]:
        """Return every open position with the price that would close it and its gross profit there.

        Prices and rates are looked up once a symbol and side: large books become three times cheaper.
        """
        known: dict[tuple[str, Direction], tuple[Decimal, Decimal]] = {}
        for position in account.positions.values():
            key = (position.symbol, position.direction)
            found = known.get(key)
            if found is None:
                factor = self._factor(SYMBOLS[position.symbol], account.currency)
                found = known[key] = (self.closing_price(*key), factor)
            yield position, found[0], _profit(position, found[0], position.lots, found[1])

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
        return _margin(spec, lots, open_price, account, self._factor(spec, account.currency))

    def used_margin(self, account: Account) -> Decimal:
        """Return the margin of all open positions."""
        factors: dict[str, Decimal] = {}
        total = ZERO
        for position in account.positions.values():
            spec = SYMBOLS[position.symbol]
            factor = factors.get(spec.name)
            if factor is None:
                factor = factors[spec.name] = self._factor(spec, account.currency)
            total += _margin(spec, position.lots, position.open_price, account, factor)
        return total

    def equity(self, account: Account) -> Decimal:
        """Return balance plus what the open positions would bring net."""
        total = account.balance
        for position, _, profit in self.profits(account):
            total += profit + position.swap + position.commission
        return total

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

    def rows(self, account: Account) -> list[PositionRow]:
        """Return the open positions as callers see them."""
        return [_row(position, price, profit) for position, price, profit in self.profits(account)]


def _profit(position: Position, price: Decimal, lots: Decimal, factor: Decimal) -> Decimal:
    opened = position.open_price
    moved = price - opened if position.direction is Direction.BUY else opened - price
    return money(moved * lots * factor)


def _margin(spec: SymbolSpec, lots: Decimal, open_price: Decimal, account: Account, factor: Decimal) -> Decimal:
    notional = lots * spec.contract_size if spec.base == account.currency else lots * open_price * factor
    return money(notional / account.leverage)


def _row(position: Position, price: Decimal, profit: Decimal) -> PositionRow:
    return PositionRow(
        position_id=str(position.id),
        symbol=position.symbol,
        direction=position.direction,
        volume=position.lots,
        open_price=position.open_price,
        current_price=price,
        stop_loss=position.stop_loss,
        take_profit=position.take_profit,
        profit=profit,
        swap=position.swap,
        commission=position.commission,
        open_time=utc(position.opened_ms),
        client_order_id=position.client_order_id,
        label=position.label,
        comment=position.comment,
    )
