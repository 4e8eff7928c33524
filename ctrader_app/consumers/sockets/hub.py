"""One membership per group and process, whatever the number of sockets.

Channels would give every socket its own channel: each message would be copied into, stored in and decoded for every
one of them. Here each group is received once per process and its frame, encoded before it was sent, is handed to the
sockets. A channel is always drained, so the layers' own limits (old messages kept, new ones dropped; or an unbounded
buffer) never come into play: what a slow socket does not take is replaced in its own outbox.

What is sent while a process has lost the layer is gone, and neither side is told. So every process sends itself
numbered pulses: one that is missing was lost, and with it maybe more, and the sockets look at the truth again. One
that is slow is not missing, so a busy process does not make itself busier.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from ctrader_app.broadcast.messages import conflation_key, frame_of, is_stale

logger = logging.getLogger(__name__)

JOIN_WAIT_S = 5.0
"""How long a socket waits for its group before it goes on without: a layer that is away is joined when it is back."""

REJOIN_S = 5.0
"""Between two renewals of every membership: a Redis that lost its memory forgets them, and they expire. For layers
that need none of this (pub/sub, in-memory) it costs a look into a set."""

PULSE_S = 1.0
"""Between two pulses: half of them may be lost in the second that channels_redis waits before it connects again."""

PRICE = "price_tick"

FIRST_RETRY_S = 0.25
LAST_RETRY_S = 2.0
DISCARD_TIMEOUT_S = 1.0


class Member(Protocol):
    """Whoever is fed."""

    def offer(self, key: Hashable, text: str) -> None: ...


Refresh = Callable[[float], None]
"""Told that what was sent since then (epoch seconds) may not have arrived."""


class _Feed:
    """One group: its members here, and the newest ``at`` of each key that they were given."""

    KEYS_REMEMBERED = 64

    def __init__(self, group: str) -> None:
        self.group = group
        self.members: set[Member] = set()
        self.joined = asyncio.Event()
        self.channel: str | None = None
        self.task: asyncio.Task[None] | None = None
        self.last_message_s = 0.0
        self.stale_text: str | None = None
        self._newest: dict[Hashable, float] = {}

    def deliver(self, message: Mapping[str, Any]) -> None:
        """Hand the message's frame to all members, unless one that occurred later was handed over before."""
        text = frame_of(message)
        if text is None:
            logger.warning("group %s got a message that is none of the contract's", self.group)
            return
        key, at = conflation_key(message), message.get("at")
        if is_stale(message):
            # Said of the prices until then: a newer one takes it back, whichever of the two comes first.
            if isinstance(at, int | float) and at < self._newest.get(PRICE, at):
                return
            self.stale_text = text
        else:
            if self._is_old(key, at):
                return
            self.last_message_s = time.monotonic()
            if key == PRICE:
                self.stale_text = None
        place = (self.group, key)
        for member in self.members:
            member.offer(place, text)

    def _is_old(self, key: Hashable, at: object) -> bool:
        if not isinstance(at, int | float):
            return False
        newest = self._newest.get(key)
        if newest is not None and at < newest:
            return True
        if newest is None and len(self._newest) >= self.KEYS_REMEMBERED:
            del self._newest[next(iter(self._newest))]
        self._newest[key] = at
        return False


