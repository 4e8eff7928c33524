"""Subscription leases: who wants which stream, until when, and whether the microservice agreed to produce it.

Every function is one guarded statement, committed on its own: the races between processes are settled by the order
in which the callers (``operations.subscriptions``) look again, not by locks. A row that has expired is kept until its
stream was really stopped: it is the only record that production may still be running.

Symbols keep the spelling of whoever asked, because venues care; streams are told apart without regard to ASCII case,
because groups are.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from ctrader_app.models import SubscriptionLease


class Stream(NamedTuple):
    """One thing that can be produced: a symbol's ticks (empty ``timeframe``) or its bars."""

    account_id: UUID
    symbol: str
    timeframe: str


def hold(stream: Stream, holder: str, ttl_s: float) -> None:
    """Take or extend the holder's lease, for ``ttl_s`` seconds from now."""
    lease = SubscriptionLease(**stream._asdict(), holder=holder, expires_at=timezone.now() + timedelta(seconds=ttl_s))
    SubscriptionLease.objects.bulk_create(
        [lease],
        update_conflicts=True,
        unique_fields=["account", "symbol", "timeframe", "holder"],
        update_fields=["expires_at"],
    )


def renew(holder: str, ttl_s: float) -> set[Stream]:
    """Extend all leases of the holder in one statement; returns the streams that it still holds."""
    mine = SubscriptionLease.objects.filter(holder=holder)
    mine.update(expires_at=timezone.now() + timedelta(seconds=ttl_s))
    return {Stream(*values) for values in mine.values_list("account_id", "symbol", "timeframe")}


def retire(stream: Stream, holder: str) -> None:
    """End the holder's lease now. The row stays until its stream has been dealt with."""
    SubscriptionLease.objects.filter(**stream._asdict(), holder=holder).update(expires_at=timezone.now())


def dead_of(stream: Stream) -> list[int]:
    """The expired leases of the stream, by primary key."""
    return list(_of(stream).filter(expires_at__lte=timezone.now()).values_list("pk", flat=True))


def bury(dead: Sequence[int]) -> None:
    """Remove those of these leases that are still expired: one may have been taken up again meanwhile."""
    SubscriptionLease.objects.filter(pk__in=dead, expires_at__lte=timezone.now()).delete()


def is_wanted(stream: Stream) -> bool:
    """Whether anybody holds a lease that has not expired."""
    return _live(_of(stream)).exists()


def is_produced(stream: Stream) -> bool:
    """Whether a live lease says that the microservice agreed to produce the stream."""
    return _live(_of(stream)).filter(confirmed_at__isnull=False).exists()


def confirm(stream: Stream) -> None:
    """Note that the microservice agrees to produce the stream, on everybody's lease."""
    now = timezone.now()
    _live(_of(stream)).update(confirmed_at=now, produced_since=Coalesce("produced_since", now))


def dead_streams() -> list[Stream]:
    """Streams with an expired lease."""
    return _distinct(SubscriptionLease.objects.filter(expires_at__lte=timezone.now()))


def live_streams() -> list[Stream]:
    """Streams that somebody wants."""
    return _distinct(_live(SubscriptionLease.objects.all()))


def _of(stream: Stream) -> QuerySet[SubscriptionLease]:
    return SubscriptionLease.objects.filter(
        account_id=stream.account_id, symbol__iexact=stream.symbol, timeframe=stream.timeframe
    )


def _live(leases: QuerySet[SubscriptionLease]) -> QuerySet[SubscriptionLease]:
    return leases.filter(expires_at__gt=timezone.now())


def _distinct(leases: QuerySet[SubscriptionLease]) -> list[Stream]:
    return [Stream(*values) for values in leases.values_list("account_id", "symbol", "timeframe").distinct()]
