"""Whether the venue's listing has caught up with what it has confirmed to us.

A venue may list late what it has done. Preparing a write from such a listing would close what is closed already, take
back a level that was just set, and make the next doubt compare with a state that no longer was.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ctrader_app.conf import get_settings
from ctrader_app.domain.facts import PositionFact
from ctrader_app.domain.operations import Kind, State
from ctrader_app.models import Operation

_NS = 1_000_000_000


def is_behind(operation: Operation, position: PositionFact, now: datetime) -> bool:
    """Whether ``position`` is listed as it was before a write of its lane that succeeded within the settling lag."""
    settings = get_settings()
    since = now - timedelta(seconds=settings.settling_lag_s)
    # Bounded by the order of creation, which has an index; finished rows have none by lane.
    oldest = int((since - timedelta(seconds=settings.reduce_ttl_s)).timestamp()) * _NS
    recent = Operation.objects.filter(
        account_id=operation.account_id,
        lane=operation.lane,
        sequence__gt=oldest,
        state=State.SUCCEEDED.value,
        finished_at__gt=since,
    )
    seen: set[str] = set()
    for write in recent.order_by("-sequence").only("kind", "baseline", "body"):
        if write.kind not in seen and _is_from_before(write, position):
            return True
        seen.add(write.kind)
    return False


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
