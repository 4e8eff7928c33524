"""``script/bench chaos``: a short run on the real thing, and proof that it would say so if something were wrong."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.chaos.load import Submitted
from benchmarks.chaos.schedule import WRITES_PER_BREAKAGE, Schedule
from benchmarks.chaos.truth import Findings, compare
from ctrader_app.domain.intents import CancelIntent, CloseIntent, Intent, ModifyIntent
from ctrader_app.domain.operations import State
from ctrader_app.models import Operation
from ctrader_app.operations.execute import execute
from tests.stateful.world import World
from tests.support.operations import Venue, order
from tests.support.processes import ManagedProcess


@pytest.mark.timeout(300)
def test_three_hundred_writes_while_everything_fails(tmp_path: Path) -> None:
    """No effect twice, none lost, none guessed, whatever was killed meanwhile."""
    schedule = tmp_path / "schedule.json"
    command = [sys.executable, "-m", "benchmarks", "chaos", "--operations", "300", "--seed", "1"]
    command += ["--output", str(schedule), "--json"]
    with ManagedProcess("chaos", command, log_path=tmp_path / "chaos.log") as bench:
        status = bench.wait_for_exit(280)
        assert status == 0, bench.log_tail()
    report = json.loads(bench.log().splitlines()[-1])
    assert report["operations"] == 300
    assert (report["duplicates"], report["losses"], report["guesses"]) == ([], [], [])
    assert set(report["breakages"]) >= {"fault", "kill_worker", "kill_worker_child", "restart_postgres"}
    assert report["doubted"] > 0, "no fault struck a write"
    planned = Schedule.load(schedule)
    assert len(planned.breakages) == sum(report["breakages"].values())


def test_a_seed_is_a_schedule() -> None:
    drawn = Schedule.draw(7, 10_000, read_timeout_s=3)
    assert drawn == Schedule.draw(7, 10_000, read_timeout_s=3)
    assert drawn != Schedule.draw(8, 10_000, read_timeout_s=3)
    assert {breakage.kind for breakage in drawn.breakages} == {"fault", *WRITES_PER_BREAKAGE}
    assert all(0 <= breakage.after < 10_000 for breakage in drawn.breakages)


def test_a_schedule_can_be_repeated(tmp_path: Path) -> None:
    drawn = Schedule.draw(7, 300, read_timeout_s=3)
    drawn.save(tmp_path / "schedule.json")
    assert Schedule.load(tmp_path / "schedule.json") == drawn


class CountingVenue(Venue):
    """The scripted venue's effects, counted as ``GET /_effects`` counts them."""

    def __init__(self, world: World) -> None:
        super().__init__("http://127.0.0.1:9")
        self._world = world

    def effects(self, **query: str) -> dict[str, int]:
        """Of one client order id or position."""
        counts = dict.fromkeys(("orders", "closes", "modifications", "cancellations"), 0)
        names = {"placed": "orders", "closed": "closes", "modified": "modifications", "cancelled": "cancellations"}
        for row in self._world.rows():
            if self._subject(row, query):
                for effect in self._world.venue.effects[str(row.pk)]:
                    counts[names[effect]] += 1
        return counts

    def _subject(self, row: Operation, query: dict[str, str]) -> bool:
        if "position_id" in query:
            return bool(row.parameters.get("position_id") == query["position_id"])
        order_id = row.parameters.get("order_id")
        placed = self._world.venue.client_order_id_of(str(order_id)) if order_id else row.client_order_id
        return placed == query["client_order_id"]


class Run:
    """One write of each kind, all of them well."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.place = self._write(order(lot_size="0.3"))
        position_id = max(world.venue.positions)
        self.modify = self._write(ModifyIntent.of_arguments(position_id, "EURUSD", "0.9", "1.5"))
        self.close = self._write(CloseIntent.of_arguments(position_id, "EURUSD", "0.1"))
        self._write(order(order_type="LIMIT", limit_price="0.5"))
        self.cancel = self._write(CancelIntent.of_arguments(max(world.venue.orders)))

    def _write(self, intent: Intent) -> Operation:
        operation = self.world.submit(intent)
        assert execute(operation.pk, actor="test").state is State.SUCCEEDED
        return operation

    def submitted(self) -> list[Submitted]:
        """What the callers were told."""
        return [Submitted(row.idempotency_key, str(row.pk)) for row in self.world.rows()]

    def findings(self, submitted: list[Submitted] | None = None) -> Findings:
        """Of the comparison."""
        venue = CountingVenue(self.world)
        return compare(venue, self.submitted() if submitted is None else submitted)


@pytest.fixture
def run(sqlite_db: str) -> Iterator[Run]:
    with World(replays=True, keeps_history=True) as world:
        yield Run(world)


def test_what_went_well_is_found_clean(run: Run) -> None:
    findings = run.findings()
    assert findings.is_clean
    assert (findings.operations, findings.states) == (5, {"succeeded": 5})


@pytest.mark.parametrize("name", ["place", "close", "modify", "cancel"])
def test_an_effect_too_many_is_found(run: Run, name: str) -> None:
    run.world.venue.effects[str(getattr(run, name).pk)] *= 2
    findings = run.findings()
    assert not findings.is_clean
    assert len(findings.duplicates) == 1


@pytest.mark.parametrize("name", ["place", "close", "modify", "cancel"])
def test_a_success_without_an_effect_is_found(run: Run, name: str) -> None:
    run.world.venue.effects[str(getattr(run, name).pk)].clear()
    assert len(run.findings().guesses) == 1


@pytest.mark.parametrize("name", ["place", "close", "modify", "cancel"])
def test_an_effect_of_what_is_said_to_have_failed_is_found(run: Run, name: str) -> None:
    Operation.objects.filter(pk=getattr(run, name).pk).update(state=State.FAILED)
    assert len(run.findings().guesses) == 1


def test_a_lost_intent_is_found(run: Run) -> None:
    submitted = run.submitted()
    assert len(run.findings([*submitted, Submitted("never recorded", "0")]).losses) == 1
    assert len(run.findings([replace(submitted[0], operation_id="another"), *submitted[1:]]).losses) == 1
    assert len(run.findings(submitted[1:]).losses) == 1


def test_an_operation_that_never_ends_is_found(run: Run) -> None:
    Operation.objects.filter(pk=run.close.pk).update(state=State.SENDING, finished_at=None)
    assert len(run.findings().losses) == 1
