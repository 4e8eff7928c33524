"""Many WebSockets and when each of their frames was there.

Written on bare sockets, like the watch of groups: clients of a library would take the processor that the server needs.
"""

import base64
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from tests.support.ports import LOOPBACK

CHUNK = 1 << 16
OPEN_TIMEOUT_S = 10.0

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


class Frame(NamedTuple):
    """One text frame: when it was here, in monotonic seconds, at which socket, and what it says."""

    at: float
    browser: int
    text: bytes


class Browsers:
    """Opens a WebSocket for each path, one after the other, and hands every text frame to ``take``, in a thread."""

    def __init__(
        self, port: int, paths: Sequence[str], take: Callable[[Frame], None], headers: Sequence[str] = ()
    ) -> None:
        self._port = port
        self._paths = paths
        self._take = take
        self._headers = "".join(f"{header}\r\n" for header in headers)
        self._sockets: list[socket.socket] = []
        self._rests: list[bytes] = []
        self._selector = selectors.DefaultSelector()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="browsers", daemon=True)
        self._closed: list[int] = []

    def __enter__(self) -> Self:
        for path in self._paths:
            self._open(path)
        for index, each in enumerate(self._sockets):
            each.setblocking(False)
            self._selector.register(each, selectors.EVENT_READ, index)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join(10)
        for each in self._sockets:
            each.close()
        self._selector.close()

    def check(self) -> None:
        """AssertionError when the server has closed any of them."""
        assert not self._closed, f"{len(self._closed)} sockets were closed"

    def _open(self, path: str) -> None:
        opened = socket.create_connection((LOOPBACK, self._port), OPEN_TIMEOUT_S)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(b"0123456789abcdef").decode()
        opened.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{self._port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{self._headers}\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = opened.recv(CHUNK)
            assert part, f"{path}: the handshake ends with {answer!r}"
            answer += part
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        self._sockets.append(opened)
        self._rests.append(rest)

    def _read(self) -> None:
        while not self._is_over.is_set():
            for key, _ in self._selector.select(0.1):
                index: int = key.data
                try:
                    chunk = self._sockets[index].recv(CHUNK)
                except BlockingIOError:
                    continue
                except OSError:
                    chunk = b""
                if not chunk:
                    self._closed.append(index)
                    self._selector.unregister(self._sockets[index])
                    continue
                self._rests[index] = self._frames(index, self._rests[index] + chunk, time.monotonic())

    def _frames(self, index: int, data: bytes, at: float) -> bytes:
        """Take the whole frames in ``data``; the rest."""
        start = 0
        while len(data) >= start + 2:
            kind, size, body = data[start] & 0x0F, data[start + 1], start + 2
            if size >= 126:
                width, form = (2, ">H") if size == 126 else (8, ">Q")
                if len(data) < body + width:
                    break
                (size,) = struct.unpack_from(form, data, body)
                body += width
            if len(data) < body + size:
                break
            self._frame(index, kind, data[body : body + size], at)
            start = body + size
        return data[start:]

    def _frame(self, index: int, kind: int, payload: bytes, at: float) -> None:
        if kind == _TEXT:
            self._take(Frame(at, index, payload))
        elif kind == _PING:
            # A client masks what it sends; with a mask of zeros that changes nothing.
            self._sockets[index].sendall(bytes((0x80 | _PONG, 0x80 | len(payload))) + bytes(4) + payload)
        elif kind == _CLOSE:
            self._closed.append(index)
