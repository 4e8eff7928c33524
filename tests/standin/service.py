"""The stand-in's HTTP front: the standard library's threading server, HTTP/1.1 with kept connections."""

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from tests.standin.books import RefusedError
from tests.standin.dialect import Dialect, Json
from tests.standin.publisher import Publisher
from tests.standin.venue import Venue

Fault = Literal["drop_before", "drop_after", "late", "slow"]
"""Cut the connection before or after execution; answer late; execute late."""

TIMEFRAME_S = {"M1": 60, "M5": 300, "M15": 900, "M30": 1800, "H1": 3600, "H4": 14_400, "D1": 86_400}
WRITES = frozenset({"/trade/place", "/trade/close", "/trade/modify-protection", "/order/cancel"})
PUBLIC_METHODS = {
    "/account-info": "GET", "/open-positions": "GET", "/symbol-info": "GET", "/candles": "GET", "/price": "GET",
    "/trade/sync-data": "GET", "/connect": "POST", "/disconnect": "POST", "/trade/place": "POST",
    "/trade/close": "POST", "/trade/modify-protection": "POST", "/order/cancel": "POST", "/subscribe/price": "POST",
    "/unsubscribe/price": "POST", "/subscribe/candles": "POST", "/unsubscribe/candles": "POST",
}  # fmt: skip

Answer = tuple[int, Json]


@dataclass
class _Armed:
    path: str
    fault: Fault
    count: int
    seconds: float


class _DroppedError(Exception):
    """The connection is to be cut without an answer."""


