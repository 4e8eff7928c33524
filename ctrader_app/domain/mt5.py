"""The shapes that MT5 callers compute with. The only place where exact numbers become floats.

Numeric ids become ints, others stay text. Absent stops are 0 in rows, as MT5 has them. Costs are negative.
"""

from datetime import UTC, datetime
from decimal import Decimal

from connectors.base import AccountInfo, Mt5Dict, PositionInfo
from ctrader_app.domain.facts import (
    AccountFigures,
    Cancelled,
    CandleFact,
    Closed,
    DealFact,
    DealReason,
    Direction,
    OpenBook,
    OrderFact,
    Placed,
    PlaceStatus,
    PositionFact,
    PriceFact,
    Protected,
    SymbolFact,
    SyncFact,
)
from ctrader_app.domain.intents import PlaceIntent

RETCODE_DONE = 10009
"""TRADE_RETCODE_DONE of the MT5 trade server's return codes."""

TYPE_OF_DIRECTION = {Direction.BUY: 0, Direction.SELL: 1}
"""POSITION_TYPE_BUY/SELL and DEAL_TYPE_BUY/SELL."""

REASON_NUMBERS = {
    DealReason.EXPERT: 3,
    DealReason.STOP_LOSS: 4,
    DealReason.TAKE_PROFIT: 5,
    DealReason.STOP_OUT: 6,
}
"""ENUM_DEAL_REASON. The only table of deal reasons: a second one would come to disagree."""


def mt5_id(value: str | None) -> int | str | None:
    """An id as MT5 callers expect it."""
    if value is None or value == "":
        return None
    return int(value) if value.isascii() and value.isdigit() else value


def iso(moment: datetime) -> str:
    """ISO-8601 in UTC with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def number(value: Decimal | None) -> float | None:
    """A float, or None for what is not known."""
    return None if value is None else float(value)


# -- results of writes -----------------------------------------------------------------------------------------


def place_result(operation_id: str, intent: PlaceIntent, placed: Placed) -> Mt5Dict:
    """The result of place. ``position_info`` is the position as it was filled, {} while there is none."""
    filled = placed.status is PlaceStatus.FILLED
    return {
        "message": "Order filled" if filled else "Order placed",
        "order_id": mt5_id(placed.order_id),
        "deal_id": mt5_id(placed.deal_id),
        "volume": float(placed.volume_lots),
        "symbol": intent.symbol,
        "direction": intent.direction.value,
        "price": number(placed.price),
        "status": placed.status.value,
        "opened_position_ticket": mt5_id(placed.position_id) if filled else None,
        "position_info": _filled_position(intent, placed) if filled else {},
        "operation_id": operation_id,
        "client_order_id": placed.client_order_id,
    }


def _filled_position(intent: PlaceIntent, placed: Placed) -> Mt5Dict:
    if placed.position_id is None or placed.price is None:
        return {}
    return {
        "ticket": mt5_id(placed.position_id),
        "symbol": intent.symbol,
        "type": TYPE_OF_DIRECTION[intent.direction],
        "volume": float(placed.volume_lots),
        "price_open": float(placed.price),
        "price_current": float(placed.price),
        "sl": _level(intent.stop_loss, intent.sl_distance, placed.price, intent.direction, toward=-1),
        "tp": _level(intent.take_profit, intent.tp_distance, placed.price, intent.direction, toward=1),
        "profit": 0.0,
        "swap": 0.0,
        "commission": 0.0,
    }


def _level(
    absolute: Decimal | None, distance: Decimal | None, fill: Decimal, direction: Direction, *, toward: int
) -> float:
    if absolute is not None:
        return float(absolute)
    if distance is None:
        return 0.0
    sign = toward if direction is Direction.BUY else -toward
    return float(fill + sign * distance)


def close_result(closed: Closed) -> Mt5Dict:
    """The result of close."""
    return {
        "message": "Position closed" if closed.remaining_lots == 0 else "Position partially closed",
        "close_price": number(closed.close_price),
        "order_id": mt5_id(closed.order_id),
        "deal_id": mt5_id(closed.deal_id),
        "retcode": RETCODE_DONE,
        "comment": "Request executed",
        "closed_volume": float(closed.closed_lots),
        "remaining_volume": float(closed.remaining_lots),
    }


def modify_result(operation_id: str, protected: Protected) -> Mt5Dict:
    """The result of modify. cTrader makes no order of it: ``order_id`` is the position, as in MT5's own reply."""
    return {
        "message": "Position modified",
        "order_id": mt5_id(protected.position_id),
        "request_id": operation_id,
        "retcode": RETCODE_DONE,
        "comment": "Request executed",
        "stop_loss": number(protected.stop_loss),
        "take_profit": number(protected.take_profit),
    }


def cancel_result(cancelled: Cancelled) -> Mt5Dict:
    """The result of cancel."""
    return {
        "message": "Order cancelled",
        "order_id": mt5_id(cancelled.order_id),
        "retcode": RETCODE_DONE,
        "comment": "Request executed",
    }


# -- reads -----------------------------------------------------------------------------------------------------


def account_info(figures: AccountFigures) -> AccountInfo:
    """The account's figures as callers know them."""
    return AccountInfo(
        balance=float(figures.balance),
        equity=float(figures.equity),
        margin=float(figures.margin),
        free_margin=float(figures.free_margin),
        margin_level=number(figures.margin_level),
        currency=figures.currency,
    )


