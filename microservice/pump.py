"""The pump: carries state events from the outbox to the publisher, and refreshes floating figures."""

import asyncio
import logging

from microservice.clock import Clock
from microservice.events import ENCODER, EventFactory, EventType, Message
from microservice.outbox import Outbox, OutboxRow
from microservice.publisher import Publisher
from microservice.shaker import Shaker
from microservice.venue.base import Refusal, Venue

_BATCH = 100
_REFRESH_MS = 1_000
# A snapshot costs some 5 microseconds a row: large books are told of less often, so that telling takes at most a few
# per cent of the time.
_CHANGE_MS_PER_ROW = 0.1
_REFRESH_MS_PER_ROW = 5.0

logger = logging.getLogger("microservice.pump")


class Pump:
    """One batch is in flight at a time, so memory stays bounded while the broker is away."""

    def __init__(
        self,
        venue: Venue,
        outbox: Outbox,
        publisher: Publisher,
        factory: EventFactory,
        shaker: Shaker,
        clock: Clock,
    ) -> None:
        self._venue = venue
        self._outbox = outbox
        self._publisher = publisher
        self._factory = factory
        self._shaker = shaker
        self._clock = clock
        self._wake = asyncio.Event()
        self._not_before_ms: dict[tuple[str, EventType], float] = {}
        self._refresh_due_ms: dict[str, float] = {}

    def wake(self) -> None:
        """Tell that the outbox has something new."""
        self._wake.set()

    async def run(self) -> None:
        """Pump until cancelled."""
        while True:
            messages, hurry = await self._gather()
            if messages:
                await self._publisher.state(messages)
                sent = [message.outbox_id for message in messages if message.outbox_id is not None]
                if sent:
                    self._outbox.delete(sent)
                continue
            await self._rest(0.02 if hurry or self._shaker.is_holding() else 0.25)

    async def drain(self, timeout_s: float) -> None:
        """Wait until the outbox is empty, for a bounded time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._outbox.count() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
        self._wake.clear()

    async def _gather(self) -> tuple[list[Message], bool]:
        """Return the messages that are due, and whether others will be due shortly."""
        rows = self._outbox.pending(_BATCH, self._shaker.held_ids())
        messages: list[Message] = []
        skipped: list[int] = []
        hurry = False
        for row in rows:
            if row.payload is None and not self._venue.is_connected(row.account_id):
                skipped.append(row.id)
            elif row.payload is None and self._is_early(row):
                hurry = True
            else:
                messages.append(await self._message(row))
        if skipped:
            self._outbox.delete(skipped)
        messages.extend(await self._refreshes({message.account_id for message in messages}))
        return self._shaker.shake(messages), hurry

    def _is_early(self, row: OutboxRow) -> bool:
        return self._clock.now_ms() < self._not_before_ms.get((row.account_id, row.type), 0)

    async def _message(self, row: OutboxRow) -> Message:
        if row.payload is not None:
            return self._factory.message(
                row.type,
                row.account_id,
                row.payload,
                event_id=row.event_id,
                occurred_ms=row.occurred_ms,
                outbox_id=row.id,
            )
        payload, size = await self._payload(row.type, row.account_id)
        self._not_before_ms[row.account_id, row.type] = self._clock.now_ms() + size * _CHANGE_MS_PER_ROW
        return self._factory.message(row.type, row.account_id, payload, outbox_id=row.id)

    async def _payload(self, event_type: EventType, account_id: str) -> tuple[bytes, int]:
        snapshot = await self._venue.snapshot(account_id)
        size = len(snapshot.open_positions)
        if event_type is EventType.POSITIONS_SNAPSHOT:
            return ENCODER.encode(snapshot), size
        return ENCODER.encode(await self._venue.account_info(account_id)), size

    async def _refreshes(self, told: set[str]) -> list[Message]:
        """Snapshots of accounts whose profit floats; not kept in the outbox, for the next second brings another."""
        now_ms = self._clock.now_ms()
        messages: list[Message] = []
        floating = self._venue.floating_accounts()
        for account_id, size in floating:
            period = max(_REFRESH_MS, size * _REFRESH_MS_PER_ROW)
            due = self._refresh_due_ms.setdefault(account_id, now_ms + period)
            if account_id in told:
                self._refresh_due_ms[account_id] = now_ms + period
            elif now_ms >= due:
                self._refresh_due_ms[account_id] = now_ms + period
                messages.extend(await self._refresh(account_id))
        for account_id in self._refresh_due_ms.keys() - {name for name, _ in floating}:
            del self._refresh_due_ms[account_id]
        return messages

    async def _refresh(self, account_id: str) -> list[Message]:
        try:
            return [
                self._factory.message(kind, account_id, (await self._payload(kind, account_id))[0])
                for kind in (EventType.POSITIONS_SNAPSHOT, EventType.ACCOUNT_INFO)
            ]
        except Refusal:  # disconnected this very moment
            return []