class StandIn:
    """The service on a free port of loopback. `with StandIn(secret) as service:`.

    `replays`: whether it keeps its promise on Idempotency-Key; without, the same request twice is done twice.
    `sessions`: whether an account must be connected before anything else (401 until then).
    """

    def __init__(
        self,
        secret: str,
        *,
        amqp_url: str | None = None,
        exchange: str = "ctrader.events",
        prefix: str = "",
        dialect: Dialect | None = None,
        replays: bool = True,
        sessions: bool = False,
    ) -> None:
        self.secret = secret
        self.prefix = prefix
        self.replays = replays
        self.sessions = sessions
        self.dialect = dialect or Dialect()
        self.venue = Venue(self._happened)
        self.requests: list[tuple[str, str | None]] = []
        """Path and Idempotency-Key of every write that arrived, answered or not."""
        self.unconnected: list[str | None] = []
        """The keys of writes that were answered with 401 because their account was not connected."""
        self.connected: dict[str, str | None] = {}
        self._kept: dict[tuple[str, str], Answer | None] = {}
        self._armed: list[_Armed] = []
        self._streams: set[tuple[str, str, str]] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._publisher = Publisher(amqp_url, exchange, self._produce) if amqp_url else None
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="standin", daemon=True)

    @property
    def base_url(self) -> str:
        """Without the prefix."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        if self._publisher is not None:
            self._publisher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join(5.0)
        self._server.close_all()
        if self._publisher is not None:
            self._publisher.stop()

    def arm(self, path: str, fault: Fault, count: int = 1, seconds: float = 0.0) -> None:
        """The next `count` requests to this path (without the prefix) meet the fault."""
        assert path in PUBLIC_METHODS
        with self._lock:
            self._armed.append(_Armed(path, fault, count, seconds))

    def disarm(self) -> None:
        """No more faults."""
        with self._lock:
            self._armed.clear()

    def forget_sessions(self) -> None:
        """As after a restart: every account has to connect again."""
        self.connected.clear()

    # -- one request -------------------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The status and the body; raises _DroppedError when the connection is to be cut."""
        parts = urlsplit(target)
        path = parts.path.removeprefix(self.prefix)
        key = headers.get("Idempotency-Key")
        if path in WRITES:
            self.requests.append((path, key))
        fault = self._take_fault(path)
        if fault is not None and fault.fault == "drop_before":
            raise _DroppedError
        try:
            self._check(method, parts.path, path, headers)
            given = _parameters(method, parts.query, body)
            result = self._write_once(path, key, given, fault) if path in WRITES else (200, self._reading(path, given))
        except RefusedError as refused:
            result = (refused.status, self.dialect.refusal(refused))
        if fault is not None and fault.fault == "drop_after":
            raise _DroppedError
        if fault is not None and fault.fault == "late":
            self._stopping.wait(fault.seconds)
        return result

    def _take_fault(self, path: str) -> _Armed | None:
        with self._lock:
            found = next((each for each in self._armed if each.path == path), None)
            if found is not None:
                found.count -= 1
                if not found.count:
                    self._armed.remove(found)
            return found

    def _check(self, method: str, full_path: str, path: str, headers: Mapping[str, str]) -> None:
        if headers.get("Authorization") != f"Bearer {self.secret}":
            raise RefusedError(401, "UNAUTHORIZED", "the shared secret is missing or wrong")
        if not full_path.startswith(self.prefix) or path not in PUBLIC_METHODS:
            raise RefusedError(404, "NOT_FOUND", f"nothing is at {full_path}")
        if PUBLIC_METHODS[path] != method:
            raise RefusedError(405, "METHOD_NOT_ALLOWED", f"{path} takes {PUBLIC_METHODS[path]}")
        if not headers.get("X-Request-ID"):
            raise RefusedError(400, "REQUEST_ID_MISSING", "every request carries an X-Request-ID")

    def _write_once(self, path: str, key: str | None, given: Json, fault: _Armed | None) -> Answer:
        if not key:
            raise RefusedError(400, "IDEMPOTENCY_KEY_MISSING", "a write needs its Idempotency-Key")
        if self.sessions and _account(given) not in self.connected:
            self.unconnected.append(key)
            raise RefusedError(401, "NOT_CONNECTED", "the account is not connected")
        name = (_account(given), key)
        if self.replays:
            with self._lock:
                if name in self._kept:
                    kept = self._kept[name]
                    if kept is None:
                        raise RefusedError(409, "IDEMPOTENCY_IN_PROGRESS", "this request is being executed")
                    return kept
                self._kept[name] = None
        if fault is not None and fault.fault == "slow":
            self._stopping.wait(fault.seconds)
        try:
            result: Answer = (200, self._writing(path, given))
        except RefusedError as refused:
            result = (refused.status, self.dialect.refusal(refused))
        with self._lock:
            self._kept[name] = result
        return result

    # -- endpoints ---------------------------------------------------------------------------------------------------

    def _reading(self, path: str, given: Json) -> Json:
        account = _account(given)
        if path == "/connect":
            internal = given.get("internal_account_id")
            self.connected[account] = None if internal is None else str(internal)
            return {"status": "connected", "session_id": f"session-{account}"}
        if self.sessions and account not in self.connected:
            raise RefusedError(401, "NOT_CONNECTED", f"account {account} is not connected")
        if path == "/disconnect":
            self.connected.pop(account, None)
            return {"status": "disconnected"}
        if path.startswith(("/subscribe", "/unsubscribe")):
            return self._subscription(path, account, given)
        with self.venue.lock:
            return self._reads()[path](account, given)

    def _reads(self) -> dict[str, Callable[[str, Json], Json]]:
        venue, dialect = self.venue, self.dialect
        return {
            "/account-info": lambda account, _: dialect.figures(account, venue),
            "/open-positions": lambda account, _: dialect.book(account, venue),
            "/symbol-info": lambda _, given: dialect.symbol(venue.instrument(given.get("symbol"))),
            "/price": lambda _, given: dialect.price(venue.instrument(given.get("symbol")), time.time()),
            "/candles": lambda _, given: self._candles(given),
            "/trade/sync-data": lambda account, given: dialect.sync(*venue.history(account, given.get("position_id"))),
        }

    def _writing(self, path: str, given: Json) -> Json:
        account, venue = _account(given), self.venue
        with venue.lock:
            if path == "/trade/place":
                return self.dialect.placed(venue.place(account, given), venue, str(given["client_order_id"]))
            if path == "/trade/close":
                return self.dialect.closed(*venue.close(account, given))
            if path == "/trade/modify-protection":
                position = venue.modify(account, given)
                row = self.dialect.position(position, venue)
                levels = {
                    "stop_loss": row.get("stop_loss", row.get("sl")),
                    "take_profit": row.get("take_profit", row.get("tp")),
                }
                return {"position_id": self.dialect.identity(position.number)} | levels
            number, status = venue.cancel(account, given)
            return {"order_id": self.dialect.identity(number), "status": status}

    def _candles(self, given: Json) -> Json:
        instrument = self.venue.instrument(given.get("symbol"))
        seconds = _seconds(given.get("timeframe"))
        if "count" in given:
            count = int(given["count"])
        elif "start" in given and "end" in given:
            count = 10
        else:
            raise RefusedError(400, "BAD_REQUEST", "give count, or start and end")
        last = int(time.time()) // seconds * seconds
        times = range(last - (count - 1) * seconds, last + 1, seconds)
        return {"candles": [self.dialect.candle(instrument, each) for each in times]}

    def _subscription(self, path: str, account: str, given: Json) -> Json:
        symbol = self.venue.instrument(given.get("symbol")).name
        timeframe = ""
        if path.endswith("/candles"):
            timeframe = str(given.get("timeframe"))
            _seconds(timeframe)
        change = self._streams.add if path.startswith("/subscribe") else self._streams.discard
        with self._lock:
            change((account, symbol, timeframe))
        return {"status": path[1:].partition("/")[0] + "d"}

    # -- events ------------------------------------------------------------------------------------------------------

    def streams(self) -> set[tuple[str, str, str]]:
        """What is being produced: account, symbol, timeframe (empty: prices)."""
        with self._lock:
            return set(self._streams)

    def _produce(self) -> None:
        assert self._publisher is not None
        now_s = time.time()
        for account, symbol, timeframe in self.streams():
            with self.venue.lock:
                instrument = self.venue.instruments[symbol]
                if timeframe:
                    opened_s = int(now_s) // _seconds(timeframe) * _seconds(timeframe)
                    candle = self.dialect.candle(instrument, opened_s)
                    payload = {"symbol": symbol, "timeframe": timeframe, "candle": candle}
                else:
                    payload = self.dialect.price(instrument, now_s)
            event_type = "candle.update" if timeframe else "price.tick"
            self._publisher.add(event_type, account, self.connected.get(account), payload)

    def _happened(self, event_type: str, account: str, subject: Any) -> None:
        if self._publisher is None:
            return
        if event_type == "positions.snapshot":
            payload = self.dialect.book(account, self.venue)
        elif event_type == "account.info":
            payload = self.dialect.figures(account, self.venue)
        else:
            payload = self.dialect.closure(subject, self.venue)
        self._publisher.add(event_type, account, self.connected.get(account), payload)


