"""Whether those who were let in may still be there: asked again every half minute, for all sockets of the process.

One look per credential, however many sockets it opened, and one statement per :data:`ACCOUNTS_AT_ONCE` accounts.
Without a database nothing is known, so nobody is sent away: the next round asks again.
"""

import asyncio
import enum
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakKeyDictionary

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import Error as DatabaseFailure

from ctrader_app.consumers.sockets.threads import in_database_thread
from ctrader_app.models import TradingAccount

logger = logging.getLogger(__name__)

T = TypeVar("T")

RECHECK_S = 30.0
"""Between two rounds: how long a socket may outlive the right to it, plus the round itself."""

CREDENTIALS_AT_ONCE = 100
ACCOUNTS_AT_ONCE = 200
"""Looked at in one go, so that a round of thousands leaves the database threads to others in between."""


class Loss(enum.Enum):
    """Why somebody has to go."""

    CREDENTIAL = enum.auto()
    """The token, the session or the user is good no more."""
    ACCOUNT = enum.auto()
    """The account is somebody else's now, or gone."""


@dataclass(frozen=True)
class Credential:
    """What a socket was opened with: ``owner(secret)`` is whose it is now, None when it is good no more."""

    owner: Callable[[str], AbstractBaseUser | None]
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Seat:
    """One socket's place: who sits there, let in by what, and at which account."""

    user_id: object
    credential: Credential
    account_id: uuid.UUID


def active_user(user_id: str) -> AbstractBaseUser | None:
    """The user of that primary key, if still there and active."""
    user = get_user_model().objects.filter(pk=user_id).first()
    return user if user is not None and user.is_active else None


class Watch:
    """The seats of one event loop."""

    def __init__(self) -> None:
        self._seats: dict[asyncio.Future[Loss], Seat] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def lost(self, seat: Seat) -> Loss:
        """Return when the right to the seat has ended; it is watched for as long as somebody waits here."""
        loss: asyncio.Future[Loss] = asyncio.get_running_loop().create_future()
        self._seats[loss] = seat
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())
        try:
            return await loss
        finally:
            del self._seats[loss]
            if not self._seats:
                # Whoever comes next must not take the one that is about to end for a keeper.
                self._keeper.cancel()
                self._keeper = None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                await self._round()
            except DatabaseFailure as error:
                logger.warning("cannot tell who may still be here, asking again later: %r", error)
            except Exception:  # the boundary of a task: one bad round must not be the last
                logger.exception("cannot tell who may still be here")

    async def _round(self) -> None:
        # A user who is removed takes the accounts along: with the accounts asked for first and the credentials told
        # first, that is never told as an account that went to somebody else.
        strangers = await self._at_foreign_accounts()
        await self._check_credentials()
        for waiting in strangers:
            _end(waiting, Loss.ACCOUNT)

    async def _check_credentials(self) -> None:
        for some in _portions({seat.credential for seat in self._seats.values()}, CREDENTIALS_AT_ONCE):
            owners = await in_database_thread(_credential_owners, some)
            for waiting, seat in self._seats.items():
                if seat.credential in owners and owners[seat.credential] != seat.user_id:
                    _end(waiting, Loss.CREDENTIAL)

    async def _at_foreign_accounts(self) -> list[asyncio.Future[Loss]]:
        found: list[asyncio.Future[Loss]] = []
        for some in _portions({seat.account_id for seat in self._seats.values()}, ACCOUNTS_AT_ONCE):
            owners = await in_database_thread(_account_owners, some)
            found += (
                waiting
                for waiting, seat in self._seats.items()
                if seat.account_id in owners and owners[seat.account_id] != seat.user_id
            )
        return found


def _end(waiting: asyncio.Future[Loss], loss: Loss) -> None:
    if not waiting.done():
        waiting.set_result(loss)


def _portions(items: Iterable[T], size: int) -> list[list[T]]:
    everything = list(items)
    return [everything[start : start + size] for start in range(0, len(everything), size)]


def _credential_owners(credentials: Sequence[Credential]) -> dict[Credential, object]:
    """The primary key of each one's user, None for those that are good no more; what cannot be told is absent."""
    owners: dict[Credential, object] = {}
    for credential in credentials:
        try:
            owner = credential.owner(credential.secret)
        except DatabaseFailure:
            raise
        except Exception:  # session stores and sign-in backends raise what they like: that one is not known
            logger.exception("cannot tell whether a credential is still good")
            continue
        owners[credential] = None if owner is None else owner.pk
    return owners


def _account_owners(account_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, object]:
    """The primary key of each one's user, None for accounts that are gone."""
    found = dict(TradingAccount.objects.filter(pk__in=account_ids).values_list("pk", "user_id"))
    return {account_id: found.get(account_id) for account_id in account_ids}


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()


def watch() -> Watch:
    """The watch of the running loop."""
    loop = asyncio.get_running_loop()
    found = _watches.get(loop)
    if found is None:
        found = _watches[loop] = Watch()
    return found
