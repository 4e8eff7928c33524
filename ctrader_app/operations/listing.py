"""Whether the venue's listing has caught up with what it has confirmed to us.

A venue may list late what it has done. Preparing a write from such a listing would close what is closed already, take
back a level that was just set, make the next doubt compare with a state that no longer was, or refuse to close what
was opened a moment ago.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from ctrader_app.conf import get_settings
from ctrader_app.domain import mt5
from ctrader_app.domain.facts import PositionFact
from ctrader_app.domain.operations import Kind, State
from ctrader_app.models import Operation

_NS = 1_000_000_000


def is_behind(operation: Operation, position: PositionFact, now: datetime) -> bool:
    """Whether ``position`` is listed as it was before a write of its lane that succeeded within the settling lag."""
    recent = _succeeded_within_lag(operation.account_id, now).filter(lane=operation.lane)
    seen: set[str] = set()
    for write in recent.only("kind", "baseline", "body"):
        if write.kind not in seen and _is_from_before(write, position):
            return True
        seen.add(write.kind)
    return False


def fill_within_lag(operation: Operation, position_id: str, now: datetime) -> Operation | None:
    """The order of ours that opened this position, if that was recorded within the settling lag."""
    recent = _succeeded_within_lag(operation.account_id, now)
    return recent.filter(kind=Kind.PLACE.value, result__opened_position_ticket=mt5.mt5_id(position_id)).first()


def _succeeded_within_lag(account_id: UUID, now: datetime) -> QuerySet[Operation]:
    """Newest first."""
    settings = get_settings()
    since = now - timedelta(seconds=settings.settling_lag_s)
    # Bounded by the order of creation, which has an index; finished rows have none by lane.
    oldest = int((since - timedelta(seconds=settings.reduce_ttl_s)).timestamp()) * _NS
    return Operation.objects.filter(
        account_id=account_id, sequence__gt=oldest, state=State.SUCCEEDED.value, finished_at__gt=since
    ).order_by("-sequence")


def _is_from_before(write: Operation, position: PositionFact) -> bool:
    before: Mapping[str, Any] = write.baseline or {}
    after: Mapping[str, Any] = write.body or {}
    if write.kind == Kind.CLOSE:
        return _number(before.get("volume")) == position.volume_lots
    levels = (position.stop_loss, position.take_profit)
    return levels == _levels(before) != _levels(after)


def _levels(values: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    return _number(values.get("stop_loss")), _number(values.get("take_profit"))


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
