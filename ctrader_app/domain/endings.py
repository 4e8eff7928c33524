"""How a position ended, out of what the venue tells of its life.

What the venue leaves out and the books need is derived from what it did say, always to the same result; what cannot
be derived stays None.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ctrader_app.domain.facts import DealFact, DealReason, Direction, PositionFact, SyncFact
from ctrader_app.domain.numbers import plain

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ending:
    """The final figures of a position, totals over its life. None: neither said nor derivable."""

    close_time: datetime | None
    close_price: Decimal | None
    profit: Decimal | None
    commission: Decimal | None
    swap: Decimal | None


def ending_of(sync: SyncFact) -> Ending:
    """The final figures, the venue's own where it states them, else the sums of its deals."""
    exits = [deal for deal in sync.deals if not deal.is_entry]
    last = max(exits, key=lambda deal: deal.time_ms, default=None)
    if last is None:
        return Ending(
            close_time=None if sync.latest_deal_time_s is None else _EPOCH + timedelta(seconds=sync.latest_deal_time_s),
            close_price=sync.last_deal_price,
            profit=sync.final_profit,
            commission=sync.final_commission,
            swap=sync.final_swap,
        )
    return Ending(
        close_time=deal_time(last),
        close_price=last.price,
        profit=_first(sync.final_profit, sum((deal.profit for deal in sync.deals), Decimal(0))),
        commission=_first(sync.final_commission, sum((deal.commission for deal in sync.deals), Decimal(0))),
        swap=_first(sync.final_swap, sum((deal.swap for deal in sync.deals), Decimal(0))),
    )


def deal_time(deal: DealFact) -> datetime:
    """When it was executed, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=deal.time_ms)


def with_closing_deal(position: PositionFact, sync: SyncFact) -> tuple[DealFact, ...]:
    """The deals, with a closing one made of the final figures where the venue states the end but not the deal.

    It has no ticket: :func:`tickets_of` gives it one. Nothing is made up: without a time, a price, a profit and a
    volume there is no such deal.
    """
    if not sync.is_closed or any(not deal.is_entry for deal in sync.deals):
        return sync.deals
    volume = sum((deal.volume_lots for deal in sync.deals), Decimal(0)) or position.volume_lots
    if sync.latest_deal_time_s is None or sync.last_deal_price is None or sync.final_profit is None or not volume:
        return sync.deals
    closing = DealFact(
        ticket="",
        order_id="",
        position_id=position.position_id,
        symbol=position.symbol,
        direction=Direction.SELL if position.direction is Direction.BUY else Direction.BUY,
        is_entry=False,
        reason=DealReason.EXPERT,
        volume_lots=volume,
        price=sync.last_deal_price,
        profit=sync.final_profit - sum((deal.profit for deal in sync.deals), Decimal(0)),
        commission=_rest(sync.final_commission, [deal.commission for deal in sync.deals]),
        swap=_rest(sync.final_swap, [deal.swap for deal in sync.deals]),
        time_ms=sync.latest_deal_time_s * 1000,
    )
    return (*sync.deals, closing)


def tickets_of(account_id: uuid.UUID, deals: Sequence[DealFact]) -> list[tuple[str, bool]]:
    """(ticket, whether it is invented) of each deal of one position, in order.

    A deal without a ticket gets a UUID of the account, the position and everything known of the deal: reading the
    same life again, in whatever order, gives the same tickets. Deals that are alike to the last digit are numbered.
    """
    seen: Counter[str] = Counter()
    tickets: list[tuple[str, bool]] = []
    for deal in deals:
        if deal.ticket:
            tickets.append((deal.ticket, False))
            continue
        known = ":".join(
            (
                deal.position_id,
                deal.order_id,
                deal.direction.value,
                "in" if deal.is_entry else "out",
                str(deal.time_ms),
                plain(deal.volume_lots),
                plain(deal.price),
            )
        )
        tickets.append((str(uuid.uuid5(account_id, f"{known}:{seen[known]}")), True))
        seen[known] += 1
    return tickets


def _first(stated: Decimal | None, derived: Decimal) -> Decimal:
    return derived if stated is None else stated


def _rest(total: Decimal | None, parts: Sequence[Decimal]) -> Decimal:
    return Decimal(0) if total is None else total - sum(parts, Decimal(0))
