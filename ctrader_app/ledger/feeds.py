"""What is known of the streams that somebody wants: since when each is produced, when it last brought something new.

The leases say what is wanted, the workers that read a stream say when it last spoke. Neither alone can tell silence:
a worker that has just started has heard nothing yet, and of several workers each hears only its own accounts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Min
from django.utils import timezone

from ctrader_app.broadcast.groups import candle_group, price_group
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import Feed, SubscriptionLease

Quote = tuple[datetime, float, float]
"""The venue's own time of it, bid, ask."""


class News(NamedTuple):
    """The last thing that a stream brought and that it had not brought before."""

    at: float
    """Epoch seconds."""
    quote: Quote | None = None
    """None of a stream of bars."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stream that somebody holds and the microservice agreed to produce."""

    stream: Stream
    group: str
    produced_since: datetime
    last_event_at: datetime | None = None
    quote: Quote | None = None

    @property
    def since(self) -> datetime:
        """Since when nothing new has come: from the last event, or from when there should have been a first one."""
        last = self.last_event_at
        return self.produced_since if last is None else max(last, self.produced_since)


def wanted() -> list[Wanted]:
    """All wanted streams, in two queries. Two spellings of one symbol are one stream."""
    rows = Feed.objects.values_list("group", "last_event_at", "quoted_at", "bid", "ask")
    spoken = {group: (at, _quote(quoted_at, bid, ask)) for group, at, quoted_at, bid, ask in rows}
    produced = _produced().items()
    return [Wanted(stream, group, since, *spoken.get(group, ())) for group, (stream, since) in produced]


def wanted_groups() -> list[str]:
    """The groups of all wanted streams, in one query."""
    return list(_produced())


def note(news: Mapping[str, News]) -> None:
    """Write down what each of these groups last brought, in one statement.

    Of two workers that say so of one stream, during a hand-over, the later word stands.
    """
    if not news:
        return
    fields = Feed._meta.concrete_fields
    # In one order: two workers whose rows overlap must not wait for each other crosswise.
    rows = [
        [field.get_db_prep_save(value, connection) for field, value in zip(fields, _row(name, news[name]), strict=True)]
        for name in sorted(news)
    ]
    quote = connection.ops.quote_name
    table, columns = quote(Feed._meta.db_table), [quote(field.attname) for field in fields]
    group, at = columns[:2]
    # Names come from the model, values are parameters.
    statement = (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))}) "  # noqa: S608
        f"ON CONFLICT ({group}) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in columns[1:])} "
        f"WHERE {table}.{at} < EXCLUDED.{at}"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def forget(before: datetime) -> int:
    """Remove what was said before that time; returns how many rows went."""
    return Feed.objects.filter(last_event_at__lt=before).delete()[0]


def _quote(quoted_at: datetime | None, bid: float | None, ask: float | None) -> Quote | None:
    return None if quoted_at is None or bid is None or ask is None else (quoted_at, bid, ask)


def _row(group: str, news: News) -> tuple[object, ...]:
    return (group, datetime.fromtimestamp(news.at, UTC), *(news.quote or (None, None, None)))


def _produced() -> dict[str, tuple[Stream, datetime]]:
    live = SubscriptionLease.objects.filter(expires_at__gt=timezone.now(), produced_since__isnull=False)
    rows = live.order_by().values_list("account_id", "symbol", "timeframe").annotate(since=Min("produced_since"))
    found: dict[str, tuple[Stream, datetime]] = {}
    for account_id, symbol, timeframe, since in rows:
        group = candle_group(account_id, symbol, timeframe) if timeframe else price_group(account_id, symbol)
        known = found.get(group)
        if known is None or since < known[1]:
            found[group] = (Stream(account_id, symbol, timeframe), since)
    return found
