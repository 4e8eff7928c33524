"""Compare what the ledger says with what the venue did. The venue's own counts decide."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from benchmarks.chaos.load import Submitted
from ctrader_app.domain.operations import FINAL, Kind, State
from ctrader_app.models import Operation
from tests.support.operations import Venue, changes_no_level


@dataclass(frozen=True, slots=True)
class Findings:
    """``duplicates``: effects beyond one an intent. ``losses``: intents without an end and without a listed doubt.

    ``guesses``: final states that say something else than the venue. ``in_doubt``: listed for a person. Times in
    seconds from the submit to the final state.
    """

    operations: int
    states: dict[str, int]
    doubted: int
    duplicates: list[str]
    losses: list[str]
    guesses: list[str]
    in_doubt: list[str]
    settle_p50_s: float
    settle_p99_s: float
    settle_max_s: float

    @property
    def is_clean(self) -> bool:
        """Nothing twice, nothing lost, nothing guessed."""
        return not (self.duplicates or self.losses or self.guesses)

    def json(self) -> dict[str, object]:
        """As a JSON object."""
        return asdict(self)


def unsettled() -> list[Operation]:
    """Operations that are still on their way: neither final nor in doubt with nothing left to try."""
    return list(Operation.objects.exclude(state__in=sorted(FINAL)))


def compare(venue: Venue, submitted: Sequence[Submitted]) -> Findings:
    """Every intent that a caller was told is recorded, every row, and every effect."""
    rows = list(Operation.objects.all())
    duplicates, guesses = _by_client_order_id(venue, rows)
    more_duplicates, more_guesses = _by_subject(venue, rows)
    times = sorted((row.finished_at - row.created_at).total_seconds() for row in rows if row.finished_at)
    return Findings(
        operations=len(rows),
        states=dict(Counter(row.state for row in rows)),
        doubted=sum(row.doubted_at is not None for row in rows),
        duplicates=duplicates + more_duplicates,
        losses=_losses(rows, submitted),
        guesses=guesses + more_guesses,
        in_doubt=[f"{row}: {row.reason}: {row.evidence}" for row in rows if row.state == State.IN_DOUBT],
        settle_p50_s=statistics.median(times) if times else 0.0,
        settle_p99_s=times[int(len(times) * 0.99)] if times else 0.0,
        settle_max_s=times[-1] if times else 0.0,
    )


def _losses(rows: Iterable[Operation], submitted: Sequence[Submitted]) -> list[str]:
    by_key = {row.idempotency_key: row for row in rows}
    lost = [f"intent {one.key} has no row" for one in submitted if one.key not in by_key]
    lost += [
        f"intent {one.key} was told to be {one.operation_id} and is {by_key[one.key].pk}"
        for one in submitted
        if one.key in by_key and str(by_key[one.key].pk) != one.operation_id
    ]
    known = {one.key for one in submitted}
    lost += [f"{row} was never submitted" for key, row in by_key.items() if key not in known]
    for row in by_key.values():
        state = State(row.state)
        if state not in FINAL and (state is not State.IN_DOUBT or not row.reason):
            lost.append(f"{row} never ended: {row.reason}")
    return lost


def _by_client_order_id(venue: Venue, rows: Iterable[Operation]) -> tuple[list[str], list[str]]:
    """Orders and closes carry the operation's own id to the venue."""
    duplicates, guesses = [], []
    for row in rows:
        if row.kind not in {Kind.PLACE, Kind.CLOSE}:
            continue
        count = venue.effects(client_order_id=row.client_order_id)["orders" if row.kind == Kind.PLACE else "closes"]
        if count > 1:
            duplicates.append(f"{row} had {count} effects")
        state = State(row.state)
        if state in FINAL and (state is State.SUCCEEDED) != (count > 0):
            guesses.append(f"{row} had {count} effects: {row.reason}")
    return duplicates, guesses


def _by_subject(venue: Venue, rows: Sequence[Operation]) -> tuple[list[str], list[str]]:
    """Modifications are counted by position, cancellations by the order that is taken back."""
    subjects: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    placed = {str((row.result or {}).get("order_id")): row.client_order_id for row in rows if row.kind == Kind.PLACE}
    for row in rows:
        if row.kind == Kind.MODIFY:
            subjects["position_id", str(row.parameters["position_id"])].append(row)
        elif row.kind == Kind.CANCEL:
            subjects["client_order_id", placed[str(row.parameters["order_id"])]].append(row)
    duplicates: list[str] = []
    guesses: list[str] = []
    for (name, subject), writes in subjects.items():
        count = venue.effects(**{name: subject})["modifications" if name == "position_id" else "cancellations"]
        succeeded = sum(row.state == State.SUCCEEDED for row in writes)
        doubted = sum(row.state == State.IN_DOUBT for row in writes)
        needless = sum(row.state == State.SUCCEEDED and changes_no_level(row) for row in writes)
        if count < succeeded - needless:
            guesses.append(f"{name} {subject}: {succeeded} writes succeeded, {needless} needlessly, {count} effects")
        if count > succeeded + doubted:
            refused = any(row.attempts for row in writes if State(row.state) in FINAL - {State.SUCCEEDED})
            (guesses if refused else duplicates).append(f"{name} {subject}: {succeeded} succeeded, {count} effects")
    return duplicates, guesses
