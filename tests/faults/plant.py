"""The processes that the fault cards break, and the callers, in this process, who must not notice twice."""

import contextlib
import itertools
import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psycopg

from connectors.base import OperationHandle
from connectors.trading_service import TradingService
from ctrader_app.domain.operations import FINAL, Kind, State
from ctrader_app.ledger import clock
from ctrader_app.ledger import operations as ledger
from ctrader_app.models import Operation, OperationTransition, TradingAccount
from tests.support.kin import children_of, descendants_of, is_alive
from tests.support.operations import make_account
from tests.support.postgres import PostgresServer
from tests.support.processes import ManagedProcess
from tests.support.rabbitmq import RabbitMQServer
from tests.support.system import ProductionSystem
from tests.support.waiting import wait_until
from tests.system.venue import SystemVenue

CONNECT_TIMEOUT_S = 0.4
READ_TIMEOUT_S = 0.8
SETTLED_S = 45.0
"""Long enough for the slowest way out: a sender that nobody saw die (13 s), beat, and the examinations after it."""

LONG_TTL_S = 120.0
Victim = Literal["child", "parent"]
PATHS = {
    Kind.PLACE: "/trade/place",
    Kind.CLOSE: "/trade/close",
    Kind.MODIFY: "/trade/modify-protection",
    Kind.CANCEL: "/order/cancel",
}
COUNTS = {Kind.PLACE: "orders", Kind.CLOSE: "closes", Kind.MODIFY: "modifications", Kind.CANCEL: "cancellations"}
"""The venue's own count of what a write of each kind does."""


class FaultyVenue(SystemVenue):
    """The control endpoints, and what became of the faults."""

    def hits(self, kind: str) -> int:
        """How often the armed faults of this kind have struck."""
        faults = self._checked(self._session.get(f"{self.base_url}/_faults", timeout=5))["armed"]
        return sum(int(fault["hits"]) for fault in faults if fault["kind"] == kind)


@dataclass(frozen=True)
class Plant:
    """Microservice, worker (two children) and beat as processes, and the servers under them."""

    system: ProductionSystem
    rabbitmq: RabbitMQServer
    postgres: PostgresServer
    database: str
    venue: FaultyVenue

    @property
    def microservice(self) -> ManagedProcess:
        """Its process."""
        assert self.system.microservice is not None
        return self.system.microservice

    @property
    def worker(self) -> ManagedProcess:
        """The Celery worker's first process, the parent of the two that work."""
        return self.system.worker

    def new_trader(self) -> "Trader":
        """A new account with an open session: a fault must not strike a 401."""
        trader = Trader(self, make_account())
        trader.service.connect_sync()
        return trader

    def start(self, process: ManagedProcess) -> None:
        """Start a process again and wait until it works."""
        process.start()
        self.system.wait_ready(process)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[list[int]]:
        """The worker's children, stopped where they are until the block ends; yields their ids."""
        children = children_of(self.worker.pid)
        assert len(children) == 2
        for child in children:
            os.kill(child, signal.SIGSTOP)
        wait_until(lambda: all(map(_is_stopped, children)), 5.0, "the children are stopped")
        try:
            yield children
        finally:
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGCONT)

    @contextlib.contextmanager
    def row_locked(self, handle: OperationHandle) -> Iterator[None]:
        """Nobody else can change the operation's row until the block ends; reading it is possible."""
        with psycopg.connect(self.postgres.url(self.database)) as connection:
            query = "SELECT 1 FROM ctrader_app_operation WHERE id = %s FOR UPDATE"
            assert connection.execute(query, [handle.operation_id]).fetchone() == (1,)
            yield

    def wait_blocked(self, count: int) -> None:
        """Wait until that many connections wait for a lock."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"

        def blocked() -> int:
            row = connection.execute(query, [self.database]).fetchone()
            assert row is not None
            return int(row[0])

        with self.postgres.connect() as connection:
            wait_until(lambda: blocked() >= count, 20.0, lambda: f"{blocked()} of {count} wait for the row")

    def kill(self, victim: Victim) -> None:
        """SIGKILL to the worker's children, or to their parent, of which they die."""
        if victim == "child":
            self.kill_children()
        else:
            self.kill_parent()

    def kill_children(self) -> None:
        """SIGKILL to the worker's children, not to the worker."""
        children = children_of(self.worker.pid)
        for child in children:
            os.kill(child, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, children)), 10.0, "the children are gone")

    def kill_parent(self) -> None:
        """SIGKILL to the worker's parent alone; its children die of that. Then a new worker, ready."""
        children = descendants_of(self.worker.pid)
        self.worker.send_signal(signal.SIGKILL)
        self.worker.wait_for_exit()
        wait_until(lambda: not any(child.alive for child in children), 10.0, "the children have died with their parent")
        self.start(self.worker)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@dataclass
