"""The microservice's settings: read once, checked, and named in one line when they are wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_PORT = 7999
DEFAULT_STATE = Path(".state/microservice.sqlite3")
TICK_INTERVAL_MS = 250
_FASTEST = 25.0  # one step each 10 ms
_AMQP_SCHEMES = {"amqp", "amqps", "pyamqp"}


class SettingsError(ValueError):
    """A setting is missing or malformed; the message is one line that names it."""


class Routing(StrEnum):
    """Which routing keys events carry: ``price.tick`` or ``account.<account_id>.price.tick``."""

    FLAT = "flat"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Settings:
    """``speed`` multiplies the four ticks a second of every symbol; 0 stops the market but for ``/_market``."""

    secret: str = field(repr=False)
    amqp_url: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    state: Path = DEFAULT_STATE
    seed: int = 1
    speed: float = 1.0
    events_exchange: str = "ctrader.events"
    routing: Routing = Routing.FLAT
    api_prefix: str = ""

    def __post_init__(self) -> None:
        _check_secret(self.secret)
        _check_amqp_url(self.amqp_url)
        if not 0 <= self.port < 65_536:
            raise SettingsError(f"port must be 0 to 65535, not {self.port}")
        if not math.isfinite(self.speed) or not 0 <= self.speed <= _FASTEST:
            raise SettingsError(f"speed must be 0 to {_FASTEST:g}, not {self.speed}")
        if self.api_prefix and (not self.api_prefix.startswith("/") or self.api_prefix.endswith("/")):
            raise SettingsError(f"CTRADER_API_PREFIX must start with / and not end with it, not {self.api_prefix!r}")

    @property
    def interval_ms(self) -> int:
        """Milliseconds between two steps of the market."""
        return TICK_INTERVAL_MS if not self.speed else max(10, round(TICK_INTERVAL_MS / self.speed))


def _check_secret(secret: str) -> None:
    if not secret:
        raise SettingsError("INTERNAL_SHARED_SECRET is not set: the callers' bearer token is needed")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise SettingsError("INTERNAL_SHARED_SECRET must be printable ASCII without spaces")


def _check_amqp_url(url: str) -> None:
    if not url:
        raise SettingsError("AMQP_URL is not set: events need a broker (amqp://user:password@host:5672//)")
    try:
        parts = urlsplit(url)
        valid = parts.scheme == "memory" or (parts.scheme in _AMQP_SCHEMES and bool(parts.hostname))
        _ = parts.port
    except ValueError:
        valid = False
    if not valid:  # the value may hold a password: it is not repeated
        raise SettingsError("AMQP_URL is malformed: it must be amqp://, amqps:// or memory:// with a host")


def from_environment(
    environment: Mapping[str, str],
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    state: Path = DEFAULT_STATE,
    seed: int = 1,
    speed: float = 1.0,
) -> Settings:
    """Build the settings from the environment and the command line. Raises SettingsError."""
    routing = environment.get("AMQP_ROUTING") or Routing.FLAT.value
    if routing not in set(Routing):
        raise SettingsError(f"AMQP_ROUTING must be flat or account, not {routing!r}")
    prefix = environment.get("CTRADER_API_PREFIX", "").strip().rstrip("/")
    return Settings(
        secret=environment.get("INTERNAL_SHARED_SECRET", "").strip(),
        amqp_url=environment.get("AMQP_URL", "").strip(),
        host=host,
        port=port,
        state=state,
        seed=seed,
        speed=speed,
        events_exchange=environment.get("AMQP_EVENTS_EXCHANGE") or "ctrader.events",
        routing=Routing(routing),
        api_prefix=f"/{prefix.lstrip('/')}" if prefix else "",
    )
