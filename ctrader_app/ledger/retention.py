"""Deletion of rows that have served their time. What tells of money (operations, deals, positions) always stays."""

from datetime import datetime

from ctrader_app.models import DeadLetter, ProcessedEvent, SocketTicket


def purge_inbox(before: datetime) -> int:
    """Events processed before this: none of them can be delivered again."""
    return ProcessedEvent.objects.filter(processed_at__lt=before).delete()[0]


def purge_handled_dead_letters(before: datetime) -> int:
    """Dead letters received before this that somebody has replayed or discarded."""
    handled = DeadLetter.objects.exclude(status=DeadLetter.Status.NEW)
    return handled.filter(received_at__lt=before).delete()[0]


def purge_tickets(before: datetime) -> int:
    """Socket tickets that expired before this, unused."""
    return SocketTicket.objects.filter(expires_at__lt=before).delete()[0]
