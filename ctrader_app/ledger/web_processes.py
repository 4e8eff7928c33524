"""The web processes that have sockets open, and how many: each says so in a row of its own."""

from collections.abc import Mapping
from datetime import datetime

from django.utils import timezone

from ctrader_app.models import WebProcess


def sign(name: str, sockets: Mapping[str, int]) -> None:
    """Say how many sockets of each kind are open here now."""
    row = WebProcess(name=name, seen_at=timezone.now(), sockets=dict(sockets))
    WebProcess.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["name"], update_fields=["seen_at", "sockets"]
    )


def leave(name: str) -> None:
    """Take the row away: the last socket has closed."""
    WebProcess.objects.filter(name=name).delete()


def forget(before: datetime) -> int:
    """Remove the rows of processes not seen since ``before``: they died; returns how many."""
    return WebProcess.objects.filter(seen_at__lt=before).delete()[0]
