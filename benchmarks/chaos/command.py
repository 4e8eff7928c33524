"""``script/bench chaos``: N mixed writes under a random fault schedule; duplicates, losses and guesses must be 0."""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db import connections

from benchmarks.chaos.injector import Injector
from benchmarks.chaos.load import Load
from benchmarks.chaos.schedule import Schedule
from benchmarks.chaos.system import READ_TIMEOUT_S, Site, running_site
from benchmarks.chaos.truth import Findings, compare, unsettled
from tests.support.waiting import WaitTimeoutError, wait_until

REPLAYED_DEADLINE_S = 420.0
"""A close, modify or cancel is replayed until its own deadline, 300 s, and then settled by looking."""

EVIDENCE_DEADLINE_S = 200.0
"""Two looks, at most 72 s apart, after 27 s for the longest write and the settling."""


@dataclass(frozen=True, slots=True)
class Report:
    """Of one run."""

    schedule: Schedule
    breakages: dict[str, int]
    findings: Findings
    writing_s: float
    settling_s: float
    submit_p50_ms: float
    submit_max_ms: float

    def json(self) -> dict[str, object]:
        """As a JSON object, without the schedule."""
        return {
            "seed": self.schedule.seed,
            "breakages": self.breakages,
            "writing_s": self.writing_s,
            "settling_s": self.settling_s,
            "submit_p50_ms": self.submit_p50_ms,
            "submit_max_ms": self.submit_max_ms,
            "clean": self.findings.is_clean,
            **self.findings.json(),
        }


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench chaos", description=__doc__)
    parser.add_argument("--operations", type=int, default=300, help="how many writes (default 300)")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule and of the writes (default 1)")
    parser.add_argument("--schedule", type=Path, help="repeat the schedule of this file, instead of drawing one")
    parser.add_argument("--output", type=Path, help="where to keep the schedule (default: in the temporary folder)")
    parser.add_argument("--evidence", action="store_true", help="run with CTRADER_IDEMPOTENT_WRITES=false")
    parser.add_argument("--json", action="store_true", help="also print the report as JSON on the last line")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """0 when nothing was duplicated, lost or guessed, 1 otherwise."""
    options = _arguments(arguments)
    if options.schedule is None:
        schedule = Schedule.draw(options.seed, options.operations, read_timeout_s=READ_TIMEOUT_S)
    else:
        schedule = Schedule.load(options.schedule)
    kept = options.output or Path(tempfile.gettempdir()) / f"chaos-{schedule.seed}-{schedule.operations}.json"
    schedule.save(kept)
    sys.stderr.write(f"the schedule is in {kept}: repeat it with --schedule\n")
    # What the drivers say about servers that are away is expected, by the thousand.
    logging.disable(logging.CRITICAL)
    with running_site(replays=not options.evidence) as site:
        report = run(site, schedule, EVIDENCE_DEADLINE_S if options.evidence else REPLAYED_DEADLINE_S)
    sys.stdout.write(_text(report))
    if options.json:
        sys.stdout.write(json.dumps(report.json()) + "\n")
    return 0 if report.findings.is_clean else 1


def run(site: Site, schedule: Schedule, doubts_deadline_s: float) -> Report:
    """Write and break, heal, wait until all is settled, compare."""
    load = Load(schedule.operations, schedule.seed)
    injector = Injector(site, schedule, load.progress)
    load.on_submit = injector.notify
    started = time.monotonic()
    injector.start()
    load.run()
    injector.finish()
    written = time.monotonic()
    injector.heal()
    connections.close_all()  # PostgreSQL has cut it
    try:
        wait_until(lambda: not unsettled(), doubts_deadline_s, "all are final")
    except WaitTimeoutError:
        sys.stderr.write("some are still open; what is in doubt is listed\n")
    settled = time.monotonic()
    return Report(
        schedule=schedule,
        breakages=dict(injector.done),
        findings=compare(site.venue, load.submitted),
        writing_s=written - started,
        settling_s=settled - written,
        submit_p50_ms=sorted(load.submit_ms)[len(load.submit_ms) // 2],
        submit_max_ms=max(load.submit_ms),
    )


def _text(report: Report) -> str:
    found = report.findings
    broken = ", ".join(f"{kind} {count}" for kind, count in sorted(report.breakages.items()))
    states = ", ".join(f"{state} {count}" for state, count in sorted(found.states.items()))
    times = ", ".join(
        f"{name} {seconds:.2f} s"
        for name, seconds in (("p50", found.settle_p50_s), ("p99", found.settle_p99_s), ("max", found.settle_max_s))
    )
    summary = (
        f"{found.operations:,} writes, seed {report.schedule.seed}: {report.writing_s:.0f} s of writing under faults, "
        f"{report.settling_s:.0f} s more until all was settled\n"
        f"broken: {broken}\n"
        f"states: {states}; {found.doubted} were in doubt for a while\n"
        f"submit: p50 {report.submit_p50_ms:.1f} ms, max {report.submit_max_ms:.0f} ms\n"
        f"time to settle: {times}\n\n"
        "| duplicates | losses | guesses | in doubt, listed |\n|---|---|---|---|\n"
        f"| {len(found.duplicates)} | {len(found.losses)} | {len(found.guesses)} | {len(found.in_doubt)} |"
    )
    lines = [summary]
    for name in ("duplicates", "losses", "guesses", "in_doubt"):
        lines += [f"{name}: {line}" for line in getattr(found, name)]
    return "\n".join(lines) + "\n"
