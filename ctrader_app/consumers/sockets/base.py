"""One WebSocket: let in, fed from its outbox, listened to, and gone.

Not a Channels consumer: those hop into a thread before every single message (to look after database connections that
a socket has no use for) and take one message of one channel at a time. This speaks ASGI itself.

The handshake is accepted before a socket is refused, because a browser shows a close code only of an open socket.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, MutableMapping
from typing import Any, cast

from django.contrib.auth.models import AbstractBaseUser, User
from django.db import Error as DatabaseFailure

from ctrader_app.broadcast.messages import encode_error, encode_frame
from ctrader_app.consumers.sockets.hub import hub
from ctrader_app.consumers.sockets.inbound import Inbound, Refused, TooMuchError
from ctrader_app.consumers.sockets.outbox import Outbox, Overflow
from ctrader_app.consumers.sockets.threads import in_database_thread
from ctrader_app.consumers.sockets.upkeep import upkeep
from ctrader_app.consumers.sockets.watch import Credential, Loss, Seat, active_user, watch
from ctrader_app.ledger.access import owned_account
from ctrader_app.models import TradingAccount

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

UNAUTHENTICATED = 4001
NOT_YOURS = 4003
TOO_SLOW = 4008
TOO_MANY = 4029
POLICY = 1008
TRY_LATER = 1013
"""Close codes: 4001 and 4003 are the contract's, 1008 and 1013 are RFC 6455's and IANA's."""

SEND_TIMEOUT_S = 10.0
"""How long one frame may take to leave. A browser that takes none for so long has stopped reading."""

SOCKETS_PER_USER = 200
"""In one process: a desk with every symbol open is far below, a loop that forgets to close is soon above."""

_open_sockets: Counter[object] = Counter()


class Refusal(Exception):  # noqa: N818 - it names what happens to the socket
    """The socket is not let in, or not any longer."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Socket:
    """The frame of both kinds of socket. An instance serves one connection."""

    kind = "other"
    """Under which it is counted."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._inbound = Inbound()
        self.outbox = Outbox()
        self.arguments: dict[str, str] = scope["url_route"]["kwargs"]

    @classmethod
    def as_asgi(cls) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """The ASGI application of this kind of socket, for the routes."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await cls(scope, receive, send).serve()

        return application

    def offer(self, key: Hashable, text: str) -> None:
        """Have a frame sent; it replaces an unsent one of the same key."""
        self.outbox.offer(key, text)

    def refresh(self, since_s: float) -> None:
        """Have a look at how it is now: what was sent since then (epoch seconds) may not have arrived."""
        raise NotImplementedError

    async def opened(self, account: TradingAccount) -> None:
        """Join what this socket is about. Raises Refusal."""
        raise NotImplementedError

    async def heard(self, message: dict[str, Any]) -> None:
        """Answer one message of the browser. Raises Refused."""
        raise Refused("UNKNOWN_TYPE", f"this socket takes no messages such as {str(message.get('type'))[:32]!r}")

    async def closed(self) -> None:
        """Leave what was joined."""
        raise NotImplementedError

    async def serve(self) -> None:
        """From the handshake to the end."""
        await self._receive()
        await self._send({"type": "websocket.accept"})
        user = self.scope.get("user")
        counted = user.pk if isinstance(user, AbstractBaseUser) else None
        _open_sockets[counted] += 1
        try:
            account = await self._admitted(user)
            await self._live(account)
        except Refusal as refusal:
            await self._close(refusal.code)
        finally:
            _open_sockets[counted] -= 1
            if _open_sockets[counted] <= 0:
                del _open_sockets[counted]

    async def _admitted(self, user: object) -> TradingAccount:
        """The account, if this user may see it. Nothing is joined before."""
        if self.scope.get("is_unknown"):
            raise Refusal(TRY_LATER)
        if not isinstance(user, AbstractBaseUser):
            raise Refusal(UNAUTHENTICATED)
        if _open_sockets[user.pk] > SOCKETS_PER_USER:
            raise Refusal(TOO_MANY)
        try:
            account = await in_database_thread(owned_account, cast("User", user), self.arguments.get("account_id", ""))
        except DatabaseFailure:
            logger.exception("a socket cannot be let in")
            raise Refusal(TRY_LATER) from None
        if account is None:
            raise Refusal(NOT_YOURS)
        return account

    async def _live(self, account: TradingAccount) -> None:
        async with upkeep().counted(self.kind):
            await self._serve_parts(account)

    async def _serve_parts(self, account: TradingAccount) -> None:
        parts = [asyncio.create_task(self._write()), asyncio.create_task(self._watch(account))]
        try:
            with hub().telling_gaps(self.refresh):
                await self.opened(account)
                parts.append(asyncio.create_task(self._listen()))
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done():
                    part.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await self.closed()

    async def _watch(self, account: TradingAccount) -> None:
        user_id = account.user_id
        # Without a credential (somebody else's middleware) a socket lives by its user.
        credential = self.scope.get("credential") or Credential(active_user, str(user_id))
        loss = await watch().lost(Seat(user_id, credential, account.pk))
        raise Refusal(UNAUTHENTICATED if loss is Loss.CREDENTIAL else NOT_YOURS)

    async def _write(self) -> None:
        while True:
            try:
                frames = await self.outbox.take()
                async with asyncio.timeout(SEND_TIMEOUT_S) as limit:
                    for text in frames:
                        await self._send({"type": "websocket.send", "text": text})
                        limit.reschedule(asyncio.get_running_loop().time() + SEND_TIMEOUT_S)
            except (Overflow, TimeoutError):
                raise Refusal(TOO_SLOW) from None
            except OSError:  # it is gone; its disconnect is on its way to the listener
                return

    async def _listen(self) -> None:
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return
            try:
                message = self._inbound.read(event.get("text"))
                if message.get("type", message.get("action")) == "ping":
                    self.outbox.offer("pong", encode_frame("pong", None))
                else:
                    await self.heard(message)
            except Refused as refused:
                self.outbox.offer(("refused", refused.code), encode_error(refused.code, refused.text))
            except TooMuchError:
                raise Refusal(POLICY) from None

    async def _close(self, code: int) -> None:
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._send({"type": "websocket.close", "code": code})


def open_sockets() -> int:
    """How many sockets are open in this process."""
    return sum(_open_sockets.values())


class UnknownSocket(Socket):
    """An address that leads nowhere: 4001 for strangers, 4003 for anybody else."""

    async def _admitted(self, user: object) -> TradingAccount:
        raise Refusal(NOT_YOURS if isinstance(user, AbstractBaseUser) else UNAUTHENTICATED)
