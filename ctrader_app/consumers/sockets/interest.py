"""What the sockets of this process want produced: one lease per stream, taken by the first, given up after the last.

A stream that cannot be had is asked for again, ever more slowly, and its sockets are told once. A stream whose data
have stopped is asked for again too: the microservice may have restarted, or lost it. In a closed market that is a
request every half minute and stream.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Hashable
from weakref import WeakKeyDictionary

from connectors.errors import ConnectorError, RequestRefusedError
from ctrader_app.broadcast.groups import candle_group, price_group
from ctrader_app.broadcast.messages import encode_error
from ctrader_app.consumers.sockets.hub import Member, hub
from ctrader_app.consumers.sockets.threads import in_database_thread, in_http_thread
from ctrader_app.ledger.leases import Stream
from ctrader_app.operations import subscriptions

logger = logging.getLogger(__name__)

LEASE_S = 30.0
RENEW_S = 10.0
"""Leases outlive two missed renewals; a process that dies stops its streams within :data:`LEASE_S` and a sweep."""

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 4.0
"""While the microservice cannot be reached. Prices must be back soon after it is."""

LAST_REFUSED_RETRY_S = 60.0
"""While it answers that it will not: an unknown symbol stays unknown."""

FIRST_SILENCE_S = 3.0
LAST_SILENCE_S = 30.0
"""How long a stream may say nothing before it is asked for again: doubling while it stays silent."""


class _Wish:
    """One stream and who wants it here."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.members: set[Member] = set()
        self.changed = asyncio.Event()
        self.error: str | None = None
        self.held = False
        self.is_lost = False
        self.task: asyncio.Task[None] | None = None
        account_id, symbol, timeframe = stream
        self.group = candle_group(account_id, symbol, timeframe) if timeframe else price_group(account_id, symbol)

    @property
    def error_key(self) -> Hashable:
        return ("error", self.stream)

    def fail(self, error: ConnectorError) -> None:
        """Tell the members, once for each new cause."""
        where = {"symbol": self.stream.symbol} | ({"timeframe": self.stream.timeframe} if self.stream.timeframe else {})
        text = encode_error(error.code, error.message, **where)
        if text != self.error:
            self.error = text
            for member in self.members:
                member.offer(self.error_key, text)


class Interest:
    """The wishes of one event loop."""

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._wishes: dict[Stream, _Wish] = {}
        self._keeper: asyncio.Task[None] | None = None

    def want(self, stream: Stream, member: Member) -> None:
        """Have the stream produced for the member. Errors reach it as frames."""
        wish = self._wishes.get(stream)
        if wish is None:
            wish = self._wishes[stream] = _Wish(stream)
            wish.task = asyncio.create_task(self._tend(wish))
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())
        wish.members.add(member)
        wish.changed.set()
        if wish.error is not None:
            member.offer(wish.error_key, wish.error)

    def unwant(self, stream: Stream, member: Member) -> asyncio.Task[None] | None:
        """The member wants the stream no more. If it was the last one, the task that gives the stream up."""
        wish = self._wishes.get(stream)
        if wish is None or member not in wish.members:
            return None
        wish.members.discard(member)
        wish.changed.set()
        return None if wish.members else wish.task

    def streams(self) -> dict[Stream, bool]:
        """The streams wanted here, and whether each is held."""
        return {wish.stream: wish.held for wish in self._wishes.values()}

    # -- one task per wish: what it does to its lease, it does in order --------------------------------------------

    async def _tend(self, wish: _Wish) -> None:
        while True:
            try:
                await self._hold_while_wanted(wish)
            except Exception:
                # A defect, or a database that is away: the stream must not be forgotten for it.
                logger.exception("cannot tend %s", wish.stream)
                await asyncio.sleep(LAST_RETRY_S)
                if wish.members:
                    continue
            await self._give_up(wish)
            if not wish.members:
                del self._wishes[wish.stream]
                if not self._wishes and self._keeper is not None:
                    self._keeper.cancel()
                return

    async def _give_up(self, wish: _Wish) -> None:
        wish.held = False
        try:
            await in_http_thread(subscriptions.release, *wish.stream, self.holder)
        except Exception:
            # The lease expires by itself.
            logger.exception("cannot release %s", wish.stream)

    async def _hold_while_wanted(self, wish: _Wish) -> None:
        retry_s, silence_s = FIRST_RETRY_S, FIRST_SILENCE_S
        while wish.members:
            try:
                await self._ask(wish)
            except ConnectorError as error:
                wish.fail(error)
                most_s = LAST_REFUSED_RETRY_S if isinstance(error, RequestRefusedError) else LAST_RETRY_S
                await self._pause(wish, retry_s)
                retry_s = min(retry_s * 2, most_s)
                continue
            wish.error, retry_s = None, FIRST_RETRY_S
            asked_at_s = time.monotonic()
            heard = await self._listen(wish, asked_at_s, silence_s)
            silence_s = FIRST_SILENCE_S if heard else min(silence_s * 2, LAST_SILENCE_S)

    async def _ask(self, wish: _Wish) -> None:
        if wish.held and not wish.is_lost:
            await in_http_thread(subscriptions.ensure, *wish.stream)
        else:
            # Noted before it is true: a renewal that runs meanwhile must not take the lease for lost.
            wish.is_lost = False
            await in_http_thread(subscriptions.acquire, *wish.stream, self.holder, LEASE_S)
            wish.held = True

    async def _listen(self, wish: _Wish, asked_at_s: float, silence_s: float) -> bool:
        """Return when the stream is not wanted any more, is lost, or has been silent; whether it was ever heard."""
        heard = False
        while wish.members and not wish.is_lost:
            last_s = hub().last_message_s(wish.group)
            heard = heard or last_s > asked_at_s
            left_s = max(last_s, asked_at_s) + silence_s - time.monotonic()
            if left_s <= 0:
                return heard
            await self._pause(wish, left_s)
        return heard

    async def _pause(self, wish: _Wish, pause_s: float) -> None:
        """Wait, but not for longer than anybody wants the stream and its lease stands."""
        until_s = time.monotonic() + pause_s
        while wish.members and not wish.is_lost and (left_s := until_s - time.monotonic()) > 0:
            wish.changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await wish.changed.wait()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                still_held = await in_database_thread(subscriptions.renew, self.holder, LEASE_S)
            except Exception:  # a database that is away; the next round tries again
                logger.exception("cannot renew the leases of %s", self.holder)
                continue
            for wish in self._wishes.values():
                if wish.held and wish.stream not in still_held:
                    wish.is_lost = True
                    wish.changed.set()


_interests: WeakKeyDictionary[asyncio.AbstractEventLoop, Interest] = WeakKeyDictionary()


def interest() -> Interest:
    """The interest of the running loop."""
    loop = asyncio.get_running_loop()
    found = _interests.get(loop)
    if found is None:
        found = _interests[loop] = Interest()
    return found
