"""The reads: TradingService's snapshots, and what the books hold.

What is asked of the venue fails with 502 or 504 when it cannot be read; it is never answered with something empty.
"""

from decimal import Decimal

from ctrader_app.desk.api.errors import bad_request
from ctrader_app.desk.api.replies import Reply
from ctrader_app.desk.api.requests import Call
from ctrader_app.desk.api.schemas import AccountBody, TicketBody
from ctrader_app.domain.facts import DealFact, DealReason, Direction
from ctrader_app.domain.mt5 import deal_row
from ctrader_app.ledger import access
from ctrader_app.models import Deal, TradingAccount

MAX_CANDLES = 1000
DEFAULT_CANDLES = 200
MAX_DEALS = 1000
DEFAULT_DEALS = 100


def accounts(call: Call) -> Reply:
    """GET accounts: the caller's own, oldest first."""
    rows = TradingAccount.objects.filter(user_id=call.user.pk).order_by("created_at", "id")
    return Reply([_account_body(row) for row in rows])


def account_info(call: Call) -> Reply:
    """GET accounts/{id}/account-info, read now."""
    return Reply(call.service().get_account_info_sync())


def positions(call: Call) -> Reply:
    """GET accounts/{id}/positions, read now."""
    return Reply(call.service().get_open_positions_sync())


def orders(call: Call) -> Reply:
    """GET accounts/{id}/orders: the working orders, read now."""
    return Reply(call.service().get_pending_orders_sync())


def deals(call: Call) -> Reply:
    """GET accounts/{id}/deals: from the books, newest first."""
    rows = Deal.objects.filter(account=call.account()).order_by("-executed_at", "-id")
    position_id = call.request.GET.get("position_id")
    if position_id:
        if not position_id.isprintable():  # PostgreSQL takes no NUL, not even to look for one
            raise bad_request("position_id holds control characters.")
        rows = rows.filter(position_id=position_id)
    limit = call.whole_number("limit", DEFAULT_DEALS, MAX_DEALS)
    return Reply([deal_row(_deal_fact(row)) for row in rows[:limit]])


def price(call: Call) -> Reply:
    """GET accounts/{id}/price/{symbol}, read now."""
    return Reply(call.service().get_live_price_sync(call.path["symbol"]))


def symbol_info(call: Call) -> Reply:
    """GET accounts/{id}/symbols/{symbol}."""
    return Reply(call.service().get_symbol_info_sync(call.path["symbol"]))


def candles(call: Call) -> Reply:
    """GET accounts/{id}/candles/{symbol}/{timeframe}: the last ``count`` bars, oldest first."""
    count = call.whole_number("count", DEFAULT_CANDLES, MAX_CANDLES)
    service = call.service()
    return Reply(service.get_historical_candles_sync(call.path["symbol"], call.path["timeframe"], count))


def ws_ticket(call: Call) -> Reply:
    """POST ws-ticket."""
    return Reply(TicketBody(ticket=access.issue_ticket(call.user), expires_in=access.TICKET_LIFETIME_S))


def _account_body(row: TradingAccount) -> AccountBody:
    return AccountBody(
        id=str(row.id),
        name=str(row),
        platform=row.platform,
        environment=row.environment,
        broker_login=row.broker_login,
        trading_enabled=row.trading_enabled,
        currency=row.currency,
        balance=_number(row.balance),
        equity=_number(row.equity),
        figures_at=row.figures_at,
    )


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _deal_fact(row: Deal) -> DealFact:
    return DealFact(
        ticket=row.ticket,
        order_id=row.order_id,
        position_id=row.position_id,
        symbol=row.symbol,
        direction=Direction(row.direction),
        is_entry=row.is_entry,
        reason=DealReason(row.reason),
        volume_lots=row.volume,
        price=row.price,
        profit=row.profit,
        commission=row.commission,
        swap=row.swap,
        time_ms=int(row.executed_at.timestamp() * 1000),
        comment=row.comment,
        magic=row.magic,
        client_order_id=row.client_order_id,
    )
