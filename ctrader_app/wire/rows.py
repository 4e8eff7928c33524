"""Rows of positions, orders, deals and figures: one reader each, used by answers and by events."""

from decimal import Decimal

from ctrader_app.domain.facts import (
    AccountFigures,
    CandleFact,
    DealFact,
    DealReason,
    OpenBook,
    OrderFact,
    OrderTrace,
    OrderType,
    PositionFact,
    PriceFact,
)
from ctrader_app.wire.errors import UnreadableAnswer
from ctrader_app.wire.fields import MAX_LABEL_CHARS, Row

PENDING_ROW_TYPE = "pending_order"
"""MT5-shaped services put working orders among the positions and mark them so."""

_REASONS = {
    "3": DealReason.EXPERT,
    "4": DealReason.STOP_LOSS,
    "5": DealReason.TAKE_PROFIT,
    "6": DealReason.STOP_OUT,
    "EXPERT": DealReason.EXPERT,
    "SL": DealReason.STOP_LOSS,
    "STOP_LOSS": DealReason.STOP_LOSS,
    "STOPLOSS": DealReason.STOP_LOSS,
    "TP": DealReason.TAKE_PROFIT,
    "TAKE_PROFIT": DealReason.TAKE_PROFIT,
    "TAKEPROFIT": DealReason.TAKE_PROFIT,
    "SO": DealReason.STOP_OUT,
    "STOP_OUT": DealReason.STOP_OUT,
    "STOPOUT": DealReason.STOP_OUT,
}
"""The numbers are MetaTrader's ENUM_DEAL_REASON."""

_ENTRIES = {"0": True, "IN": True, "1": False, "OUT": False, "3": False, "OUT_BY": False}
"""MetaTrader's ENUM_DEAL_ENTRY without 2 (in and out at once), which a hedging account does not know."""


def read_figures(row: Row) -> AccountFigures:
    """The account's figures. A margin level without margin is none, whatever number stands there."""
    margin = row.not_negative("margin")
    return AccountFigures(
        balance=row.number("balance"),
        equity=row.number("equity"),
        margin=margin,
        free_margin=row.number("free_margin"),
        margin_level=row.optional_number("margin_level") if margin else None,
        currency=row.name("currency"),
        leverage=row.optional_number("leverage"),
    )


def read_position(row: Row) -> PositionFact:
    """One open position."""
    return PositionFact(
        position_id=row.identifier("position_id"),
        symbol=row.name("symbol"),
        direction=row.direction(),
        volume_lots=row.positive("volume"),
        open_price=row.positive("open_price"),
        current_price=row.level("current_price"),
        stop_loss=row.level("stop_loss"),
        take_profit=row.level("take_profit"),
        profit=row.number("profit"),
        swap=row.number("swap"),
        commission=row.number("commission"),
        open_time=row.optional_time("open_time"),
        client_order_id=row.optional_identifier("client_order_id"),
        label=row.text("label", MAX_LABEL_CHARS),
        comment=row.text("comment"),
    )


def read_order(row: Row) -> OrderFact:
    """One working order."""
    return OrderFact(
        order_id=row.identifier("order_id"),
        symbol=row.name("symbol"),
        direction=row.direction(),
        order_type=_order_type(row),
        volume_lots=row.positive("volume"),
        price=row.positive("order_price"),
        stop_loss=row.level("stop_loss"),
        take_profit=row.level("take_profit"),
        created_at=row.optional_time("created_at"),
        client_order_id=row.optional_identifier("client_order_id"),
        label=row.text("label", MAX_LABEL_CHARS),
    )


def read_trace(row: Row) -> OrderTrace:
    """One order of the history."""
    return OrderTrace(
        order_id=row.identifier("order_id"),
        status=row.name("status").lower(),
        client_order_id=row.optional_identifier("client_order_id"),
        volume_lots=row.positive("volume"),
        position_id=row.optional_identifier("answer_position_id") or None,
        deal_id=row.optional_identifier("deal_id") or None,
        price=row.level("price"),
    )


