"""Connections that tell "nothing left" from everything else, and whose answers end in time.

Three things that urllib3 leaves open are settled here, through its own extension points (``ConnectionCls``,
``response_class``, ``pool_classes_by_scheme``):

- Whatever goes wrong while connecting, TLS handshake included, is raised as NewConnectionError: no byte of a request
  leaves before ``connect`` has returned, so that type is proof that nothing was sent.
- The read timeout bounds the whole answer, not each packet: a service that drips cannot hold a worker.
- A connection that has idled is not used again. Servers close idle connections (gunicorn after 2 s, uvicorn and Node
  after 5 s); a request that crosses such a close on the wire has an unknown fate, so it is not risked.
"""

import http.client
import io
import socket
import time
from typing import TYPE_CHECKING, Any

import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

MAX_IDLE_S = 1.5

POOL_SIZE = 64
"""Connections kept per process; more threads than this still get one each, which is closed after its use."""


class _DeadlineReader(io.RawIOBase):
    """What arrives on a socket, until a moment of ``time.monotonic``; then TimeoutError."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        super().__init__()
        self._socket = connected
        self._raw = connected.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining_s = self._deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("the answer took too long")
        self._socket.settimeout(remaining_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        # urllib3 has just set the read timeout on the socket; None (no timeout) never comes from our sessions.
        timeout_s = sock.gettimeout()
        if timeout_s is not None:
            unbounded = self.fp
            self.fp = io.BufferedReader(_DeadlineReader(sock, time.monotonic() + timeout_s))
            unbounded.close()


if TYPE_CHECKING:
    _Base = HTTPConnection
else:
    _Base = object


class _Provable(_Base):
    response_class = _BoundedResponse
    _used_at = 0.0

    def connect(self) -> None:
        try:
            super().connect()
        except (ConnectTimeoutError, NewConnectionError):
            raise
        except Exception as error:  # whatever it is, it came before the first byte of a request
            raise NewConnectionError(self, f"{type(error).__name__}: {error}") from error
        self._used_at = time.monotonic()

    def getresponse(self) -> urllib3.response.HTTPResponse:  # type: ignore[override]  # as urllib3 itself does
        response = super().getresponse()
        self._used_at = time.monotonic()
        return response

    @property
    def is_connected(self) -> bool:
        """Asked by the pool before it uses a connection again; False makes it open a new one."""
        return time.monotonic() - self._used_at < MAX_IDLE_S and super().is_connected


class _PlainConnection(_Provable, HTTPConnection):
    pass


class _TlsConnection(_Provable, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class ProvableAdapter(requests.adapters.HTTPAdapter):
    """The pooled adapter over these connections, without any retry of its own."""

    def __init__(self) -> None:
        super().__init__(pool_connections=2, pool_maxsize=POOL_SIZE, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Called by requests, also when an adapter is unpickled."""
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
