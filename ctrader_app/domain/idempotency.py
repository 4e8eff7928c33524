"""What names an intent, and what tells two intents apart."""

import hashlib
import json
from collections.abc import Mapping
from uuid import UUID

from connectors.errors import InvalidRequestError

MAX_KEY_LENGTH = 200


def checked_key(key: str) -> str:
    """``key`` as given, if it can name an intent. Raises InvalidRequestError.

    Any printable text of 1 to 200 characters: it stays in the ledger and never becomes an HTTP header (the wire
    carries the operation's own id), so its alphabet does not matter.
    """
    if not isinstance(key, str):
        raise InvalidRequestError(f"idempotency_key must be text, got {type(key).__name__}")
    if not key.strip():
        raise InvalidRequestError("idempotency_key is empty: leave it out for a fresh intent")
    if len(key) > MAX_KEY_LENGTH:
        raise InvalidRequestError(f"idempotency_key is {len(key)} characters long, at most {MAX_KEY_LENGTH} are kept")
    if not key.isprintable():
        raise InvalidRequestError("idempotency_key holds control characters")
    return key


def fingerprint(kind: str, parameters: Mapping[str, str | None]) -> str:
    """SHA-256 over the kind and the parameters in canonical JSON: equal for equal intents, whatever the spelling."""
    canonical = json.dumps([kind, dict(parameters)], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def client_order_id(operation_id: UUID) -> str:
    """The id under which the venue knows the operation: 35 characters, within cTrader's limit of 50."""
    return f"ct-{operation_id.hex}"
