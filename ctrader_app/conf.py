"""The app's settings, read from Django's and typed once.

A host project sets them under the names that the environment uses (``CTRADER_API_BASE_URL`` and so on); the
bundled site fills them from the environment in ``config.settings``.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed


@dataclass(frozen=True, slots=True)
class CTraderSettings:
    """Times in seconds."""

    api_base_url: str
    api_prefix: str
    internal_shared_secret: str = field(repr=False)
    amqp_url: str = field(repr=False)
    events_exchange: str
    events_queue: str
    market_shared: bool
    """Whether stream workers share prices and bars between them."""
    execution_enabled: bool
    idempotent_writes: bool
    order_ttl_s: float
    """A place order older than this is never sent."""
    reduce_ttl_s: float
    """The same for close, modify and cancel, which lower risk and so live longer."""
    write_wait_s: float
    """How long a ``*_sync`` write waits for its outcome."""
    connect_timeout_s: float
    read_timeout_s: float
    """For the whole answer, not for each packet of it."""
    settling_lag_s: float
    """How long a venue may take to list what it has done (Open API histories have lagged by seconds to minutes)."""
    stale_after_s: float
    """A wanted symbol of which nothing new has come for so long is called stale."""
    pre_trade_checks: tuple[str, ...]
    """Dotted paths of callables ``check(account, intent)``; one that raises denies the order."""


@lru_cache(maxsize=1)
def get_settings() -> CTraderSettings:
    """The settings in force."""

    def value(name: str, default: Any) -> Any:
        return getattr(settings, name, default)

    return CTraderSettings(
        api_base_url=settings.CTRADER_API_BASE_URL,
        api_prefix=value("CTRADER_API_PREFIX", ""),
        internal_shared_secret=settings.INTERNAL_SHARED_SECRET,
        amqp_url=settings.AMQP_URL,
        events_exchange=value("AMQP_EVENTS_EXCHANGE", "ctrader.events"),
        events_queue=value("AMQP_EVENTS_QUEUE", "ctrader.backend"),
        market_shared=value("AMQP_MARKET_SHARED", False),
        execution_enabled=value("CTRADER_EXECUTION_ENABLED", True),
        idempotent_writes=value("CTRADER_IDEMPOTENT_WRITES", True),
        order_ttl_s=float(value("CTRADER_ORDER_TTL_SECONDS", 30)),
        reduce_ttl_s=float(value("CTRADER_REDUCE_TTL_SECONDS", 300)),
        write_wait_s=float(value("CTRADER_WRITE_WAIT_SECONDS", 20)),
        connect_timeout_s=float(value("CTRADER_CONNECT_TIMEOUT_SECONDS", 3)),
        read_timeout_s=float(value("CTRADER_READ_TIMEOUT_SECONDS", 10)),
        settling_lag_s=float(value("CTRADER_SETTLING_LAG_SECONDS", 30)),
        stale_after_s=float(value("CTRADER_STALE_AFTER_SECONDS", 15)),
        pre_trade_checks=tuple(value("CTRADER_PRE_TRADE_CHECKS", ())),
    )


def _forget(**_kwargs: object) -> None:
    get_settings.cache_clear()


setting_changed.connect(_forget)
