"""Events as they go over AMQP: the envelope of the contract, its types and its routing keys."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from microservice.clock import Clock, utc
from microservice.settings import Routing
from microservice.venue.model import Candle, Identity, Timeframe


class EventType(StrEnum):
    """What an event is about."""

    PRICE_TICK = "price.tick"
    CANDLE_UPDATE = "candle.update"
    POSITIONS_SNAPSHOT = "positions.snapshot"
    POSITION_CLOSED = "position.closed"
    ACCOUNT_INFO = "account.info"


class CandleUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of ``candle.update``; ``final`` once the bar has closed."""

    symbol: str
    timeframe: Timeframe
    candle: Candle
    final: bool


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What every event is wrapped in."""

    event_id: str
    event_version: int
    source: str
    platform: str
    type: str
    account_id: str
    broker_login: str | None
    internal_account_id: str | None
    occurred_at: datetime
    sent_at: datetime
    payload: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Message:
    """One event, ready to be published. ``outbox_id`` is the row to delete once the broker has it."""

    type: EventType
    account_id: str
    event_id: str
    routing_key: str
    body: bytes
    outbox_id: int | None = None


ENCODER = msgspec.json.Encoder(decimal_format="number")
"""Money, prices and volumes are JSON numbers, with the exact decimals they have inside."""


class EventFactory:
    """Wraps payloads into messages."""

    def __init__(self, identity: Callable[[str], Identity], routing: Routing, clock: Clock) -> None:
        self._identity = identity
        self._routing = routing
        self._clock = clock
        self._last_us = 0

    def message(
        self,
        event_type: EventType,
        account_id: str,
        payload: bytes,
        *,
        event_id: str | None = None,
        occurred_ms: int | None = None,
        outbox_id: int | None = None,
    ) -> Message:
        """Wrap an encoded payload; without ``occurred_ms`` it has just occurred."""
        identity = self._identity(account_id)
        now = self._now()
        event_id = event_id or str(uuid.uuid4())
        envelope = Envelope(
            event_id=event_id,
            event_version=1,
            source="ctrader",
            platform="cTrader",
            type=event_type,
            account_id=identity.account_id,
            broker_login=identity.broker_login,
            internal_account_id=identity.internal_account_id,
            occurred_at=now if occurred_ms is None else utc(occurred_ms),
            sent_at=now,
            payload=msgspec.Raw(payload),
        )
        return Message(
            event_type,
            account_id,
            event_id,
            self._routing_key(event_type, account_id),
            ENCODER.encode(envelope),
            outbox_id,
        )

    def _now(self) -> datetime:
        """The time, never the same twice: of two snapshots made in one millisecond the later must win."""
        self._last_us = max(self._clock.now_ms() * 1000, self._last_us + 1)
        return utc(self._last_us // 1000) + timedelta(microseconds=self._last_us % 1000)

    def _routing_key(self, event_type: EventType, account_id: str) -> str:
        if self._routing is Routing.FLAT:
            return event_type.value
        return f"account.{account_id.replace('.', '_')}.{event_type.value}"
