"""The events of the stream, as types.

Market data carry floats because they go on to browsers as they came; state events carry the domain's exact facts.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from ctrader_app.domain.facts import AccountFigures, DealReason, Direction, OpenBook

EVENT_VERSION = 1


class EventType(StrEnum):
    """The routing keys and envelope types of the contract."""

    PRICE_TICK = "price.tick"
    CANDLE_UPDATE = "candle.update"
    POSITIONS_SNAPSHOT = "positions.snapshot"
    POSITION_CLOSED = "position.closed"
    ACCOUNT_INFO = "account.info"


class Event(msgspec.Struct, frozen=True, gc=False):
    """What every event says. ``account_ref`` is the internal account id if the envelope has one, else its account_id.

    ``broker_login`` is "" when unsaid, ``sent_at`` None. Times are aware and UTC.
    """

    event_id: UUID
    account_ref: str
    broker_login: str
    occurred_at: datetime
    sent_at: datetime | None


class PriceTick(Event, frozen=True, gc=False):
    """A quote; ``time`` is the venue's."""

    symbol: str
    bid: float
    ask: float
    time: datetime


class CandleUpdate(Event, frozen=True, gc=False):
    """The present state of a bar; ``time_s`` is its opening in epoch seconds, ``volume`` counts ticks."""

    symbol: str
    timeframe: str
    time_s: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class PositionsSnapshot(Event, frozen=True):
    """What is open on the account; ``book.orders`` is None when the event did not speak of orders."""

    book: OpenBook


class PositionClosed(Event, frozen=True):
    """The end of a position: totals over its life in the account's currency, costs negative.

    ``deal_id`` is "" and ``reason`` None when unsaid.
    """

    position_id: str
    symbol: str
    direction: Direction
    volume_lots: Decimal
    open_time: datetime | None
    open_price: Decimal
    close_time: datetime
    close_price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    deal_id: str
    reason: DealReason | None


class AccountInfoChanged(Event, frozen=True):
    """The account's figures."""

    figures: AccountFigures


class IgnoredEvent(msgspec.Struct, frozen=True):
    """An event of a type that this version does not know: counted, nothing else. ``type`` is cut at 64 characters."""

    type: str


AnyEvent = PriceTick | CandleUpdate | PositionsSnapshot | PositionClosed | AccountInfoChanged | IgnoredEvent
