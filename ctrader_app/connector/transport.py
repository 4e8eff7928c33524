"""One request, one answer."""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Self
from urllib.parse import quote
from uuid import uuid4

import requests

from ctrader_app.connector.config import ConnectorConfig
from ctrader_app.connector.connections import ProvableAdapter
from ctrader_app.connector.failures import NothingSent
from ctrader_app.wire.fields import MAX_ANSWER_BYTES

_CHUNK_BYTES = 64 * 1024


class OversizedAnswer(Exception):  # noqa: N818 - it names what the answer is
    """More bytes than any honest answer has; the rest was not read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered. ``retry_after_s`` is the wait it asked for, None when it asked for none."""

    status: int
    body: bytes
    retry_after_s: float | None

    @property
    def is_success(self) -> bool:
        """2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_unauthorised(self) -> bool:
        """401 or 403."""
        return self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Transport:
    """A pooled session. Threads may share it: nothing of it changes after construction but the adapter's own pool."""

    def __init__(self, config: ConnectorConfig) -> None:
        self._config = config
        self._session = requests.Session()
        # Neither proxies nor credentials of the environment: the secret goes to the configured address only.
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.clear()
        self._session.headers.update(
            {
                "Accept": "application/json",
                # Without compression the bound on the size of an answer is a bound on its memory.
                "Accept-Encoding": "identity",
                "Authorization": f"Bearer {config.secret}",
                "User-Agent": "django-ctrader",
            }
        )
        self._session.mount("http://", ProvableAdapter())
        self._session.mount("https://", ProvableAdapter())

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        idempotency_key: str | None = None,
        within_s: float | None = None,
    ) -> Answer:
        """Send exactly one request and read its answer whole, whatever its status; redirects are not followed.

        ``within_s`` lowers the configured timeouts. Raises NothingSent for a request that cannot be written, and
        whatever requests raises, and OversizedAnswer; :func:`~ctrader_app.connector.failures.classify` tells what
        each of them proves.
        """
        headers = {"X-Request-ID": str(uuid4())}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = header_text(idempotency_key)
        try:
            request = self._session.prepare_request(
                requests.Request(method, url, params=query, data=body, headers=headers)
            )
        except (ValueError, requests.RequestException) as error:
            raise NothingSent(f"the request cannot be written: {type(error).__name__}") from error
        response = self._session.send(request, stream=True, timeout=self._timeouts(within_s), allow_redirects=False)
        with response:
            return Answer(
                status=response.status_code,
                body=_read_body(response),
                retry_after_s=parse_retry_after(response.headers.get("Retry-After"), time.time()),
            )

    def _timeouts(self, within_s: float | None) -> tuple[float, float]:
        connect_s, read_s = self._config.connect_timeout_s, self._config.read_timeout_s
        return (connect_s, read_s) if within_s is None else (min(connect_s, within_s), min(read_s, within_s))


def header_text(key: str) -> str:
    """``key`` as a header may carry it: whatever is not printable ASCII is percent-encoded, and so is "%" itself.

    Ordinary keys stay as they are, and no two keys ever become one.
    """
    return quote(key, safe="!\"#$&'()*+,/:;<=>?@[\\]^`{|}")


def _read_body(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise OversizedAnswer(f"more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def parse_retry_after(header: str | None, now_s: float) -> float | None:
    """Seconds to wait out of a Retry-After header (seconds or an HTTP date), never below zero; None if unreadable."""
    if header is None or len(header) > 64:
        return None
    text = header.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - now_s, 0.0)
    except (ValueError, OverflowError):
        return None
