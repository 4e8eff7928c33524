"""``script/bench [name] [--json]``: run the benchmarks and print one table. ``script/bench chaos --help``: break it."""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from benchmarks.measure import Row

# Names first, modules when they run: a benchmark sets up what it measures, and none pays for another's imports.
BENCHMARKS = {"reads": "benchmarks.reads", "stream": "benchmarks.stream", "writes": "benchmarks.writes"}

PACKAGES = ("Django", "celery", "kombu", "requests", "channels", "msgspec", "uvicorn")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(BENCHMARKS), help="one benchmark (default: all of them)")
    parser.add_argument("--json", action="store_true", help="also print the rows as JSON on the last line")
    return parser.parse_args()


def _run(names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        sys.stderr.write(f"running {name} ...\n")
        measure: Callable[[], list[Row]] = importlib.import_module(BENCHMARKS[name]).measure
        rows += measure()
    return rows


def _table(rows: Sequence[Row]) -> str:
    lines = ["| what | ours | peer | ratio | goal | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        ours, peer = f"{row.ours:,.2f} {row.unit}", f"{row.peer:,.2f} {row.unit} ({row.peer_name})"
        met = "yes" if row.met else "NO"
        lines.append(f"| {row.name} | {ours} | {peer} | {row.ratio:.2f}x | {row.goal} | {met} |")
    return "\n".join(lines)


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {packages}"


def main() -> int:
    """0 when all goals are met, 1 otherwise."""
    if sys.argv[1:2] == ["chaos"]:
        # It compares with the truth, not with a peer, and has options of its own.
        chaos: Callable[[Sequence[str]], int] = importlib.import_module("benchmarks.chaos.command").main
        return chaos(sys.argv[2:])
    arguments = _arguments()
    rows = _run([arguments.name] if arguments.name else sorted(BENCHMARKS))
    sys.stdout.write(f"{_machine()}\n\n{_table(rows)}\n")
    if arguments.json:
        sys.stdout.write(json.dumps([row.json() for row in rows]) + "\n")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