def _order_type(row: Row) -> OrderType:
    value = row.raw("order_type")
    for kind in OrderType:
        if isinstance(value, str) and value.strip().upper() == kind.value:
            return kind
    raise UnreadableAnswer("an order's type is neither MARKET, LIMIT nor STOP")


def read_book(row: Row) -> OpenBook:
    """What is open. The positions must be there; orders that nobody mentions are unknown, not absent."""
    rows = row.rows("open_positions")
    positions = tuple(read_position(each) for each in rows if not _is_pending(each))
    orders = [read_order(each) for each in rows if _is_pending(each)]
    mentioned = row.raw("pending_orders") is not None
    if mentioned:
        orders += [read_order(each) for each in row.rows("pending_orders")]
    _assert_distinct([each.position_id for each in positions], "position")
    _assert_distinct([each.order_id for each in orders], "order")
    return OpenBook(positions, tuple(orders) if mentioned or orders else None)


def _is_pending(row: Row) -> bool:
    return row.values.get("type") == PENDING_ROW_TYPE


def _assert_distinct(ids: list[str], what: str) -> None:
    if len(set(ids)) != len(ids):
        raise UnreadableAnswer(f"one {what} is listed twice")


def read_deal(row: Row, position_id: str, symbol: str) -> DealFact:
    """One execution in the life of the position that was asked for.

    A cause that is none of the protective ones counts as ``EXPERT``: somebody, or a program, wanted it.
    """
    named = row.optional_identifier("answer_position_id")
    if named and named != position_id:
        raise UnreadableAnswer(f"a deal belongs to position {named}, not to {position_id}")
    reason = row.raw("reason")
    return DealFact(
        ticket=row.identifier("deal_ticket"),
        order_id=row.optional_identifier("deal_order"),
        position_id=position_id,
        symbol=row.name("symbol") if row.has("symbol") else symbol,
        direction=row.direction("deal_direction"),
        is_entry=_is_entry(row),
        reason=read_reason(reason) or DealReason.EXPERT,
        volume_lots=row.positive("volume"),
        price=row.positive("price"),
        profit=row.number("profit"),
        commission=row.number("commission"),
        swap=row.number("swap"),
        time_ms=row.epoch_ms("deal_time"),
        comment=row.text("comment"),
        magic=int(row.optional_number("magic") or 0),
        client_order_id=row.optional_identifier("client_order_id"),
    )


def read_reason(value: object) -> DealReason | None:
    """MetaTrader's number or a name; None for what is neither."""
    return _REASONS.get(str(value).strip().upper()) if isinstance(value, str | int) else None


def _is_entry(row: Row) -> bool:
    value = row.raw("entry")
    found = _ENTRIES.get(str(value).strip().upper()) if isinstance(value, str | int) else None
    if found is None or isinstance(value, bool):
        raise UnreadableAnswer("a deal's entry is neither in nor out")
    return found


def read_candle(row: Row) -> CandleFact:
    """One bar."""
    return CandleFact(
        time_s=row.epoch_ms("time") // 1000,
        open=row.positive("open"),
        high=row.positive("high"),
        low=row.positive("low"),
        close=row.positive("close"),
        volume=row.not_negative("bar_volume"),
    )


def read_price(row: Row, symbol: str) -> PriceFact:
    """The quote of ``symbol``."""
    named = row.name("symbol")
    if named.upper() != symbol.upper():
        raise UnreadableAnswer(f"the quote is of {named}, not of {symbol}")
    return PriceFact(symbol=named, bid=row.positive("bid"), ask=row.positive("ask"), time=row.time("time"))


def optional_lots(row: Row, name: str) -> Decimal | None:
    """A volume that may be unsaid, never below zero."""
    return None if row.raw(name) is None else row.not_negative(name)
