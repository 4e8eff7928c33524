"""Which account an event speaks of, without a query per tick.

An account is looked up when it is first seen and then remembered; :meth:`AccountBook.refresh`, called every few
seconds by the worker's housekeeping, looks at all remembered ones in one query. So a database that is away costs the
prices of accounts that are known nothing.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import OperationalError
from django.db.models import Q

from ctrader_app.models import TradingAccount
from ctrader_app.wire.errors import BadEvent, BadEventReason

Value = TypeVar("Value")

PLATFORM = "ctrader"
UNKNOWN_FOR_S = 5.0
"""How long an account that is not known is not asked for again: a stranger's stream must not become our queries."""

AWAY_FOR_S = 1.0
"""How long a database that did not answer is not asked: every tick of a new account would wait for its timeout."""

REMEMBERED = 10_000


class AccountsAwayError(OperationalError):
    """The database was not asked, because it did not answer a moment ago."""


class AccountBook:
    """References, as envelopes carry them, to account ids. Safe between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], UUID] = {}
        self._unknown: dict[tuple[str, str], tuple[float, str]] = {}
        self._away_until = 0.0
        self._lock = Lock()

    def resolve(self, reference: str, broker_login: str) -> UUID:
        """The account that ``reference`` (an internal id or a broker login) names.

        ``broker_login``, unless empty, has to be the account's own. Raises BadEvent for an account that is unknown,
        ambiguous or contradicted, and django.db.Error when it has to be looked up and cannot be.
        """
        key = (reference, broker_login)
        known = self._known.get(key)
        if known is not None:
            return known
        refused = self._unknown.get(key)
        if refused is not None and self._clock() < refused[0]:
            raise BadEvent(BadEventReason.UNKNOWN_ACCOUNT, refused[1])
        return self._look_up(key)

    def refresh(self) -> None:
        """Look at all remembered accounts again, in one query: some may be gone or have another login."""
        before = dict(self._known)
        logins = dict(TradingAccount.objects.filter(pk__in=set(before.values())).values_list("pk", "broker_login"))
        with self._lock:
            for (reference, login), account_id in before.items():
                current = logins.get(account_id)
                if current is None or not _fits(account_id, current, reference, login):
                    self._known.pop((reference, login), None)

    def _look_up(self, key: tuple[str, str]) -> UUID:
        reference, broker_login = key
        found = self._named_accounts(reference)
        problem = ""
        if not found:
            problem = f"no account {reference}"
        elif len(found) > 1:
            problem = f"more than one account has the login {reference}"
        elif not _fits(*found[0], reference, broker_login):
            problem = f"account {found[0][0]} has not the login {broker_login}"
        with self._lock:
            if problem:
                _remember(self._unknown, key, (self._clock() + UNKNOWN_FOR_S, problem))
                raise BadEvent(BadEventReason.UNKNOWN_ACCOUNT, problem)
            self._unknown.pop(key, None)
            return _remember(self._known, key, found[0][0])

    def _named_accounts(self, reference: str) -> list[tuple[UUID, str]]:
        if self._clock() < self._away_until:
            raise AccountsAwayError("the database was away a moment ago")
        try:
            ours = TradingAccount.objects.filter(_named(reference), platform__iexact=PLATFORM)
            return list(ours.values_list("pk", "broker_login")[:2])
        except DatabaseFailure:
            self._away_until = self._clock() + AWAY_FOR_S
            raise


def _named(reference: str) -> Q:
    try:
        return Q(pk=UUID(reference))
    except ValueError:
        return Q(broker_login=reference)


def _fits(account_id: UUID, login: str, reference: str, broker_login: str) -> bool:
    if broker_login and login and broker_login != login:
        return False
    # By its id the account is itself whatever its login; by a login only while that is its own.
    return reference == login or _named(reference) == Q(pk=account_id)


def _remember(entries: dict[tuple[str, str], Value], key: tuple[str, str], value: Value) -> Value:
    if key not in entries and len(entries) >= REMEMBERED:
        del entries[next(iter(entries))]
    entries[key] = value
    return value
