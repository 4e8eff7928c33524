"""What a reconciliation reads of an account, with no transaction open, bounded in calls and in time."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from django.utils import timezone

from connectors.errors import ConnectorError, RequestRefusedError
from ctrader_app.connector import AccountRef
from ctrader_app.domain.diff import BookDiff
from ctrader_app.domain.facts import AccountFigures, OpenBook, PositionFact, SyncFact
from ctrader_app.ledger import snapshots
from ctrader_app.ledger.books import position_fact
from ctrader_app.ledger.snapshots import Snapshot
from ctrader_app.models import ReconciliationRun
from ctrader_app.operations.gateway import ref_of

MAX_SYNCS = 50
"""Positions whose life one run asks for; the next run takes the rest."""

SYNC_BUDGET_S = 20.0
"""Time that one run spends on that, whatever each answer takes: what was read has to reach the books."""

DEALS_BUDGET_S = 2.0
"""Time spent on the deals of positions that are still open: they come again with the end, and must delay nothing."""

PATIENCE_ATTEMPTS = 5
"""Runs in a row that could not read a vanished position's life before its absence from the book alone closes it."""

_random = random.SystemRandom()


class BookReader(Protocol):
    """The reads of the connector's client. Each raises connectors.errors where it cannot tell."""

    def open_book(self, ref: AccountRef) -> OpenBook: ...
    def account_info(self, ref: AccountRef) -> AccountFigures: ...
    def sync_data(self, ref: AccountRef, position_id: str, symbol: str) -> SyncFact: ...


@dataclass(slots=True)
class Reading:
    """``problems``: what could not be read, for the run's row. ``is_partial``: there was more than one run reads."""

    snapshot: Snapshot
    problems: list[str] = field(default_factory=list)
    is_partial: bool = False


def read(reader: BookReader, run: ReconciliationRun) -> Reading:
    """The account as the venue states it. Raises connectors.errors when the open book cannot be read.

    Without the open book nothing is known. Anything else that cannot be read is left for the next run, and noted.
    """
    account, ref = run.account, ref_of(run.account)
    asked_at = timezone.now()
    book = reader.open_book(ref)
    reading = Reading(Snapshot(asked_at=asked_at, book=book))
    figures: AccountFigures | None = None
    try:
        figures = reader.account_info(ref)
    except ConnectorError as error:
        reading.problems.append(f"account info: {error.code}: {error.message}")
    diff = snapshots.difference(account, book, asked_at)
    unsettled = [position_fact(row) for row in snapshots.unsettled(account, MAX_SYNCS + 1)]
    lives = _Lives(reader, ref, reading)
    lives.ask_of_ended([known.fact for known in diff.vanished])
    lives.ask_of_ended(unsettled)
    lives.ask_of_open(_with_new_deals(diff))
    vanished = {known.fact.position_id for known in diff.vanished}
    gone = _gone(lives, vanished, patient=run.attempts < PATIENCE_ATTEMPTS)
    reading.snapshot = replace(reading.snapshot, figures=figures, syncs=lives.told, gone=gone)
    return reading


def _with_new_deals(diff: BookDiff) -> list[PositionFact]:
    resized = [change.after for change in diff.changed if change.before.fact.volume_lots != change.after.volume_lots]
    return [*resized, *diff.opened]


def _gone(lives: "_Lives", vanished: set[str], *, patient: bool) -> dict[str, bool]:
    """Positions to close on their absence alone, twice in complete books, because their life cannot be had.

    Otherwise a position that the venue has forgotten would stay open here for ever. The value tells whether the venue
    said that it has nothing to tell. A position that the venue says is open is never among them.
    """
    doubtful = dict.fromkeys(lives.refused, True)
    if not patient:
        doubtful |= dict.fromkeys(lives.failed & vanished, False)
    if not doubtful:
        return {}
    listed = lives.listed_now()
    if listed is None:
        return {}
    return {position_id: nothing for position_id, nothing in doubtful.items() if position_id not in listed}


class _Lives:
    """Asks for the lives of positions within the bounds of one run."""

    def __init__(self, reader: BookReader, ref: AccountRef, reading: Reading) -> None:
        self._reader = reader
        self._ref = ref
        self._reading = reading
        self._left = MAX_SYNCS
        self._until = time.monotonic() + SYNC_BUDGET_S
        self.told: dict[str, SyncFact] = {}
        self.refused: set[str] = set()
        self.failed: set[str] = set()

    def ask_of_ended(self, positions: Sequence[PositionFact]) -> None:
        """Ask for the end of each; who is not reached is left for the next run."""
        # In no fixed order: one position whose life can never be read must not starve those behind it.
        for position in _random.sample(positions, len(positions)):
            if self._is_spent(self._until):
                self._reading.is_partial = True
                return
            self._ask_for_end(position)

    def ask_of_open(self, positions: Sequence[PositionFact]) -> None:
        """Ask for the deals of each, as far as that is quick."""
        until = min(self._until, time.monotonic() + DEALS_BUDGET_S)
        for position in positions:
            if self._is_spent(until):
                return
            try:
                self.told[position.position_id] = self._life(position)
            except ConnectorError:
                return

    def listed_now(self) -> set[str] | None:
        """The ids of the positions that the book lists now; None when it cannot be read."""
        try:
            return {position.position_id for position in self._reader.open_book(self._ref).positions}
        except ConnectorError as error:
            self._reading.problems.append(f"second look at the open book: {error.code}: {error.message}")
            return None

    def _is_spent(self, until: float) -> bool:
        return self._left <= 0 or time.monotonic() >= until

    def _life(self, position: PositionFact) -> SyncFact:
        self._left -= 1
        return self._reader.sync_data(self._ref, position.position_id, position.symbol)

    def _ask_for_end(self, position: PositionFact) -> None:
        position_id = position.position_id
        try:
            life = self._life(position)
        except RequestRefusedError:
            self.refused.add(position_id)
        except ConnectorError as error:
            self.failed.add(position_id)
            self._reading.problems.append(f"position {position_id}: {error.code}: {error.message}")
        else:
            if life.is_closed:
                self.told[position_id] = life
            else:
                said = life.error_message or "the venue says that it is open and does not list it"
                self._reading.problems.append(f"position {position_id}: {said}")