def position_info(position: PositionFact) -> PositionInfo:
    """One position as callers know it."""
    return PositionInfo(
        position_id=position.position_id,
        symbol=position.symbol,
        direction=position.direction.value,
        volume=float(position.volume_lots),
        open_price=float(position.open_price),
        current_price=number(position.current_price),
        stop_loss=number(position.stop_loss),
        take_profit=number(position.take_profit),
        profit=float(position.profit),
        swap=float(position.swap),
        commission=float(position.commission),
        open_time=None if position.open_time is None else iso(position.open_time),
    )


def position_row(position: PositionFact) -> Mt5Dict:
    """One raw position row."""
    return {
        "ticket": mt5_id(position.position_id),
        "symbol": position.symbol,
        "volume": float(position.volume_lots),
        "price_open": float(position.open_price),
        "price_current": number(position.current_price),
        "type": TYPE_OF_DIRECTION[position.direction],
        "direction": position.direction.value,
        "sl": float(position.stop_loss or 0),
        "tp": float(position.take_profit or 0),
        "profit": float(position.profit),
        "swap": float(position.swap),
        "commission": float(position.commission),
        "time": None if position.open_time is None else int(position.open_time.timestamp()),
        "comment": position.comment,
        "magic": 0,
        "client_order_id": position.client_order_id,
        "label": position.label,
    }


def pending_order_row(order: OrderFact) -> Mt5Dict:
    """One working order as a row of the same list; its type says that it is no position."""
    return {
        "ticket": mt5_id(order.order_id),
        "order_id": mt5_id(order.order_id),
        "symbol": order.symbol,
        "volume": float(order.volume_lots),
        "price_open": float(order.price),
        "price_current": None,
        "type": "pending_order",
        "order_type": order.order_type.value,
        "direction": order.direction.value,
        "sl": float(order.stop_loss or 0),
        "tp": float(order.take_profit or 0),
        "profit": 0.0,
        "swap": 0.0,
        "commission": 0.0,
        "time": None if order.created_at is None else int(order.created_at.timestamp()),
        "comment": order.label,
        "magic": 0,
        "client_order_id": order.client_order_id,
    }


def open_positions_rows(book: OpenBook) -> list[Mt5Dict]:
    """Positions and working orders in one list."""
    return [position_row(position) for position in book.positions] + [
        pending_order_row(order) for order in book.orders or ()
    ]


def price_dict(price: PriceFact) -> Mt5Dict:
    """A quote with the venue's own time."""
    return {
        "symbol": price.symbol,
        "bid": float(price.bid),
        "ask": float(price.ask),
        "timestamp": iso(price.time),
    }


def symbol_dict(symbol: SymbolFact) -> Mt5Dict:
    """How a symbol trades; what else the service said of it comes along."""
    return {
        **symbol.extra,
        "symbol": symbol.symbol,
        "digits": symbol.digits,
        "tick_size": float(symbol.tick_size),
        "pip_size": float(symbol.pip_size),
        "contract_size": float(symbol.contract_size),
        "lot_step": float(symbol.lot_step),
        "min_lot": float(symbol.min_lot),
        "max_lot": float(symbol.max_lot),
    }


def candle_dict(symbol: str, timeframe: str, candle: CandleFact) -> Mt5Dict:
    """One bar; ``timestamp`` is its opening in ISO-8601 UTC, ``time`` the same in epoch seconds."""
    return {
        "symbol": symbol,
        "timeframe": timeframe,
        "open": float(candle.open),
        "high": float(candle.high),
        "low": float(candle.low),
        "close": float(candle.close),
        "volume": float(candle.volume),
        "timestamp": iso(datetime.fromtimestamp(candle.time_s, UTC)),
        "time": candle.time_s,
    }


def deal_row(deal: DealFact) -> Mt5Dict:
    """One deal."""
    return {
        "ticket": mt5_id(deal.ticket),
        "order": mt5_id(deal.order_id),
        "time": deal.time_ms // 1000,
        "time_msc": deal.time_ms,
        "type": TYPE_OF_DIRECTION[deal.direction],
        "entry": 0 if deal.is_entry else 1,
        "reason": REASON_NUMBERS[deal.reason],
        "position_id": mt5_id(deal.position_id),
        "volume": float(deal.volume_lots),
        "price": float(deal.price),
        "profit": float(deal.profit),
        "commission": float(deal.commission),
        "swap": float(deal.swap),
        "symbol": deal.symbol,
        "comment": deal.comment,
        "magic": deal.magic,
    }


def sync_dict(sync: SyncFact) -> Mt5Dict:
    """The life of one position."""
    return {
        "deals": [deal_row(deal) for deal in sync.deals],
        "is_closed_on_platform": sync.is_closed,
        "platform_remaining_size": number(sync.remaining_lots),
        "latest_deal_timestamp": sync.latest_deal_time_s,
        "last_deal_price": number(sync.last_deal_price),
        "final_profit": number(sync.final_profit),
        "final_commission": number(sync.final_commission),
        "final_swap": number(sync.final_swap),
        "error_message": sync.error_message,
    }
