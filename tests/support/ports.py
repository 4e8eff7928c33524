"""Free ports on loopback."""

import random
import socket
import threading

LOOPBACK = "127.0.0.1"

# Below the range from which Linux takes ports for outgoing connections (32768 and up), so that a port found free is
# not taken by somebody's connection before the server binds it.
_LOWEST_PORT, _HIGHEST_PORT = 15_000, 31_000

_handed_out: set[int] = set()
_lock = threading.Lock()
_random = random.SystemRandom()


def free_port() -> int:
    """A port of loopback that nobody listens on, never the same twice in one test run."""
    with _lock:
        while True:
            port = _random.randint(_LOWEST_PORT, _HIGHEST_PORT)
            if port not in _handed_out and _can_bind(port):
                _handed_out.add(port)
                return port


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on this port of loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False
