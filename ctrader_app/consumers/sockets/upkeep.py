"""What a web process does for as long as it has sockets open: it says how many, and helps to judge which prices are
stale. With no stream worker alive it is the web processes that tell the browsers so."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from weakref import WeakKeyDictionary

from ctrader_app.conf import get_settings
from ctrader_app.consumers.sockets.threads import in_database_thread
from ctrader_app.ledger import web_processes
from ctrader_app.operations.staleness import Judge, round_s

logger = logging.getLogger(__name__)

SIGN_S = 5.0
"""Between two signs of how many sockets are open."""

LEAVE_WAIT_S = 2.0
"""How long the end of the last socket waits for the process's leave to be written."""


class Upkeep:
    """The counted sockets of one event loop."""

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"
        self.open: Counter[str] = Counter()
        self._judge = Judge(self.name)
        self._keeper: asyncio.Task[None] | None = None
        self._signed_s = 0.0

    @contextlib.asynccontextmanager
    async def counted(self, kind: str) -> AsyncIterator[None]:
        """Count a socket of that kind for the length of the block."""
        self.open[kind] += 1
        if self._keeper is None:
            self._signed_s = 0.0
            self._keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            self.open[kind] -= 1
            if not self.open.total():
                await self._end()

    async def _end(self) -> None:
        # Whoever comes meanwhile must not take the one that is about to end for a keeper.
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper, asyncio.create_task(self._attempt(self._leave))], timeout=LEAVE_WAIT_S)

    async def _keep(self) -> None:
        while True:
            if time.monotonic() - self._signed_s >= SIGN_S:
                self._signed_s = time.monotonic()
                await self._attempt(self._sign)
            await self._attempt(self._judge.round)
            await asyncio.sleep(round_s(get_settings().stale_after_s))

    async def _attempt(self, duty: Callable[[], object]) -> None:
        try:
            await in_database_thread(duty)
        except Exception as error:  # noqa: BLE001 - a database that is away, or a defect: the next round tries again
            logger.warning("upkeep of the sockets: %r", error)

    def _sign(self) -> None:
        web_processes.sign(self.name, +self.open)

    def _leave(self) -> None:
        if not self.open.total():
            web_processes.leave(self.name)
            self._judge.leave()


_upkeeps: WeakKeyDictionary[asyncio.AbstractEventLoop, Upkeep] = WeakKeyDictionary()


def upkeep() -> Upkeep:
    """The upkeep of the running loop."""
    loop = asyncio.get_running_loop()
    found = _upkeeps.get(loop)
    if found is None:
        found = _upkeeps[loop] = Upkeep()
    return found
