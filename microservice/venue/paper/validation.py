"""What an order must satisfy before anything happens. Nothing is clamped or rounded to fit: it fits or is refused."""

from decimal import Decimal

from microservice.venue.base import Refusal
from microservice.venue.model import Direction, OrderType, PlaceOrder, Quote, TimeInForce
from microservice.venue.paper.symbols import SymbolSpec

_LARGEST = Decimal("1e9")
_MOST_DECIMALS = 40
# Callers compute levels in binary floating point: 1.1 - 0.002 arrives as 1.0980000000000003. What is this close to
# a tick is that tick; any other excess decimal is a mistake and is refused, as cTrader does.
_FLOAT_NOISE = Decimal("1e-9")


def sane(value: Decimal) -> bool:
    """Tell whether a number is finite, positive and of a size one can calculate with."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent > -_MOST_DECIMALS and Decimal(0) < value < _LARGEST


def check_volume(spec: SymbolSpec, lots: Decimal) -> None:
    """Refuse lots outside the symbol's limits or between its steps."""
    if not sane(lots):
        raise Refusal("TRADING_BAD_VOLUME", "volume must be a positive number of lots")
    if not spec.min_lot <= lots <= spec.max_lot:
        raise Refusal("TRADING_BAD_VOLUME", f"volume must be between {spec.min_lot} and {spec.max_lot} lots")
    check_step(spec, lots)


def check_step(spec: SymbolSpec, lots: Decimal) -> None:
    """Refuse lots between the steps."""
    if lots % spec.lot_step:
        raise Refusal("TRADING_BAD_VOLUME", f"volume must be a multiple of {spec.lot_step} lots")


def on_tick(spec: SymbolSpec, value: Decimal, code: str, name: str) -> Decimal:
    """Return a price as a whole number of ticks, or refuse it."""
    if not sane(value):
        raise Refusal(code, f"{name} must be a positive price")
    rounded = value.quantize(spec.tick_size)
    if abs(value - rounded) > _FLOAT_NOISE:
        raise Refusal(code, f"{name} has more digits than {spec.name} allows ({spec.digits})")
    if not rounded:
        raise Refusal(code, f"{name} must be at least one tick")
    return rounded


def protection(
    spec: SymbolSpec,
    direction: Direction,
    reference: Decimal,
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
) -> tuple[Decimal | None, Decimal | None]:
    """Return both levels on ticks; refuse one on the wrong side of ``reference``, where they would fire at once."""
    sign = 1 if direction is Direction.BUY else -1
    if stop_loss is not None:
        stop_loss = on_tick(spec, stop_loss, "TRADING_BAD_STOPS", "stop_loss")
        if (reference - stop_loss) * sign <= 0:
            side = "below" if sign > 0 else "above"
            raise Refusal("TRADING_BAD_STOPS", f"stop_loss of a {direction} must be {side} {reference}")
    if take_profit is not None:
        take_profit = on_tick(spec, take_profit, "TRADING_BAD_STOPS", "take_profit")
        if (take_profit - reference) * sign <= 0:
            side = "above" if sign > 0 else "below"
            raise Refusal("TRADING_BAD_STOPS", f"take_profit of a {direction} must be {side} {reference}")
    return stop_loss, take_profit


def check_distances(spec: SymbolSpec, order: PlaceOrder) -> None:
    """Refuse distances that are no whole positive ticks, or that compete with an absolute level."""
    for distance, level, name in (
        (order.sl_distance, order.stop_loss, "sl_distance"),
        (order.tp_distance, order.take_profit, "tp_distance"),
    ):
        if distance is None:
            continue
        if level is not None:
            raise Refusal("TRADING_BAD_STOPS", f"give {name} or the absolute level, not both")
        on_tick(spec, distance, "TRADING_BAD_STOPS", name)


def from_distances(
    spec: SymbolSpec,
    direction: Direction,
    fill: Decimal,
    sl_distance: Decimal | None,
    tp_distance: Decimal | None,
) -> tuple[Decimal | None, Decimal | None]:
    """Return the levels that lie at these distances from a fill."""
    sign = 1 if direction is Direction.BUY else -1
    tick = spec.tick_size
    stop_loss = None if sl_distance is None else (fill - sign * sl_distance).quantize(tick)
    take_profit = None if tp_distance is None else (fill + sign * tp_distance).quantize(tick)
    return stop_loss, take_profit


def pending_price(spec: SymbolSpec, order: PlaceOrder) -> Decimal:
    """Return the price a LIMIT or STOP waits for."""
    name, price = (
        ("limit_price", order.limit_price) if order.order_type is OrderType.LIMIT else ("stop_price", order.stop_price)
    )
    if price is None:
        raise Refusal("TRADING_BAD_PRICES", f"a {order.order_type} order needs a {name}")
    return on_tick(spec, price, "TRADING_BAD_PRICES", name)


def touched(order_type: OrderType, direction: Direction, price: Decimal, quote: Quote) -> bool:
    """Tell whether the market has reached a waiting order: a BUY looks at the ask, a SELL at the bid."""
    if direction is Direction.BUY:
        return quote.ask <= price if order_type is OrderType.LIMIT else quote.ask >= price
    return quote.bid >= price if order_type is OrderType.LIMIT else quote.bid <= price


def check_good_till(order: PlaceOrder, now_ms: int) -> None:
    """Refuse a GTD order without a future deadline."""
    if order.time_in_force is TimeInForce.GTD and (order.good_till_ms is None or order.good_till_ms <= now_ms):
        raise Refusal("TRADING_BAD_EXPIRATION_DATE", "a GTD order needs good_till in the future")
