"""The process-wide clients."""

import os
import threading

from ctrader_app.connector.client import CTraderClient
from ctrader_app.connector.config import ConnectorConfig

_clients: dict[tuple[int, ConnectorConfig], CTraderClient] = {}
_lock = threading.Lock()


def shared_client(config: ConnectorConfig) -> CTraderClient:
    """The one client of this process for ``config``.

    A forked child gets its own: two processes must never read from one connection. What the child inherited stays
    untouched and is not closed, because closing needs locks that a thread of the parent may have held at the fork.
    """
    key = (os.getpid(), config)
    client = _clients.get(key)
    if client is None:
        with _lock:
            client = _clients.get(key)
            if client is None:
                client = _clients[key] = CTraderClient(config)
    return client


def close_shared_clients() -> None:
    """Close this process's clients; the next call of :func:`shared_client` makes new ones."""
    with _lock:
        for key in [key for key in _clients if key[0] == os.getpid()]:
            _clients.pop(key).close()


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - a lock held at the fork would stay held in the child for ever
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)
