"""Where the service is, and who is asked about."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ctrader_app.wire.endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class ConnectorConfig:
    """``read_timeout_s`` bounds the whole answer, from the last byte sent to the last byte read.

    Raises ValueError for a base URL that is not http or https, for a secret that no header can carry and for
    timeouts that are not above zero.
    """

    base_url: str
    prefix: str
    secret: str = field(repr=False)
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"not an http(s) base URL: {self.base_url!r}")
        if not self.secret or not self.secret.isascii() or not self.secret.isprintable():
            raise ValueError("the shared secret is empty or has characters that no header can carry")
        if min(self.connect_timeout_s, self.read_timeout_s) <= 0:
            raise ValueError("timeouts must be above zero")

    def url(self, path: str) -> str:
        """The URL of a path: the only place where base, prefix and path meet."""
        prefix = self.prefix.strip("/")
        return self.base_url.rstrip("/") + (f"/{prefix}" if prefix else "") + path

    def endpoint_url(self, endpoint: Endpoint) -> str:
        """The URL of an endpoint."""
        return self.url(endpoint.path)


@dataclass(frozen=True, slots=True)
class AccountRef:
    """An account as the service knows it: ``wire_id`` is its broker login if it has one, else its internal id."""

    wire_id: str
    internal_id: str
    access_token: str = field(default="", repr=False)
