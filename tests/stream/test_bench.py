"""The benchmarks of the stream still run, and what they send arrives. Each runs shortly: its figures mean nothing."""

import math
from collections.abc import Callable, Iterator

import pytest
from pytest_django import DjangoDbBlocker

from benchmarks.measure import Row
from benchmarks.stream import PARTS, fanout, flood, growth, latency, memory, relay, snapshot
from benchmarks.stream.stage import Stage, stage

SHORT: dict[str, Callable[[Stage], list[Row]]] = {
    "relay": lambda servers: relay.measure(servers, rounds=1, ticks=5_000),
    "growth": lambda servers: growth.measure(servers, rounds=1, many=100, ticks=2_000),
    "flood": lambda servers: flood.measure(servers, rounds=1, ticks=2_000),
    "latency": lambda servers: latency.measure(servers, rounds=1, seconds=1),
    "fanout": lambda servers: fanout.measure(servers, sockets=20, rounds=1),
    "snapshot": lambda servers: snapshot.measure(servers, many=200, rounds=1),
    "memory": lambda servers: memory.measure(servers, burst=20_000, while_dead=10_000),
}


@pytest.fixture(scope="module")
def servers(django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    """Those of the benchmarks, shared by all parts as there."""
    with django_db_blocker.unblock(), stage() as made:
        yield made


@pytest.mark.parametrize("name", SHORT)
def test_it_measures(servers: Stage, name: str) -> None:
    rows = SHORT[name](servers)
    assert rows
    assert all(math.isfinite(row.ours) and row.peer > 0 for row in rows)


def test_every_part_is_here() -> None:
    assert {part.__name__.rpartition(".")[2] for part in PARTS} == set(SHORT)
