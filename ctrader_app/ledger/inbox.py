"""The inbox: which state events have had their effect. A row is written in the effect's own transaction."""

from datetime import datetime
from uuid import UUID

from ctrader_app.models import ProcessedEvent, TradingAccount


def record(event_id: UUID, kind: str, account: TradingAccount, occurred_at: datetime) -> bool:
    """Note the event; False when it had its effect before.

    Needs the transaction of the effect. When a rival process is noting the same event right now, IntegrityError says
    so: the transaction is void and trying again finds the rival's row, or its absence.
    """
    if ProcessedEvent.objects.filter(pk=event_id).exists():
        return False
    ProcessedEvent(event_id=event_id, type=kind, account=account, occurred_at=occurred_at).save(force_insert=True)
    return True
