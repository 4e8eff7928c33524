"""A snapshot of 10,000 positions, of which ten changed: what the reconciliation asks of the database, and how long."""

import statistics
import time
import uuid
from collections.abc import Sequence
from decimal import Decimal

from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.measure import Row, at_most
from benchmarks.stream.stage import Stage
from ctrader_app.domain.facts import OpenBook, PositionFact
from ctrader_app.models import ReconciliationRun, TradingAccount
from ctrader_app.operations import reconcile
from tests.books.facts import ScriptedVenue, position

ROUNDS = 5
MANY = 10_000
FEW = 100
CHANGES = 10


def measure(stage: Stage, many: int = MANY, rounds: int = ROUNDS) -> list[Row]:
    """Ten changes in a large book beside ten in a small one, and beside a large book in which all changed."""
    large, small = _Book(stage, many), _Book(stage, FEW)
    queries = {name: book.queries_of(CHANGES) for name, book in (("large", large), ("small", small))}
    times: dict[str, list[float]] = {"ten": [], "all": []}
    for _ in range(rounds):
        times["ten"].append(large.time_of(CHANGES))
        times["all"].append(large.time_of(many))
    ten_ms, all_ms = (statistics.median(times[name]) * 1000 for name in ("ten", "all"))
    what = f"snapshot of {many:,}, {CHANGES} changed"
    return [
        at_most(f"{what}: queries", queries["large"], queries["small"], "", f"{CHANGES} of {FEW}", 1),
        at_most(f"{what}: time", ten_ms, all_ms, "ms", f"{many:,} of {many:,} changed", 0.5),
    ]


class _Book:
    """One account at a venue that answers at once: what is measured is what happens here."""

    def __init__(self, stage: Stage, size: int) -> None:
        self._account = TradingAccount.objects.create(user=stage.account.user, name=str(uuid.uuid4()))
        self._facts = [position(f"{self._account.pk}-{number}") for number in range(size)]
        self._level = Decimal("1.00000")
        self._reconcile(self._facts)

    def queries_of(self, changes: int) -> int:
        """How many queries the reconciliation of so many changed positions takes."""
        with CaptureQueriesContext(connection) as queries:
            self.time_of(changes)
        return len(queries)

    def time_of(self, changes: int) -> float:
        """How many seconds it takes."""
        self._level += Decimal("0.00001")
        stop = self._level
        changed = [position(fact.position_id, stop_loss=stop) for fact in self._facts[:changes]]
        self._facts[:changes] = changed
        started = time.perf_counter()
        run = self._reconcile(self._facts)
        elapsed_s = time.perf_counter() - started
        assert run.changed == changes, f"{run.changed} positions changed, not {changes}"
        return elapsed_s

    def _reconcile(self, facts: Sequence[PositionFact]) -> ReconciliationRun:
        venue = ScriptedVenue()
        venue.book = OpenBook(tuple(facts), ())
        run = reconcile.request(self._account, "benchmark")
        assert isinstance(reconcile.run(run.pk, venue), reconcile.Done)
        run.refresh_from_db()
        return run
