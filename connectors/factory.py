"""Which platform serves an account. A host registers its own platforms beside ours."""

import importlib
from collections.abc import Callable
from threading import Lock
from typing import cast

from connectors.base import Account, PlatformConnector
from connectors.errors import UnsupportedOperationError

ConnectorFactory = Callable[[Account], PlatformConnector]

_factories: dict[str, ConnectorFactory | str] = {}
_lock = Lock()


def _normal(platform: str) -> str:
    return platform.strip().lower()


def register_connector(platform: str, factory: ConnectorFactory | str) -> None:
    """Let ``factory`` serve accounts whose ``platform`` is this one (case does not matter); the last one wins.

    ``factory`` takes the account and returns its connector. It may be given as a dotted path
    (``"package.module.Name"``), resolved at first use, so that registering imports nothing.
    """
    with _lock:
        _factories[_normal(platform)] = factory


def is_registered(platform: str) -> bool:
    """Whether some connector serves this platform."""
    return _normal(platform) in _factories


def get_connector(account: Account) -> PlatformConnector:
    """The connector for this account. Raises UnsupportedOperationError when no platform of that name exists."""
    name = _normal(account.platform)
    try:
        factory = _factories[name]
    except KeyError:
        known = ", ".join(sorted(_factories)) or "none"
        raise UnsupportedOperationError(
            f"no connector is registered for platform {account.platform!r} (registered: {known})"
        ) from None
    if isinstance(factory, str):
        factory = _resolve(factory)
        register_connector(name, factory)
    return factory(account)


def _resolve(dotted_path: str) -> ConnectorFactory:
    module_name, _, attribute = dotted_path.rpartition(".")
    return cast("ConnectorFactory", getattr(importlib.import_module(module_name), attribute))
