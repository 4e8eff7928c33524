"""What really reaches a subscriber of the groups in Redis, and when.

Written on the bare socket: a client library's subscriber would take as much of the processor as the relay it watches.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgpack

from tests.support.ports import LOOPBACK

_HEAD = re.compile(rb"\*3\r\n\$7\r\nmessage\r\n\$(\d+)\r\n")
_LENGTH = re.compile(rb"\r\n\$(\d+)\r\n")
CHUNK = 1 << 20


class Received(NamedTuple):
    """One message of a group, and when it was here, in monotonic seconds."""

    at: float
    group: bytes
    data: bytes

    @property
    def message(self) -> dict[str, Any]:
        """As channels_redis would hand it over."""
        message: dict[str, Any] = msgpack.unpackb(self.data)
        return message


class GroupWatch:
    """Subscribes to groups of the channel layer and keeps what comes, in a thread."""

    def __init__(self, port: int, groups: Sequence[str]) -> None:
        self._port = port
        self._channels = [f"asgi__group__{group}".encode() for group in groups]
        self._socket = socket.socket()
        self._thread = threading.Thread(target=self._read, name="group-watch", daemon=True)
        self._done = threading.Event()
        self._is_complete: Callable[[Received], bool] = lambda _: False
        self.received: list[Received] = []

    def __enter__(self) -> Self:
        self._socket.connect((LOOPBACK, self._port))
        names = b"".join(b"$%d\r\n%b\r\n" % (len(name), name) for name in self._channels)
        self._socket.sendall(b"*%d\r\n$9\r\nSUBSCRIBE\r\n%b" % (len(self._channels) + 1, names))
        answers = b""
        while answers.count(b"subscribe\r\n") < len(self._channels):
            answers += self._socket.recv(CHUNK)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def expect(self, is_complete: Callable[[Received], bool]) -> None:
        """From now on look for the message with which everything is there: the first that the function says so of."""
        self.received = []
        self._done.clear()
        self._is_complete = is_complete

    def wait(self, timeout_s: float) -> float:
        """Wait for that message; when it came, in monotonic seconds. AssertionError when it does not."""
        assert self._done.wait(timeout_s), f"only {len(self.received)} messages in {timeout_s:g} s"
        return self.received[-1].at

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                chunk = self._socket.recv(CHUNK)
            except OSError:
                return
            if not chunk:
                return
            rest = self._take(rest + chunk, time.monotonic())

    def _take(self, data: bytes, at: float) -> bytes:
        """Keep the whole messages in ``data``; the rest."""
        start = 0
        while (head := _HEAD.match(data, start)) is not None:
            name_end = head.end() + int(head[1])
            length = _LENGTH.match(data, name_end)
            if length is None:
                break
            end = length.end() + int(length[1])
            if len(data) < end + 2:
                break
            self._keep(Received(at, data[head.end() : name_end], data[length.end() : end]))
            start = end + 2
        return data[start:]

    def _keep(self, received: Received) -> None:
        if self._done.is_set():
            return
        self.received.append(received)
        if self._is_complete(received):
            self._done.set()
