"""The durable outbox: state events are noted with the change they tell of, and deleted once the broker has them.

``position.closed`` is kept as it happened. A snapshot is only noted as due and is made when it is sent, so that an
account has at most one of each waiting however long the broker is away, and what arrives is the latest truth.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from microservice.clock import Clock
from microservice.database import Database
from microservice.events import ENCODER, EventType
from microservice.venue.model import Closure

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, account_id TEXT NOT NULL, event_id TEXT,
    occurred_ms INTEGER, payload BLOB
);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (account_id, type) WHERE payload IS NULL;
"""
_SNAPSHOTS = (EventType.POSITIONS_SNAPSHOT, EventType.ACCOUNT_INFO)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event to send; without a payload it is made at the moment of sending."""

    id: int
    type: EventType
    account_id: str
    event_id: str | None
    occurred_ms: int | None
    payload: bytes | None


class Outbox:
    """Implements ``StateListener``: called inside the transaction of the change."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._committed: Callable[[], None] = lambda: None
        self._is_connected: Callable[[str], bool] = lambda _: True
        database.create(_SCHEMA)

    def attach(self, *, committed: Callable[[], None], is_connected: Callable[[str], bool]) -> None:
        """Say whom to wake after a commit, and who is connected."""
        self._committed = committed
        self._is_connected = is_connected

    def changed(self, account_id: str) -> None:
        """Note that snapshots of an account are due."""
        for event_type in _SNAPSHOTS:
            self._database.execute(
                "DELETE FROM outbox WHERE account_id = ? AND type = ? AND payload IS NULL",
                (account_id, event_type.value),
            )
            self._database.execute(
                "INSERT INTO outbox (type, account_id) VALUES (?, ?)", (event_type.value, account_id)
            )
        self._database.after_commit(self._committed)

    def closed(self, account_id: str, closure: Closure) -> None:
        """Note that a position was closed; a disconnected account is not told of."""
        if not self._is_connected(account_id):
            return
        self._database.execute(
            "INSERT INTO outbox (type, account_id, event_id, occurred_ms, payload) VALUES (?, ?, ?, ?, ?)",
            (
                EventType.POSITION_CLOSED.value,
                account_id,
                str(uuid.uuid4()),
                self._clock.now_ms(),
                ENCODER.encode(closure),
            ),
        )

    def pending(self, limit: int, skipping: set[int]) -> list[OutboxRow]:
        """Return the oldest events to send."""
        rows = self._database.execute(
            "SELECT id, type, account_id, event_id, occurred_ms, payload FROM outbox ORDER BY id LIMIT ?",
            (limit + len(skipping),),
        )
        found = [OutboxRow(row[0], EventType(row[1]), *row[2:]) for row in rows if row[0] not in skipping]
        return found[:limit]

    def count(self) -> int:
        """Return how many events wait."""
        (waiting,) = self._database.execute("SELECT count(*) FROM outbox").fetchone()
        return int(waiting)

    def delete(self, ids: list[int]) -> None:
        """Forget events that the broker has."""
        with self._database.transaction():
            self._database.execute_many("DELETE FROM outbox WHERE id = ?", [(row_id,) for row_id in ids])
