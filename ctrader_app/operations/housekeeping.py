"""Clear away rows that have served their time."""

from datetime import timedelta

from django.utils import timezone

from ctrader_app.ledger import feeds, reconciliations, retention, web_processes

INBOX_KEPT = timedelta(days=7)
"""An event is redelivered within minutes; a week outlasts any outage of the broker that keeps its queues."""

RUNS_KEPT = timedelta(days=7)
FEEDS_KEPT = timedelta(days=7)
"""Longer than any market is closed while somebody wants it."""

DEAD_LETTERS_KEPT = timedelta(days=30)
"""New ones are kept until somebody has looked; those replayed or discarded go after a month."""


def purge() -> dict[str, int]:
    """Rows deleted, by table."""
    now = timezone.now()
    return {
        "inbox": retention.purge_inbox(now - INBOX_KEPT),
        "reconciliations": reconciliations.forget_finished(now - RUNS_KEPT),
        "dead_letters": retention.purge_handled_dead_letters(now - DEAD_LETTERS_KEPT),
        "feeds": feeds.forget(now - FEEDS_KEPT),
        "web_processes": web_processes.forget(now - timedelta(days=1)),
        "tickets": retention.purge_tickets(now),
    }
