"""Idempotency keys: one effect a key, the recorded verdict for everyone who asks again.

A record commits with the effect it stands for. It holds for 24 hours and is scoped by account.
"""

import hashlib
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from microservice.clock import Clock
from microservice.database import Database

RETENTION_MS = 24 * 3_600 * 1000
MAX_KEY_LENGTH = 255
_MOST_DIGITS = 40

_SCHEMA = """
CREATE TABLE IF NOT EXISTS idempotency (
    account_id TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL,
    body BLOB NOT NULL, created_ms INTEGER NOT NULL, PRIMARY KEY (account_id, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_age ON idempotency (created_ms);
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """One intent: whose, under which key, and what was asked."""

    account_id: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """The verdict as it was first given."""

    status: int
    body: bytes


class KeyReusedError(Exception):
    """The key stands for another request."""


class KeyInProgressError(Exception):
    """The key's first request is still being carried out."""


def fingerprint(method: str, path: str, body: msgspec.Struct) -> str:
    """Return a digest of what is asked; ``expires_at`` is left out, for a resend may carry a later one.

    Equal numbers count as equal however they were written (0.10 and 0.1), and so do null and absent.
    """
    fields = {
        name: _number_text(value) if isinstance(value, Decimal) else str(value)
        for name, value in msgspec.structs.asdict(body).items()
        if name != "expires_at" and value is not None
    }
    text = msgspec.json.encode([method, path, fields], order="sorted")
    return hashlib.sha256(text).hexdigest()


def _number_text(value: Decimal) -> str:
    # No figure of a trade is that large or small, and 1e999999999 cannot be computed with, nor be written out.
    if not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS:
        return str(value)
    return format(value.normalize(), "f")


class Journal:
    """The keys already answered (in SQLite) and those being answered now (in memory)."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._running: set[tuple[str, str]] = set()
        database.create(_SCHEMA)

    def begin(self, claim: Claim) -> Recorded | None:
        """Return the verdict if there is one, else hold the key until ``end``.

        Raises KeyReusedError or KeyInProgressError.
        """
        row = self._database.execute(
            "SELECT fingerprint, status, body FROM idempotency WHERE account_id = ? AND key = ? AND created_ms > ?",
            (claim.account_id, claim.key, self._clock.now_ms() - RETENTION_MS),
        ).fetchone()
        if row is not None:
            if row[0] != claim.fingerprint:
                raise KeyReusedError
            return Recorded(row[1], row[2])
        if (claim.account_id, claim.key) in self._running:
            raise KeyInProgressError
        self._running.add((claim.account_id, claim.key))
        return None

    def end(self, claim: Claim) -> None:
        """Let go of a held key, answered or not."""
        self._running.discard((claim.account_id, claim.key))

    def record(self, claim: Claim, status: int, body: bytes) -> None:
        """Keep a verdict; belongs inside the transaction of the effect."""
        self._database.execute(
            "INSERT OR REPLACE INTO idempotency (account_id, key, fingerprint, status, body, created_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (claim.account_id, claim.key, claim.fingerprint, status, body, self._clock.now_ms()),
        )

    def purge(self) -> None:
        """Forget the keys older than 24 hours."""
        with self._database.transaction():
            self._database.execute(
                "DELETE FROM idempotency WHERE created_ms <= ?", (self._clock.now_ms() - RETENTION_MS,)
            )