class _Pulse(_Feed):
    """The group that only this process sends to and hears."""

    def __init__(self, on_gap: Callable[[float], object]) -> None:
        super().__init__(f"pulse.{secrets.token_hex(16)}")
        self._on_gap = on_gap
        self._sent = 0
        self._heard = 0
        self._heard_at_s = time.time()

    def deliver(self, message: Mapping[str, Any]) -> None:
        """Look for missing numbers."""
        number = message.get("number")
        if not isinstance(number, int) or number <= self._heard:
            return
        missing, since_s = number - self._heard - 1, self._heard_at_s
        self._heard, self._heard_at_s = number, time.time()
        if missing:
            logger.warning("%d pulses were lost: the channel layer was away for a while", missing)
            self._on_gap(since_s)

    async def beat(self) -> None:
        """Send, for ever. What could not be sent is missing as well."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JOIN_WAIT_S):
                await self.joined.wait()
        while True:
            self._sent += 1
            try:
                async with asyncio.timeout(DISCARD_TIMEOUT_S):
                    await get_channel_layer().group_send(self.group, {"type": "pulse", "number": self._sent})
            except Exception as error:  # noqa: BLE001 - whatever the layer raises, the next one says so
                logger.debug("a pulse was not sent: %r", error)
            await asyncio.sleep(PULSE_S)


class Hub:
    """The memberships of one event loop."""

    def __init__(self) -> None:
        self._feeds: dict[str, _Feed] = {}
        self._refreshes: set[Refresh] = set()
        self._upkeep: asyncio.Task[None] | None = None

    async def join(self, group: str, member: Member) -> None:
        """Feed the member from the group. Returns once the layer knows of it, or after a while without."""
        feed = self._feeds.get(group)
        if feed is None:
            feed = self._feeds[group] = _Feed(group)
            feed.task = asyncio.create_task(self._run(feed))
        if self._upkeep is None or self._upkeep.done():
            self._upkeep = asyncio.create_task(self._look_after())
        feed.members.add(member)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JOIN_WAIT_S):
                await feed.joined.wait()

    async def leave(self, group: str, member: Member) -> None:
        """Feed the member no more. The last one to go takes the membership along."""
        feed = self._feeds.get(group)
        if feed is None or member not in feed.members:
            return
        feed.members.discard(member)
        if feed.members:
            return
        del self._feeds[group]
        endings = [] if feed.task is None else [feed.task]
        if not self._feeds and self._upkeep is not None:
            endings.append(self._upkeep)
            self._upkeep = None
        for ending in endings:
            ending.cancel()
        if endings:
            await asyncio.wait(endings, timeout=2 * DISCARD_TIMEOUT_S)

    @contextlib.contextmanager
    def telling_gaps(self, refresh: Refresh) -> Iterator[None]:
        """Call ``refresh`` after every time in which nothing may have been heard, for the length of the block."""
        self._refreshes.add(refresh)
        try:
            yield
        finally:
            self._refreshes.discard(refresh)

    def stale_text(self, group: str) -> str | None:
        """The frame by which the group's price was last called stale; None when it was not, or is no more."""
        feed = self._feeds.get(group)
        return None if feed is None else feed.stale_text

    def last_message_s(self, group: str) -> float:
        """When the group's last news came, in monotonic seconds; 0 when none did. A stale price is none."""
        feed = self._feeds.get(group)
        return 0.0 if feed is None else feed.last_message_s

    def groups(self) -> dict[str, int]:
        """The groups and how many sockets each feeds."""
        return {feed.group: len(feed.members) for feed in self._feeds.values()}

    async def _run(self, feed: _Feed) -> None:
        pause_s = 0.0
        while True:
            try:
                await self._receive(feed)
            except Exception as error:  # noqa: BLE001 - whatever the layer raises, the group is joined again
                if feed.channel is not None or not pause_s:
                    # Once for each loss: a layer that is away fails every group, again and again.
                    logger.warning("group %s cannot be heard (%r), joining again", feed.group, error)
                    pause_s = FIRST_RETRY_S
                feed.channel = None
                feed.joined.clear()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LAST_RETRY_S)

    async def _receive(self, feed: _Feed) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        try:
            await layer.group_add(feed.group, channel)
            feed.channel = channel
            feed.joined.set()
            while True:
                feed.deliver(await layer.receive(channel))
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(DISCARD_TIMEOUT_S):
                    await layer.group_discard(feed.group, channel)

    async def _look_after(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            pulse = _Pulse(lambda since_s: tasks.create_task(self._refresh(since_s)))
            for part in (self._run(pulse), pulse.beat(), self._keep(pulse)):
                tasks.create_task(part)

    async def _refresh(self, since_s: float) -> None:
        # First every group is heard again, or what is looked at could change unheard.
        feeds = list(self._feeds.values())
        await self._renew(feeds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JOIN_WAIT_S):
                for feed in feeds:
                    await feed.joined.wait()
        for refresh in tuple(self._refreshes):
            refresh(since_s)

    async def _keep(self, pulse: _Pulse) -> None:
        while True:
            await asyncio.sleep(REJOIN_S)
            await self._renew([pulse, *self._feeds.values()])

    async def _renew(self, feeds: Sequence[_Feed]) -> None:
        for feed in feeds:
            if feed.channel is None:
                continue
            try:
                async with asyncio.timeout(DISCARD_TIMEOUT_S):
                    await get_channel_layer().group_add(feed.group, feed.channel)
            except Exception as error:  # noqa: BLE001 - the next round tries again
                logger.warning("cannot renew the membership of %s: %r", feed.group, error)
                break


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running loop."""
    loop = asyncio.get_running_loop()
    found = _hubs.get(loop)
    if found is None:
        found = _hubs[loop] = Hub()
    return found
