"""A small HTTP server that follows a script, good manners and bad ones, over real sockets."""

import contextlib
import json
import select
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

DRIP_INTERVAL_S = 0.02
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Request:
    """What the server was sent. Header names are lower-case; ``connection`` counts from 1."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> object:
        """The body."""
        return json.loads(self.body)


@dataclass(slots=True)
class Exchange:
    """One connection, at the moment when it is the server's turn."""

    socket: socket.socket
    stopping: threading.Event
    request: Request | None = None

    def send(self, data: bytes) -> None:
        """Send, unless the client has gone."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send byte by byte, with pauses, until the client has gone or the server stops."""
        with contextlib.suppress(OSError):
            for byte in data:
                self.socket.sendall(bytes([byte]))
                if self.stopping.wait(DRIP_INTERVAL_S):
                    return

    def wait_for_the_client_to_go(self) -> None:
        """Say nothing until the other side closes."""
        with contextlib.suppress(OSError):
            self.socket.settimeout(None)
            while not self.stopping.is_set():
                readable, _, _ = select.select([self.socket], [], [], POLL_S)
                if readable and not self.socket.recv(65536):
                    return


Act = Callable[[Exchange], bool]
"""One turn; returns whether the connection stays open."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """``reads`` False: the turn is taken as soon as something arrives, without reading it."""

    act: Act
    reads: bool = True


def reply(status: int, body: object = b"", **headers: str) -> Behaviour:
    """An orderly answer; ``body`` is bytes or a JSON value. ``Retry_After="1"`` is the header Retry-After."""

    def act(exchange: Exchange) -> bool:
        exchange.send(raw_answer(status, body, length=None, **headers))
        return True

    return Behaviour(act)


def raw_answer(status: int, body: object = b"", *, length: int | None = None, **headers: str) -> bytes:
    """The bytes of an answer; ``length`` is the Content-Length that it claims, if not the true one."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(data) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def reply_by(make: Callable[[Request], object]) -> Behaviour:
    """200 with what ``make`` makes of the request."""

    def act(exchange: Exchange) -> bool:
        assert exchange.request is not None
        exchange.send(raw_answer(200, make(exchange.request)))
        return True

    return Behaviour(act)


def send_raw(data: bytes, *, keep: bool = False) -> Behaviour:
    """These bytes, then (unless ``keep``) the end of the connection."""

    def act(exchange: Exchange) -> bool:
        exchange.send(data)
        return keep

    return Behaviour(act)


def drip(data: bytes) -> Behaviour:
    """These bytes, one at a time."""

    def act(exchange: Exchange) -> bool:
        exchange.drip(data)
        return False

    return Behaviour(act)


def _close(_exchange: Exchange) -> bool:
    return False


def _reset(exchange: Exchange) -> bool:
    exchange.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _silence(exchange: Exchange) -> bool:
    exchange.wait_for_the_client_to_go()
    return False


close_before_reading = Behaviour(_close, reads=False)
close_after_reading = Behaviour(_close)
reset_after_reading = Behaviour(_reset)
silence = Behaviour(_silence)


@dataclass
class ScriptedServer:
    """Listens on loopback. Each request takes the next behaviour of the script, then ``default``."""

    default: Behaviour = field(default_factory=lambda: reply(500, {"error": {"code": "UNSCRIPTED"}}))
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.closed = 0
        self._script: deque[Behaviour] = deque()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(POLL_S)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def then(self, *behaviours: Behaviour) -> Self:
        """Add to the script."""
        self._script.extend(behaviours)
        return self

    def asked(self, path: str) -> list[Request]:
        """The requests for one path."""
        return [request for request in self.requests if request.path == path]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                accepted, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(accepted, self.connections), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket, number: int) -> None:
        # Answers go out at once: Nagle's algorithm would add 40 ms to each and hide what is measured.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with (
            contextlib.suppress(OSError),
            accepted if self.tls is None else self._encrypted(accepted, self.tls) as open_,
        ):
            while self._arrived(open_) and self._turn(open_, number):
                pass
        self.closed += 1

    @staticmethod
    def _encrypted(accepted: socket.socket, context: ssl.SSLContext) -> socket.socket:
        with accepted:
            return context.wrap_socket(accepted, server_side=True)

    def _arrived(self, connected: socket.socket) -> bool:
        while not self._stopping.is_set():
            if select.select([connected], [], [], POLL_S)[0]:
                # Data that TLS still has to decrypt cannot be peeked at; its end shows when it is read.
                return isinstance(connected, ssl.SSLSocket) or connected.recv(1, socket.MSG_PEEK) != b""
        return False

    def _turn(self, connected: socket.socket, number: int) -> bool:
        with self._lock:
            behaviour = self._script.popleft() if self._script else self.default
        exchange = Exchange(connected, self._stopping)
        if behaviour.reads:
            exchange.request = _read_request(connected, number)
            if exchange.request is None:
                return False
            self.requests.append(exchange.request)
        return behaviour.act(exchange)


def _read_request(connected: socket.socket, number: int) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connected.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connected.recv(65536)
    parts = urlsplit(target)
    return Request(method, parts.path, dict(parse_qsl(parts.query)), headers, body, number)
