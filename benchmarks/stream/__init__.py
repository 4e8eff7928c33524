"""The stream beside its peers."""

import benchmarks.site  # noqa: F401 - sets Django up for the imports below
from benchmarks.measure import Row
from benchmarks.stream import fanout, flood, growth, latency, memory, relay, snapshot
from benchmarks.stream.stage import stage

PARTS = (relay, growth, flood, latency, fanout, snapshot, memory)


def measure() -> list[Row]:
    """All rows, on servers of their own."""
    with stage() as servers:
        return [row for part in PARTS for row in part.measure(servers)]
