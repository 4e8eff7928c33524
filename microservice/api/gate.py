"""The gate before every request: request id, prefix, bearer token, and the way to cut a connection."""

import asyncio
import hmac
import uuid

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import RequestResponseCycle

from microservice.api.errors import error_bytes

_MAX_REQUEST_ID = 128
_CYCLE = "microservice.cycle"
REQUEST_ID = "microservice.request_id"


class Gate:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, *, secret: str, prefix: str, public: frozenset[str]) -> None:
        self._app = app
        self._expected = f"Bearer {secret}".encode()
        self._prefix = prefix
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer 401."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        path = _without(self._prefix, scope["path"])
        inner = {**scope, "path": path, _CYCLE: getattr(send, "__self__", None), REQUEST_ID: request_id}

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode("latin-1"))]
            await send(message)

        given = headers.get(b"authorization", b"")
        if path in self._public or hmac.compare_digest(given, self._expected):
            await self._app(inner, receive, named)
            return
        refused = Response(
            error_bytes("UNAUTHORIZED", "a valid bearer token is required"),
            401,
            {"WWW-Authenticate": "Bearer"},
            "application/json",
        )
        await refused(inner, receive, named)


def _without(prefix: str, path: str) -> str:
    return path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else path


def _request_id(given: bytes) -> str:
    text = given.decode("latin-1")
    if 0 < len(text) <= _MAX_REQUEST_ID and text.isascii() and text.isprintable():
        return text
    return str(uuid.uuid4())


class DroppedResponse(Response):
    """No answer: the connection is cut."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - nothing is sent
        """Close the transport and wait until the server has noticed, or it would answer 500 by itself."""
        _transport(scope).abort()
        await _gone(receive)


class TruncatedResponse(Response):
    """The head of an answer and half of its body, then the connection is cut."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half and close."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _transport(scope).close()  # close, not abort: what was sent shall arrive
        await _gone(receive)


def _transport(scope: Scope) -> asyncio.Transport:
    cycle = scope.get(_CYCLE)
    if not isinstance(cycle, RequestResponseCycle):
        raise TypeError("connections can only be cut under uvicorn's h11 protocol")
    return cycle.transport


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
