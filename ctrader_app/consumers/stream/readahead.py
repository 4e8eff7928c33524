"""kombu's AMQP transport, reading as much as there is instead of as little as is needed.

py-amqp asks the socket for each part of each frame: nine system calls a message, with a time limit that is set and
taken back around every frame another fifteen. Each of them hands the interpreter to whichever thread wants it, and the
thread that feeds the channel layer often does. Here one call fetches up to :data:`AT_ONCE` bytes, the time limit is
applied to that call alone, and frames that were fetched whole are cut out in one step. That halves what a tick costs.

What frames mean, heartbeats and errors included, is py-amqp's own.
"""

from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any

from amqp.transport import TCPTransport
from kombu.transport import pyamqp

AT_ONCE = 128 * 1024
"""Bytes. Some two hundred ticks; RabbitMQ's own limit of one frame."""

_HEADER = Struct(">BHI")
_END = 0xCE

Frame = tuple[int, int, bytes]
"""Type, channel, payload."""


class ReadAhead:
    """Stands for a socket's ``recv``: hands out what was fetched before, and fetches when there is nothing left.

    ``limit_s``, unless None, is how long a fetch may wait before it raises TimeoutError.
    """

    def __init__(self, sock: Any, fetch: Callable[[int], bytes]) -> None:
        self._socket = sock
        self._fetch = fetch
        self._data = b""
        self._at = 0
        self.limit_s: float | None = None

    def __call__(self, size: int) -> bytes:
        """Up to ``size`` bytes; none when the other side has closed."""
        at = self._at
        data = self._data
        if at >= len(data):
            data, at = self._fetched(), 0
            self._data = data
        self._at = at + size
        return data[at : at + size]

    def frame(self) -> Frame | None:
        """The next frame, if all of it was fetched and is as it should be; otherwise nothing is taken."""
        data, start = self._data, self._at + 7
        if start >= len(data):
            return None
        kind, channel, size = _HEADER.unpack_from(data, self._at)
        end = start + size
        if end >= len(data) or data[end] != _END:
            return None
        self._at = end + 1
        return kind, channel, data[start:end]

    def _fetched(self) -> bytes:
        if self.limit_s is None:
            return self._fetch(AT_ONCE)
        before = self._socket.gettimeout()
        self._socket.settimeout(self.limit_s)
        try:
            return self._fetch(AT_ONCE)
        finally:
            self._socket.settimeout(before)


class _Tcp(TCPTransport):
    _read_buffer: bytes
    _quick_recv: Any

    def _setup_transport(self) -> None:
        super()._setup_transport()  # type: ignore[misc]
        self._quick_recv = ReadAhead(self.sock, self._quick_recv)

    def read_frame(self, *unpack: Any) -> Frame:
        # A rest in py-amqp's own buffer comes first: the part of a frame that was there when time was up.
        frame: Frame | None = None if self._read_buffer else self._quick_recv.frame()
        if frame is not None:
            return frame
        slowly: Frame = super().read_frame(*unpack)
        return slowly


class _Connection(pyamqp.Connection):
    def Transport(  # noqa: N802 - py-amqp's name
        self, host: str, connect_timeout: float | None, ssl: Any = False, *limits: Any, **options: Any
    ) -> Any:
        if ssl:
            return super().Transport(host, connect_timeout, ssl, *limits, **options)
        return _Tcp(host, connect_timeout, *limits, **options)

    def blocking_read(self, timeout: float | None = None) -> Any:
        if timeout is None:  # nothing to set and take back
            return self.on_inbound_frame(self.transport.read_frame())
        return super().blocking_read(timeout)


class Transport(pyamqp.Transport):
    """For ``kombu.Connection(..., transport=)`` with ``amqp://`` URLs."""

    Connection = _Connection


def transport_for(url: str) -> type[Transport] | None:
    """The transport for this URL; None for every other scheme, TLS included, which is read as kombu reads it."""
    return Transport if url.startswith("amqp://") else None


def drain_of(connection: Any, limit_s: float) -> Callable[[], None]:
    """A function that handles what is next on an open kombu connection, or raises TimeoutError after ``limit_s``."""
    transport = getattr(connection.connection, "transport", None)
    if not isinstance(transport, _Tcp):
        return partial(connection.drain_events, timeout=limit_s)
    reads: ReadAhead = transport._quick_recv

    def drain() -> None:
        # Only here: an answer of the broker, for which others wait between two messages, may take longer.
        reads.limit_s = limit_s
        try:
            connection.drain_events()
        finally:
            reads.limit_s = None

    return drain
