"""Who may come in, and to which account: API tokens, single-use socket tickets, ownership.

Tokens and tickets carry 256 bits from the system's random source, so a plain SHA-256 is enough to keep them: there
is nothing to guess and no salt to add. What is stored cannot be used to get in.
"""

import hashlib
import secrets
import uuid
from datetime import timedelta

from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from ctrader_app.models import ApiToken, SocketTicket, TradingAccount

TICKET_LIFETIME_S = 30
"""How long a ticket opens a socket (contract, section 6): long enough to connect, too short to be found in a log."""

_SECRET_BYTES = 32
_MAX_SECRET_LENGTH = 128


def issue_token(user: User, name: str) -> str:
    """A new lasting API token for ``user``. It is returned here, once, and cannot be read again."""
    token = secrets.token_urlsafe(_SECRET_BYTES)
    ApiToken.objects.create(user=user, name=name, digest=_digest(token))
    return token


def adopt_token(user: User, name: str, token: str) -> None:
    """Let ``token``, made and kept elsewhere from as good a random source, open ``user``'s accounts."""
    ApiToken.objects.get_or_create(digest=_digest(token), defaults={"user": user, "name": name})


def user_of_token(token: str) -> User | None:
    """Whose token this is; None for an unknown or revoked one and for a user who is no longer active."""
    if not _plausible(token):
        return None
    row = (
        ApiToken.objects.filter(digest=_digest(token), revoked_at__isnull=True, user__is_active=True)
        .select_related("user")
        .first()
    )
    return None if row is None else row.user


def issue_ticket(user: User) -> str:
    """A ticket that opens one WebSocket for ``user``, once, within :data:`TICKET_LIFETIME_S` seconds."""
    now = timezone.now()
    SocketTicket.objects.filter(expires_at__lte=now).delete()
    ticket = secrets.token_urlsafe(_SECRET_BYTES)
    SocketTicket.objects.create(
        user=user, digest=_digest(ticket), expires_at=now + timedelta(seconds=TICKET_LIFETIME_S)
    )
    return ticket


def redeem_ticket(ticket: str) -> User | None:
    """Use up a ticket: its user, or None when it is unknown, expired, used already, or its user not active."""
    if not _plausible(ticket):
        return None
    row = (
        SocketTicket.objects.filter(digest=_digest(ticket), expires_at__gt=timezone.now())
        .select_related("user")
        .first()
    )
    if row is None:
        return None
    # Of two that come with the same ticket at once, the one whose DELETE found the row is let in.
    deleted, _ = SocketTicket.objects.filter(pk=row.pk).delete()
    return row.user if deleted and row.user.is_active else None


def owned_account(user: User | AnonymousUser, account_id: str | uuid.UUID) -> TradingAccount | None:
    """The account of that id if it is ``user``'s; None otherwise, whatever the reason, malformed ids included."""
    try:
        key = account_id if isinstance(account_id, uuid.UUID) else uuid.UUID(account_id)
    except ValueError:
        return None
    if not user.is_authenticated:
        return None
    return TradingAccount.objects.filter(pk=key, user_id=user.pk).select_related("user").first()


def _plausible(secret: str) -> bool:
    """Whether it can be one of ours at all: bounded, and of the alphabet that can be hashed and compared."""
    return 0 < len(secret) <= _MAX_SECRET_LENGTH and secret.isascii()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
