"""The guard that keeps tests on loopback.

A connection to any other machine raises, and is remembered too: the test fails even when the code under test
swallows the exception. Child processes are not covered; the servers among them listen on loopback only.
"""

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "", "0.0.0.0", "::"})


class ForeignConnectionError(RuntimeError):
    """A test tried to reach another machine."""


class SocketGuard:
    """Wraps what the socket module uses to reach out; `attempts` lists what it stopped."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self._lock = threading.Lock()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Replace the socket functions until `patch` is undone."""
        connect, connect_ex, sendto = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto
        getaddrinfo = socket.getaddrinfo

        def guarded_connect(self_: socket.socket, address: Any, /) -> None:
            self.check(self_, address)
            connect(self_, address)

        def guarded_connect_ex(self_: socket.socket, address: Any, /) -> int:
            self.check(self_, address)
            return connect_ex(self_, address)

        def guarded_sendto(self_: socket.socket, data: Any, *rest: Any) -> int:
            self.check(self_, rest[-1])
            return sendto(self_, data, *rest)

        def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            self.check_name(host)
            return getaddrinfo(host, *args, **kwargs)

        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket.socket, "sendto", guarded_sendto)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)

    def check(self, used: socket.socket, address: Any) -> None:
        """Close the socket and raise ForeignConnectionError when an internet address is not on loopback."""
        if used.family not in (socket.AF_INET, socket.AF_INET6):
            return
        host = address[0]
        if not _is_local(host):
            # Its owner expects OSError only, and would leave it open.
            used.close()
            self._stop(f"{host}:{address[1]}")

    def check_name(self, host: Any) -> None:
        """Raise before a foreign name reaches a resolver.

        Names under `.invalid` never exist (RFC 6761): they get the answer a resolver would give, so that "no such
        host" can be tested.
        """
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name is None or _is_local(name) or _is_number(name) or name.rstrip(".") == socket.gethostname():
            return  # nobody is asked; `connect` looks at numbers
        if name.rstrip(".").endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self._stop(name)

    def _stop(self, where: str) -> None:
        with self._lock:
            self.attempts.append(where)
        raise ForeignConnectionError(f"tests talk to loopback only, not to {where}")

    def take_attempts(self) -> list[str]:
        """What was stopped since the last call."""
        with self._lock:
            taken, self.attempts = self.attempts, []
        return taken

    @contextlib.contextmanager
    def expecting(self) -> Iterator[None]:
        """For the tests of the guard: an attempt within is wanted, and does not fail the test."""
        self.take_attempts()
        yield
        assert self.take_attempts(), "nothing tried to leave loopback"


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_local(host: str) -> bool:
    return host in _LOCAL_NAMES or (_is_number(host) and ipaddress.ip_address(host.partition("%")[0]).is_loopback)