class Trader:
    """One account and what its caller does with it, through TradingService."""

    plant: Plant
    account: TradingAccount
    service: TradingService = field(init=False)

    def __post_init__(self) -> None:
        self.service = TradingService(self.account)

    def place(self, *, ttl: float = LONG_TTL_S, **extra: Any) -> OperationHandle:
        """Submit a market order."""
        return self.service.submit_place_trade("EURUSD", 0.1, "BUY", ttl=ttl, **extra)

    def place_and_die_at_the_claim(self, victim: Victim) -> OperationHandle:
        """A market order whose sender is killed while the database is about to grant its claim, which it then does."""
        plant = self.plant
        with plant.frozen():
            handle = self.place()
            lock = contextlib.ExitStack()
            lock.enter_context(plant.row_locked(handle))
        with lock:
            plant.wait_blocked(1)
            assert (row(handle).state, self.effects()) == (State.QUEUED, 0)
            plant.kill(victim)
            plant.wait_blocked(2)  # the dead one's claim, and the claim of who was given its message
        return handle

    def ready(self, kind: Kind) -> str:
        """What a write of this kind is about, made now: a position, a working order, or nothing."""
        if kind is Kind.PLACE:
            return ""
        if kind is Kind.CANCEL:
            placed = self.service.place_trade_sync("EURUSD", 0.1, "BUY", order_type="LIMIT", limit_price=0.5)
            return str(placed["order_id"])
        placed = self.service.place_trade_sync("EURUSD", 0.1, "BUY")
        return str(placed["opened_position_ticket"])

    def submit(self, kind: Kind, target: str) -> OperationHandle:
        """Submit a write of this kind about what `ready` made."""
        if kind is Kind.PLACE:
            return self.place()
        if kind is Kind.CANCEL:
            return self.service.submit_cancel_order(target)
        if kind is Kind.CLOSE:
            return self.service.submit_close_position(target, 0.04, "EURUSD")  # in part: it could be done twice
        return self.service.submit_modify_position_protection(target, "EURUSD", 0.9, None)

    def arm(self, fault: str, kind: Kind = Kind.PLACE, **extra: Any) -> None:
        """Let the next write of this account meet a fault."""
        self.plant.venue.arm(PATHS[kind], fault, account_id=str(self.account.pk), **extra)

    def effects(self, kind: Kind = Kind.PLACE) -> int:
        """How many writes of this kind the venue has carried out for this account."""
        return int(self.plant.venue.effects(account_id=str(self.account.pk))[COUNTS[kind]])

    def answered(self, kind: Kind = Kind.PLACE) -> int:
        """How many writes of this kind the venue has come to the end of for this account, replays included."""
        words = ('"event":"write"', f'"path":"{PATHS[kind]}"', f'"account_id":"{self.account.pk}"')
        return sum(all(word in line for word in words) for line in self.plant.microservice.log().splitlines())

    def wait_answered(self, count: int, kind: Kind = Kind.PLACE) -> None:
        """Wait until the venue has come to the end of that many: what it was slow about may follow later."""
        wait_until(lambda: self.answered(kind) >= count, 10.0, lambda: f"{self.answered(kind)} of {count} are answered")

    def wait_effects(self, count: int, kind: Kind = Kind.PLACE) -> None:
        """Wait until the venue has carried out that many."""
        wait_until(lambda: self.effects(kind) >= count, 10.0, f"{count} effects at the venue")


def row(handle: OperationHandle) -> Operation:
    """The operation's row, now."""
    return ledger.get(uuid.UUID(handle.operation_id))


def wait_state(handle: OperationHandle, state: State, timeout_s: float = 15.0) -> None:
    """Wait until the operation is in this state."""
    wait_until(lambda: row(handle).state == state, timeout_s, lambda: f"{state}: {_story(handle)}")


def settled(handle: OperationHandle, timeout_s: float = SETTLED_S) -> Operation:
    """The operation's row once it is final."""
    wait_until(lambda: State(row(handle).state) in FINAL, timeout_s, lambda: f"it is final: {_story(handle)}")
    return row(handle)


def wait_too_late(handle: OperationHandle) -> None:
    """Wait until the operation's deadline has passed by the database's clock."""
    deadline = row(handle).deadline
    wait_until(lambda: clock.now() > deadline, 15.0, "its deadline has passed")


def steps_of(handle: OperationHandle) -> list[str]:
    """The states that the operation went through; looking again at a doubt is no step."""
    rows = OperationTransition.objects.filter(operation_id=handle.operation_id).order_by("pk")
    return [state for state, _ in itertools.groupby(rows.values_list("to_state", flat=True))]


def _story(handle: OperationHandle) -> str:
    rows = OperationTransition.objects.filter(operation_id=handle.operation_id).order_by("pk")
    return " | ".join(f"{step.to_state}: {step.reason} {step.evidence}" for step in rows)
