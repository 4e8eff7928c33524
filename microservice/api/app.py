"""The application: routes mounted from the table, each request parsed, struck by faults, carried out, answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from microservice.api.errors import ApiError, bad_request, error_bytes, refusal_bytes
from microservice.api.gate import REQUEST_ID, DroppedResponse, Gate, TruncatedResponse
from microservice.api.openapi import document
from microservice.api.requests import AccountRequest, WriteRequest
from microservice.api.routes import RouteSpec
from microservice.api.writes import Reply, Writes, check_key
from microservice.events import ENCODER
from microservice.faults import NO_FAULTS, FaultBoard, HttpFault, Plan
from microservice.venue.base import Refusal

MAX_BODY_BYTES = 64 * 1024
_JSON = "application/json"
_GARBAGE = b"<html><body>upstream said something</body></html>"

logger = logging.getLogger("microservice.api")


class Front:
    """Turns HTTP into handler calls."""

    def __init__(self, writes: Writes, board: FaultBoard) -> None:
        self._writes = writes
        self._board = board

    def endpoint(self, route: RouteSpec) -> Callable[[Request], Awaitable[Response]]:
        """Return the Starlette endpoint of a row."""

        async def serve(request: Request) -> Response:
            try:
                return await self._serve(route, request)
            except Exception:  # the boundary of a request: whatever broke, the caller gets the shape of an error
                logger.exception("request failed: %s %s", route.method, route.path)
                return _response(Reply(500, error_bytes("INTERNAL_ERROR", "the request failed")))

        return serve

    async def _serve(self, route: RouteSpec, request: Request) -> Response:
        try:
            body = await _body(request)
            parsed: msgspec.Struct | ApiError = _parse(route, request, body)
        except ApiError as error:  # still to meet its faults, if any: those strike what cannot be read, too
            parsed = error
        plan = NO_FAULTS
        if not (route.control or route.public):
            account = str(parsed.account_id) if isinstance(parsed, AccountRequest) else None
            plan = self._board.plan(route.path, account)
        unexecuted = _unexecuted(plan)
        if unexecuted is not None:
            return unexecuted
        return _struck(await self._answer(route, parsed, request, plan), plan)

    async def _answer(self, route: RouteSpec, parsed: msgspec.Struct | ApiError, request: Request, plan: Plan) -> Reply:
        async def before() -> None:
            if plan.seconds:
                await asyncio.sleep(plan.seconds)

        try:
            if isinstance(parsed, ApiError):
                raise parsed
            if isinstance(parsed, WriteRequest):
                key = check_key(request.headers.get("Idempotency-Key"))
                request_id = request.scope[REQUEST_ID]
                return await self._writes.perform(route.method, route.path, parsed, key, request_id, before)
            await before()
            return Reply(200, ENCODER.encode(await route.call(parsed)))
        except ApiError as error:
            return Reply(error.status, error_bytes(error.code, error.message), error.headers)
        except Refusal as refusal:
            return Reply(refusal.kind.value, refusal_bytes(refusal))


async def _body(request: Request) -> bytes:
    """Read the body, bounded."""
    chunks = bytearray()
    try:
        async for chunk in request.stream():
            chunks += chunk
            if len(chunks) > MAX_BODY_BYTES:
                message = f"a request body has at most {MAX_BODY_BYTES} bytes"
                raise ApiError(413, "PAYLOAD_TOO_LARGE", message, {"Connection": "close"})
    except ClientDisconnect:
        raise bad_request("the request was cut off") from None
    return bytes(chunks)


def _parse(route: RouteSpec, request: Request, body: bytes) -> msgspec.Struct:
    """Read the request struct: from the body of a POST, else from the query. Raises ApiError."""
    try:
        if route.method == "POST":
            return msgspec.json.decode(body, type=route.request)
        return msgspec.convert(dict(request.query_params), route.request, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(str(error)[:300]) from None


def _unexecuted(plan: Plan) -> Response | None:
    """Return the answer of a request that a fault keeps from being executed."""
    if HttpFault.DROP_BEFORE in plan.kinds:
        return DroppedResponse()
    wait = {"Retry-After": f"{plan.retry_after:g}"}
    if HttpFault.UNAUTHORIZED in plan.kinds:
        return _response(Reply(401, error_bytes("UNAUTHORIZED", "the session is no longer valid")))
    if HttpFault.RATE_LIMITED in plan.kinds:
        return _response(Reply(429, error_bytes("REQUEST_FREQUENCY_EXCEEDED", "too many requests"), wait))
    if HttpFault.UNAVAILABLE in plan.kinds:
        return _response(Reply(503, error_bytes("SERVER_IS_UNDER_MAINTENANCE", "try later"), wait))
    return None


def _struck(reply: Reply, plan: Plan) -> Response:
    """Return the answer as the faults that strike after execution leave it."""
    if HttpFault.DROP_AFTER in plan.kinds:
        return DroppedResponse()
    if HttpFault.ERROR_AFTER in plan.kinds:
        return _response(Reply(500, error_bytes("INTERNAL_ERROR", "the request failed")))
    if HttpFault.UNREADABLE in plan.kinds:
        return _response(Reply(200, _GARBAGE))
    if HttpFault.TRUNCATED in plan.kinds:
        return TruncatedResponse(reply.body, reply.status, reply.headers, _JSON)
    return _response(reply)


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers, _JSON)


async def _http_error(_: Request, error: Exception) -> Response:
    """Give 404 and 405 the shape of every other error."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(status, "HTTP_ERROR")
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return _response(Reply(status, error_bytes(code, HTTPStatus(status).phrase), headers))


def build_app(routes: list[RouteSpec], writes: Writes, board: FaultBoard, *, secret: str, prefix: str) -> ASGIApp:
    """Mount the table, and the document that describes it, behind the gate."""
    front = Front(writes, board)
    described = document(routes, prefix)

    async def openapi(_: Request) -> Response:
        return _response(Reply(200, described))

    mounted = [Route(r.path, front.endpoint(r), methods=[r.method]) for r in routes]
    mounted.append(Route("/openapi.json", openapi, methods=["GET"]))
    app = Starlette(routes=mounted, exception_handlers={HTTPException: _http_error})
    public = frozenset(route.path for route in routes if route.public)
    return Gate(app, secret=secret, prefix=prefix, public=public)
