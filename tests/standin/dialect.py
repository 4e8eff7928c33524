"""How the stand-in words its answers: in the contract's own names, or in all the others that callers must read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.standin.books import Deal, Instrument, Order, Position, RefusedError
from tests.standin.venue import Venue

Json = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """With `aliases`: other field names, numeric ids, epoch milliseconds, unknown fields, rejections nested."""

    aliases: bool = False
    pending_orders: bool = True
    """Whether open-positions lists working orders; the contract lets a service leave them out."""

    def time(self, epoch_s: float) -> str | int:
        """A moment."""
        if self.aliases:
            return int(epoch_s * 1000)
        return datetime.fromtimestamp(epoch_s, UTC).isoformat().replace("+00:00", "Z")

    def identity(self, number: int) -> str | int:
        """An id."""
        return number if self.aliases else str(number)

    def position(self, position: Position, venue: Venue) -> Json:
        """A row of open_positions."""
        price = venue.instruments[position.symbol].exit(position.direction)
        commission = number(sum((each.commission for each in venue.deals if each.position is position), Decimal(0)))
        shared = {
            "symbol": position.symbol, "volume": number(position.volume), "profit": number(venue.profit(position)),
            "swap": 0, "commission": commission,
        }  # fmt: skip
        levels = number(position.stop_loss), number(position.take_profit)
        if self.aliases:
            return shared | {
                "positionId": position.number, "side": position.direction.lower(),
                "openPrice": number(position.open_price), "currentPrice": number(price), "sl": levels[0],
                "tp": levels[1], "time": self.time(position.opened_s), "guaranteedStopLoss": False,
            }  # fmt: skip
        return shared | {
            "position_id": str(position.number), "direction": position.direction,
            "open_price": number(position.open_price), "current_price": number(price), "stop_loss": levels[0],
            "take_profit": levels[1], "open_time": self.time(position.opened_s),
            "client_order_id": position.client_order_id, "label": position.label, "comment": position.comment,
        }  # fmt: skip

    def book(self, account: str, venue: Venue) -> Json:
        """The answer to open-positions, and the payload of positions.snapshot."""
        book: Json = {"open_positions": [self.position(each, venue) for each in venue.open_positions(account)]}
        if self.pending_orders:
            book["pending_orders"] = [self._order(each) for each in venue.working_orders(account)]
        return book

    def _order(self, order: Order) -> Json:
        return {
            "order_id": self.identity(order.number), "symbol": order.symbol, "direction": order.direction,
            "order_type": order.order_type, "volume": number(order.volume), "price": number(order.price),
            "stop_loss": number(order.body.get("stop_loss")), "take_profit": number(order.body.get("take_profit")),
            "created_at": self.time(order.created_s), "client_order_id": order.body["client_order_id"],
        }  # fmt: skip

    def figures(self, account: str, venue: Venue) -> Json:
        """Account-info."""
        names = {"free_margin": "freeMargin", "margin_level": "marginLevel"} if self.aliases else {}
        figures = {names.get(name, name): number(value) for name, value in venue.figures(account).items()}
        return figures | {"currency": "USD"}

    def price(self, instrument: Instrument, now_s: float) -> Json:
        """The answer to price, and the payload of price.tick."""
        moment = {"timestamp" if self.aliases else "time": self.time(now_s)}
        return {"symbol": instrument.name, "bid": number(instrument.bid), "ask": number(instrument.ask)} | moment

    def candle(self, instrument: Instrument, opened_s: int) -> Json:
        """A bar of a price that stood still."""
        price = number(instrument.bid)
        bar: Json = {"open": price, "high": price, "low": price, "close": price}
        if self.aliases:
            return bar | {"timestamp": opened_s * 1000, "tick_volume": 3}
        return bar | {"time": opened_s, "volume": 3}

    def symbol(self, instrument: Instrument) -> Json:
        """Symbol-info."""
        return {
            "symbol": instrument.name, "digits": instrument.digits, "tick_size": number(instrument.tick_size),
            "pip_size": number(instrument.tick_size * 10), "contract_size": instrument.contract_size,
            "lot_step": number(instrument.lot_step), "min_lot": number(instrument.min_lot),
            "max_lot": number(instrument.max_lot), "base_currency": instrument.name[:3],
            "quote_currency": instrument.name[3:],
        }  # fmt: skip

    def placed(self, placed: Position | Order, venue: Venue, client_order_id: str) -> Json:
        """The answer to place."""
        answer = {"volume": number(placed.volume), "client_order_id": client_order_id}
        if isinstance(placed, Order):
            return answer | {"order_id": self.identity(placed.number), "status": "pending"}
        deal = next(each for each in venue.deals if each.position is placed)
        return answer | {
            "order_id": self.identity(deal.order), "position_id": self.identity(placed.number),
            "deal_id": self.identity(deal.number), "status": "filled", "price": number(deal.price),
        }  # fmt: skip

    def closed(self, deal: Deal, left: Decimal) -> Json:
        """The answer to close."""
        return {
            "order_id": self.identity(deal.order), "deal_id": self.identity(deal.number),
            "close_price": number(deal.price), "closed_volume": number(deal.volume), "remaining_volume": number(left),
        }  # fmt: skip

    def closure(self, deal: Deal, venue: Venue) -> Json:
        """The payload of position.closed."""
        position = deal.position
        mine = [each for each in venue.deals if each.position is position]
        return {
            "position_id": self.identity(position.number), "symbol": position.symbol, "direction": position.direction,
            "volume": number(sum((each.volume for each in mine if not each.is_entry), Decimal(0))),
            "open_time": self.time(position.opened_s), "open_price": number(position.open_price),
            "close_time": self.time(deal.time_s), "close_price": number(deal.price),
            "profit": number(sum((each.profit for each in mine), Decimal(0))),
            "commission": number(sum((each.commission for each in mine), Decimal(0))), "swap": 0,
        }  # fmt: skip

    def sync(self, position: Position | None, deals: list[Deal]) -> Json:
        """Sync-data."""
        last = deals[-1]
        is_closed = position is None
        return {
            "deals": [self._deal(each) for each in deals],
            "is_closed_on_platform": is_closed,
            "platform_remaining_size": 0 if position is None else number(position.volume),
            "latest_deal_timestamp": int(last.time_s),
            "last_deal_price": number(last.price),
            "final_profit": number(sum((each.profit for each in deals), Decimal(0))) if is_closed else None,
            "final_commission": number(sum((each.commission for each in deals), Decimal(0))) if is_closed else None,
            "final_swap": 0 if is_closed else None,
            "error_message": None,
        }

    def _deal(self, deal: Deal) -> Json:
        return {
            "ticket": self.identity(deal.number), "order": self.identity(deal.order), "time": int(deal.time_s),
            "time_msc": int(deal.time_s * 1000), "type": 0 if deal.direction == "BUY" else 1,
            "entry": 0 if deal.is_entry else 1, "reason": deal.reason,
            "position_id": self.identity(deal.position.number), "volume": number(deal.volume),
            "price": number(deal.price), "profit": number(deal.profit), "commission": number(deal.commission),
            "swap": 0, "symbol": deal.position.symbol, "comment": deal.position.comment, "magic": 0,
        }  # fmt: skip

    def refusal(self, refused: RefusedError) -> Json:
        """The body of a refusal: an error, or a broker's rejection in a good answer."""
        if refused.status != 200:
            return {"error": {"code": refused.code, "message": refused.message, "details": {}}}
        if self.aliases:
            return {"result": {"errorCode": refused.code, "description": refused.message}}
        return {"status": "rejected", "error": {"code": refused.code, "message": refused.message}}


def number(value: Decimal | int | None) -> float | int | None:
    """A JSON number."""
    return float(value) if isinstance(value, Decimal) else value
