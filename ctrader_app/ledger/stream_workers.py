"""The stream workers' signs of life."""

from collections.abc import Mapping
from datetime import datetime

from django.utils import timezone

from ctrader_app.models import StreamWorker

TICK_AGES = "tick_ages"
"""Among the counters, the one that is no number: how many prices were sent at which age."""


def beat(name: str, started_at: datetime, last_event_at: datetime | None, counters: Mapping[str, object]) -> None:
    """Say that the worker lives, and what it has counted since its start."""
    StreamWorker.objects.update_or_create(
        name=name,
        defaults={
            "started_at": started_at,
            "seen_at": timezone.now(),
            "last_event_at": last_event_at,
            "counters": dict(counters),
        },
    )


def leave(name: str) -> None:
    """Take the row away: the worker stops on purpose."""
    StreamWorker.objects.filter(name=name).delete()


def prune(before: datetime) -> int:
    """Remove workers not seen since ``before``; returns how many."""
    deleted, _ = StreamWorker.objects.filter(seen_at__lt=before).delete()
    return deleted
