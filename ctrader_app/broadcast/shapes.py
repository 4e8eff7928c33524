"""What browsers get of an account, under the contract's names for rows; exact numbers become JSON numbers here."""

from decimal import Decimal

from ctrader_app.broadcast.messages import iso
from ctrader_app.domain.facts import AccountFigures, OrderFact, PositionFact

Content = dict[str, object]


def figures_content(figures: AccountFigures) -> Content:
    """The account's figures. ``margin_level`` in percent, None while no margin is used."""
    return {
        "balance": float(figures.balance),
        "equity": float(figures.equity),
        "margin": float(figures.margin),
        "free_margin": float(figures.free_margin),
        "margin_level": _number(figures.margin_level),
        "currency": figures.currency,
    }


def position_content(position: PositionFact) -> Content:
    """One open position: volume in lots, levels None when not set, costs negative."""
    return {
        "position_id": position.position_id,
        "symbol": position.symbol,
        "direction": position.direction.value,
        "volume": float(position.volume_lots),
        "open_price": float(position.open_price),
        "current_price": _number(position.current_price),
        "stop_loss": _number(position.stop_loss),
        "take_profit": _number(position.take_profit),
        "profit": float(position.profit),
        "swap": float(position.swap),
        "commission": float(position.commission),
        "open_time": None if position.open_time is None else iso(position.open_time),
        "client_order_id": position.client_order_id,
        "label": position.label,
        "comment": position.comment,
    }


def order_content(order: OrderFact) -> Content:
    """One working order: volume in lots, levels None when not set."""
    return {
        "order_id": order.order_id,
        "symbol": order.symbol,
        "direction": order.direction.value,
        "order_type": order.order_type.value,
        "volume": float(order.volume_lots),
        "price": float(order.price),
        "stop_loss": _number(order.stop_loss),
        "take_profit": _number(order.take_profit),
        "created_at": None if order.created_at is None else iso(order.created_at),
        "client_order_id": order.client_order_id,
        "label": order.label,
    }


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
