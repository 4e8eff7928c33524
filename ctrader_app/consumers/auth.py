"""Who opens a socket: the session cookie, ``Authorization: Bearer <api token>``, or ``?ticket=``, once.

Whoever shows a token or a ticket is judged by that alone. A cookie, which a browser sends along from any page,
counts only when the page's Origin is this site or one of ``CSRF_TRUSTED_ORIGINS``; programs send no Origin.

What opened a socket goes along with it, to be looked at again while it is open. A ticket is used up by then: its socket
lives by its user.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.db import Error as DatabaseFailure
from django.http import HttpRequest
from django.http.cookie import parse_cookie
from django.utils.http import is_same_domain

from ctrader_app.consumers.sockets.base import Receive, Scope, Send
from ctrader_app.consumers.sockets.threads import in_database_thread
from ctrader_app.consumers.sockets.watch import Credential, active_user
from ctrader_app.ledger.access import redeem_ticket, user_of_token

logger = logging.getLogger(__name__)

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_QUERY_BYTES = 4_096
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class SocketAuthMiddleware:
    """Puts the user and the credential, or None, into the scope; ``is_unknown`` where nobody could tell.

    It refuses nobody: the socket does, with a code.
    """

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the user, then go on."""
        try:
            user, credential = await _who(scope)
        except DatabaseFailure:
            logger.exception("cannot tell who opens a socket")
            await self._inner({**scope, "user": None, "is_unknown": True}, receive, send)
            return
        await self._inner({**scope, "user": user, "credential": credential}, receive, send)


async def _who(scope: Scope) -> tuple[AbstractBaseUser | None, Credential | None]:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
    ticket = _ticket(scope.get("query_string", b""))
    credential = _credential(headers, ticket)
    if credential is not None:
        return await in_database_thread(credential.owner, credential.secret), credential
    user = None if ticket is None else await in_database_thread(redeem_ticket, ticket)
    return user, None if user is None else Credential(active_user, str(user.pk))


def _credential(headers: Mapping[str, str], ticket: str | None) -> Credential | None:
    """What is shown that lasts: a token, or the cookie of one who shows neither token nor ticket."""
    bearer = _bearer(headers.get("authorization", ""))
    if bearer is not None:
        return Credential(user_of_token, bearer)
    key = None if ticket is not None else parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    return Credential(_session_user, key) if key and is_own_page(headers) else None


def _bearer(header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _ticket(query: bytes) -> str | None:
    if len(query) > MAX_QUERY_BYTES:
        return None
    try:
        values = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=20).get("ticket")
    except ValueError:  # more fields than that
        return None
    return values[0] if values else None


class _SeenSession(dict[str, Any]):
    """A session to read only: one that is renewed or ended here would be lost to the browser, which is not told."""

    def flush(self) -> None:
        """Keep the stored one."""

    def cycle_key(self) -> None:
        """Keep the stored one."""


def _session_user(key: str) -> AbstractBaseUser | None:
    request = HttpRequest()
    stored: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(key)
    request.session = cast("SessionBase", _SeenSession(stored.items()))
    # An AnonymousUser when the session is nobody's, or no longer valid for its user.
    user = get_user(request)
    return user if isinstance(user, AbstractBaseUser) and user.is_active else None


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Whether the handshake comes from a page of this site, a trusted one, or no page at all."""
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        page = urlsplit(origin)
        port = page.port or _DEFAULT_PORTS.get(page.scheme)
        host = urlsplit(f"//{headers.get('host', '')}")
        same = page.hostname == host.hostname and port == (host.port or _DEFAULT_PORTS.get(page.scheme))
    except ValueError:
        return False
    if not page.hostname:
        return False
    return same or any(_is_trusted(page.scheme, page.netloc, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _is_trusted(scheme: str, netloc: str, trusted: str) -> bool:
    pattern = urlsplit(trusted)
    return pattern.scheme == scheme and is_same_domain(netloc.lower(), pattern.netloc.lower().removeprefix("*"))
