"""Writing events, for whoever publishes them."""

from datetime import datetime
from uuid import UUID

import msgspec

from ctrader_app.wire.event_types import EVENT_VERSION, PLATFORM, SOURCE, EventType

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class _Outgoing(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    event_id: UUID
    event_version: int
    source: str
    platform: str
    type: str
    account_id: str
    occurred_at: datetime
    sent_at: datetime
    payload: object
    broker_login: str | None = None
    internal_account_id: str | None = None


def encode_event(
    kind: EventType,
    payload: object,
    *,
    event_id: UUID,
    account_id: str,
    occurred_at: datetime,
    sent_at: datetime,
    broker_login: str | None = None,
    internal_account_id: str | None = None,
) -> bytes:
    """The envelope around ``payload`` as JSON.

    ``payload`` is anything that msgspec encodes, under the contract's names: a Struct, a mapping, or already encoded
    JSON as ``msgspec.Raw``, so that one tick can be encoded once for many accounts. Times must be aware.
    """
    return _ENCODER.encode(
        _Outgoing(
            event_id,
            EVENT_VERSION,
            SOURCE,
            PLATFORM,
            kind.value,
            account_id,
            occurred_at,
            sent_at,
            payload,
            broker_login or None,
            internal_account_id or None,
        )
    )
