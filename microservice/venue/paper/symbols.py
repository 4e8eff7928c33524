"""The instruments of the paper venue.

Digits, contract sizes and lot limits follow what cTrader brokers commonly quote for these names (FTMO for the
``.cash`` indices). ``pip_size`` and ``tick_size`` are different things: EURUSD moves in ticks of 0.00001, its pip
is 0.0001.
"""

from dataclasses import dataclass
from decimal import Decimal

from microservice.venue.model import SymbolInfo, TradingHours


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """One instrument. Volatility is the standard deviation of a day's log return; swaps are points a lot a night."""

    name: str
    description: str
    base: str
    quote: str
    digits: int
    pip_size: Decimal
    contract_size: Decimal
    min_lot: Decimal
    max_lot: Decimal
    lot_step: Decimal
    spread_points: int
    reference_price: Decimal
    daily_volatility: float
    commission_usd: Decimal
    swap_long_points: Decimal
    swap_short_points: Decimal

    @property
    def tick_size(self) -> Decimal:
        """The smallest price step, 10**-digits."""
        return Decimal(1).scaleb(-self.digits)

    def price(self, points: int) -> Decimal:
        """Turn whole points into a price with exactly ``digits`` decimals."""
        return Decimal(points).scaleb(-self.digits)

    def points(self, price: Decimal) -> int:
        """Turn a price that fits the tick size into whole points."""
        return int(price.scaleb(self.digits).to_integral_value())

    def info(self) -> SymbolInfo:
        """Describe the instrument to callers."""
        return SymbolInfo(
            symbol=self.name,
            description=self.description,
            digits=self.digits,
            tick_size=self.tick_size,
            pip_size=self.pip_size,
            contract_size=self.contract_size,
            lot_step=self.lot_step,
            min_lot=self.min_lot,
            max_lot=self.max_lot,
            currency=self.quote,
            base_currency=self.base,
            quote_currency=self.quote,
            profit_currency=self.quote,
            margin_currency=self.base,
            spread_points=self.spread_points,
            commission_per_lot_per_side=self.commission_usd,
            swap_long_points=self.swap_long_points,
            swap_short_points=self.swap_short_points,
            trading_hours=TradingHours(timezone="UTC", always_open=True),
        )


def _spec(
    name: str,
    description: str,
    pair: tuple[str, str],
    digits: int,
    pip: str,
    contract: str,
    lots: tuple[str, str],
    spread: int,
    price: str,
    volatility: float,
    commission: str,
    swaps: tuple[str, str],
) -> SymbolSpec:
    return SymbolSpec(
        name=name,
        description=description,
        base=pair[0],
        quote=pair[1],
        digits=digits,
        pip_size=Decimal(pip),
        contract_size=Decimal(contract),
        min_lot=Decimal(lots[0]),
        max_lot=Decimal(lots[1]),
        lot_step=Decimal("0.01"),
        spread_points=spread,
        reference_price=Decimal(price),
        daily_volatility=volatility,
        commission_usd=Decimal(commission),
        swap_long_points=Decimal(swaps[0]),
        swap_short_points=Decimal(swaps[1]),
    )


_FX = ("0.01", "100")

_ROWS = (
    _spec("EURUSD", "Euro / US Dollar", ("EUR", "USD"), 5, "0.0001", "100000", _FX,
          8, "1.08500", 0.0050, "3.00", ("-7.2", "2.8")),
    _spec("GBPUSD", "British Pound / US Dollar", ("GBP", "USD"), 5, "0.0001", "100000", _FX,
          11, "1.27200", 0.0058, "3.00", ("-3.9", "-1.6")),
    _spec("USDJPY", "US Dollar / Japanese Yen", ("USD", "JPY"), 3, "0.01", "100000", _FX,
          9, "151.500", 0.0060, "3.00", ("10.5", "-21.0")),
    _spec("EURGBP", "Euro / British Pound", ("EUR", "GBP"), 5, "0.0001", "100000", _FX,
          10, "0.85300", 0.0038, "3.00", ("-5.1", "0.9")),
    _spec("XAUUSD", "Gold / US Dollar", ("XAU", "USD"), 2, "0.01", "100", ("0.01", "50"),
          20, "2350.00", 0.0095, "3.00", ("-45.0", "21.0")),
    _spec("US500.cash", "US 500 index", ("US500", "USD"), 2, "0.1", "1", ("0.01", "1000"),
          50, "5250.00", 0.0100, "0.00", ("-85.0", "-12.0")),
    _spec("GER40.cash", "Germany 40 index", ("GER40", "EUR"), 2, "0.1", "1", ("0.01", "1000"),
          90, "18200.00", 0.0105, "0.00", ("-210.0", "-110.0")),
    _spec("BTCUSD", "Bitcoin / US Dollar", ("BTC", "USD"), 2, "1", "1", ("0.01", "20"),
          1500, "65000.00", 0.0260, "2.00", ("-3250.0", "-1100.0")),
)  # fmt: skip

SYMBOLS: dict[str, SymbolSpec] = {row.name: row for row in _ROWS}
_BY_UPPER_NAME: dict[str, SymbolSpec] = {row.name.upper(): row for row in _ROWS}


def find_symbol(name: str) -> SymbolSpec | None:
    """Return the instrument of that name, whatever its case."""
    return SYMBOLS.get(name) or _BY_UPPER_NAME.get(name.upper())
