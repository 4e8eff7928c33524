"""What waits to be sent to one socket: the newest frame per key, so that a slow browser gets fresh prices, not old
ones, and costs a bounded amount of memory."""

import asyncio
from collections.abc import Hashable

LIMIT = 1_000
"""Keys that may wait. A browser that is so far behind that a thousand different things wait is not reading."""


class Overflow(Exception):  # noqa: N818 - it names what happened
    """More waits than a reading browser would let."""


class Outbox:
    """Frames by key. For the threads of one event loop: not safe between threads."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._frames: dict[Hashable, str] = {}
        self._offered: set[Hashable] = set()
        self._wake = asyncio.Event()
        self._overflow = False

    def offer(self, key: Hashable, text: str) -> None:
        """Have the frame sent; it replaces an unsent one of the same key."""
        frames = self._frames
        if key not in frames and len(frames) >= self._limit:
            self._overflow = True
        else:
            frames[key] = text
            self._offered.add(key)
        self._wake.set()

    def offer_first(self, key: Hashable, text: str) -> None:
        """As :meth:`offer`, unless anything was offered under the key before: a snapshot never follows live data."""
        if key not in self._offered:
            self.offer(key, text)

    def has_had(self, key: Hashable) -> bool:
        """Whether anything was offered under the key, since :meth:`reopen` at least."""
        return key in self._offered

    def reopen(self, group: str) -> None:
        """Take a snapshot again under the keys that name that group first, unless live data come before it."""
        self._offered = {key for key in self._offered if not (isinstance(key, tuple) and key[0] == group)}

    def forget(self, group: str) -> None:
        """Send no frame whose key names that group first, and take a snapshot of it again."""
        for key in [key for key in self._offered | self._frames.keys() if isinstance(key, tuple) and key[0] == group]:
            self._offered.discard(key)
            self._frames.pop(key, None)

    async def take(self) -> list[str]:
        """Wait for frames and take them all, oldest key first. Raises Overflow."""
        await self._wake.wait()
        self._wake.clear()
        if self._overflow:
            raise Overflow
        frames, self._frames = self._frames, {}
        if len(self._offered) > self._limit:
            # Bars and operations go by; only what a snapshot could follow has to be remembered, and that comes early.
            self._offered.intersection_update(frames)
        return list(frames.values())
