"""One membership per group and process, whatever the number of sockets.

Channels would give every socket its own channel: each message would be copied into, stored in and decoded for every
one of them. Here each group is received once per process and its frame, encoded before it was sent, is handed to the
sockets. A channel is always drained, so the layers' own limits (old messages kept, new ones dropped; or an unbounded
buffer) never come into play: what a slow socket does not take is replaced in its own outbox.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Hashable, Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from ctrader_app.broadcast.messages import conflation_key, frame_of

logger = logging.getLogger(__name__)

JOIN_WAIT_S = 5.0
"""How long a socket waits for its group before it goes on without: a layer that is away is joined when it is back."""

REJOIN_S = 5.0
"""Between two renewals of every membership: a Redis that lost its memory forgets them, and they expire. For layers
that need none of this (pub/sub, in-memory) it costs a look into a set."""

FIRST_RETRY_S = 0.25
LAST_RETRY_S = 2.0
DISCARD_TIMEOUT_S = 1.0


class Member(Protocol):
    """Whoever is fed."""

    def offer(self, key: Hashable, text: str) -> None: ...


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
        self._newest: dict[Hashable, float] = {}

    def deliver(self, message: Mapping[str, Any]) -> None:
        """Hand the message's frame to all members, unless one that occurred later was handed over before."""
        text = frame_of(message)
        if text is None:
            logger.warning("group %s got a message that is none of the contract's", self.group)
            return
        key = conflation_key(message)
        if self._is_old(key, message.get("at")):
            return
        self.last_message_s = time.monotonic()
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


class Hub:
    """The memberships of one event loop."""

    def __init__(self) -> None:
        self._feeds: dict[str, _Feed] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def join(self, group: str, member: Member) -> None:
        """Feed the member from the group. Returns once the layer knows of it, or after a while without."""
        feed = self._feeds.get(group)
        if feed is None:
            feed = self._feeds[group] = _Feed(group)
            feed.task = asyncio.create_task(self._run(feed))
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())
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
        if feed.task is not None:
            feed.task.cancel()
            await asyncio.wait([feed.task], timeout=2 * DISCARD_TIMEOUT_S)
        if not self._feeds and self._keeper is not None:
            self._keeper.cancel()

    def last_message_s(self, group: str) -> float:
        """When the group's last message came, in monotonic seconds; 0 when none did."""
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

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(REJOIN_S)
            for feed in list(self._feeds.values()):
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