def _account(given: Json) -> str:
    account = given.get("account_id")
    if not isinstance(account, str) or not account:
        raise RefusedError(400, "BAD_REQUEST", "account_id is missing")
    return account


def _seconds(timeframe: object) -> int:
    if timeframe not in TIMEFRAME_S:
        raise RefusedError(422, "INVALID_TIMEFRAME", f"there is no timeframe {timeframe!r}")
    return TIMEFRAME_S[str(timeframe)]


def _parameters(method: str, query: str, body: bytes) -> Json:
    if method == "GET":
        return dict(parse_qsl(query))
    try:
        given = json.loads(body, parse_float=Decimal)
    except (ValueError, InvalidOperation):
        raise RefusedError(400, "BAD_REQUEST", "the body is not JSON") from None
    if not isinstance(given, dict):
        raise RefusedError(400, "BAD_REQUEST", "the body is not an object")
    return given


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], service: StandIn) -> None:
        self.service = service
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        """Close the listener and every kept connection."""
        self.server_close()
        for connection in list(self._open):
            self.shutdown_request(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Reads."""
        self._serve()

    def do_POST(self) -> None:
        """Everything else."""
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.title(): value for name, value in self.headers.items()}
        headers["X-Request-ID"] = headers.pop("X-Request-Id", "")
        try:
            status, answer = self.server.service.answer(self.command, self.path, headers, body)
        except _DroppedError:
            self.close_connection = True
            return
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        try:
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            self.close_connection = True  # whoever asked has gone
