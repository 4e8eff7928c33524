"""What goes wrong and when: drawn from a seed, kept as JSON, so that a run can be repeated."""

import json
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WRITES = ("/trade/place", "/trade/close", "/trade/modify-protection", "/order/cancel")
REQUEST_FAULTS = (
    "delay", "drop_before", "drop_after", "error_after", "unreadable", "truncated", "401", "429", "503",
)  # fmt: skip
EVENT_FAULTS = ("duplicate", "reorder", "delay", "malformed")

WRITES_PER_FAULT = 6
"""A network fault strikes about every third write: each one armed strikes up to three times."""

WRITES_PER_EVENT_FAULT = 60
WRITES_PER_BREAKAGE = {
    "kill_worker_child": 60,
    "kill_worker": 150,
    "kill_microservice": 150,
    "kill_stream": 300,
    "kill_beat": 300,
    "restart_postgres": 400,
    "kill_postgres": 1000,
    "restart_rabbitmq": 800,
    "kill_rabbitmq": 1600,
}
"""One such breakage in so many writes; those up to ``ALWAYS`` happen at least once in every run."""

ALWAYS = 800


@dataclass(frozen=True, slots=True)
class Breakage:
    """``after`` so many writes were submitted, ``kind`` happens; ``details`` are the fault to arm, or which child."""

    after: int
    kind: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A run: the seed also decides what is written."""

    seed: int
    operations: int
    breakages: tuple[Breakage, ...]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Schedule":
        """What :meth:`save` wrote. Raises OSError, ValueError, KeyError or TypeError."""
        stored = json.loads(path.read_text())
        breakages = tuple(Breakage(**breakage) for breakage in stored["breakages"])
        return cls(int(stored["seed"]), int(stored["operations"]), breakages)

    @classmethod
    def draw(cls, seed: int, operations: int, *, read_timeout_s: float) -> "Schedule":
        """The schedule of this seed. Delays reach beyond ``read_timeout_s``, so that some answers come too late."""
        chance = random.Random(seed)
        found = [_network(chance, operations, read_timeout_s) for _ in range(max(1, operations // WRITES_PER_FAULT))]
        found += [_event(chance, operations) for _ in range(max(1, operations // WRITES_PER_EVENT_FAULT))]
        for kind, writes in WRITES_PER_BREAKAGE.items():
            times = operations // writes or int(writes <= ALWAYS)
            found += [
                Breakage(_moment(chance, operations), kind, {"pick": chance.randrange(100)}) for _ in range(times)
            ]
        return cls(seed, operations, tuple(sorted(found, key=lambda breakage: (breakage.after, breakage.kind))))


def _moment(chance: random.Random, operations: int) -> int:
    return chance.randrange(operations // 20, max(operations // 20 + 1, operations * 19 // 20))


def _network(chance: random.Random, operations: int, read_timeout_s: float) -> Breakage:
    kind = chance.choice(REQUEST_FAULTS)
    fault = {
        "kind": kind,
        "endpoint": chance.choice((*WRITES, WRITES[0], "*")),
        "count": chance.randint(1, 3),
        "seconds": round(chance.choice((0.2, 0.5, read_timeout_s * 1.3)), 2),
        "retry_after": chance.choice((0, 1, 2)),
    }
    return Breakage(_moment(chance, operations), "fault", fault)


def _event(chance: random.Random, operations: int) -> Breakage:
    fault = {"kind": chance.choice(EVENT_FAULTS), "event": "*", "count": chance.randint(1, 5), "seconds": 0.5}
    return Breakage(_moment(chance, operations), "fault", fault)
