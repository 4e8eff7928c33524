"""One account, its ledger, its messages, its venue and its clock: what a random history happens to."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from django.db import transaction
from django.test.utils import override_settings

from ctrader_app.broadcast import account as account_group
from ctrader_app.domain.intents import Intent
from ctrader_app.domain.operations import FINAL, State
from ctrader_app.ledger import clock, statements
from ctrader_app.ledger import operations as ledger
from ctrader_app.models import Operation, OperationTransition, TradingAccount
from ctrader_app.operations import gateway
from ctrader_app.operations.execute import execute
from ctrader_app.operations.resolve import resolve
from ctrader_app.operations.sweep import sweep
from ctrader_app.operations.verdicts import FollowUp, Step
from ctrader_app.tasks import queue
from tests.stateful.venue import ScriptedVenue, SenderDied
from tests.support.operations import make_account

START = datetime(2030, 1, 1, tzinfo=UTC)
HEALING_STEPS_S = (0.0, 1.0, 6.0, 10.0, 31.0, 50.0, 90.0, 350.0, 61.0, 61.0, 61.0, 61.0)
"""Pauses after which everything that is decided by time has been decided: deadlines, abandonment, settling."""


class World:
    """The real ledger and operations on a scripted venue. Use it in a with statement; it empties the ledger first."""

    def __init__(self, *, replays: bool, keeps_history: bool) -> None:
        self.time = START
        self.venue = ScriptedVenue(lambda: self.time, replays=replays, keeps_history=keeps_history)
        self.venue.on_write = self._check_lane
        self.messages: list[FollowUp] = []
        self.seen: list[FollowUp] = []
        self._calls = 0
        self._stack = ExitStack()

    def __enter__(self) -> "World":
        OperationTransition.objects.all().delete()
        Operation.objects.all().delete()
        TradingAccount.objects.all().delete()
        self.account = make_account()
        patch = mock.patch.object
        for context in (
            override_settings(CTRADER_IDEMPOTENT_WRITES=self.venue.replays),
            patch(gateway, "client", lambda: self.venue),
            patch(clock, "now", lambda: self.time),
            patch(clock, "now_ns", self._now_ns),
            # The claim is compared by the database, whose clock is the world's.
            patch(statements, "now_sql", self._now_sql),
            patch(queue, "enqueue", self.publish),
            patch(account_group, "operation_update", lambda _account_id, _row: None),
        ):
            self._stack.enter_context(context)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _now_sql(self, vendor: str) -> str:
        return f"'{self.time:%Y-%m-%d %H:%M:%S.%f}{'+00' if vendor == 'postgresql' else ''}'"

    def _now_ns(self) -> int:
        self._calls += 1
        return int(self.time.timestamp()) * 1_000_000_000 + self._calls

    # -- steps -----------------------------------------------------------------------------------------------------

    def publish(self, message: FollowUp) -> None:
        """Put a message on the queue."""
        self.messages.append(message)
        self.seen.append(message)

    def submit(self, intent: Intent, key: str | None = None) -> Operation:
        """A caller's write, committed."""
        return queue.submit(self.account, intent, key=key)

    def submit_and_roll_back(self, intent: Intent) -> None:
        """A caller's write whose transaction fails."""
        before = (self.rows().count(), len(self.messages))
        with transaction.atomic():
            self.submit(intent)
            transaction.set_rollback(True)
        assert (self.rows().count(), len(self.messages)) == before

    def deliver(self, message: FollowUp, *, redelivered: bool) -> bool:
        """A worker takes one message; whether it lived to acknowledge it."""
        self.venue.rival = lambda: self._run_rival(message)
        try:
            self._run(message, redelivered=redelivered)
        except SenderDied:
            return False
        return True

    def _run(self, message: FollowUp, *, redelivered: bool) -> None:
        self.venue.catch_up()
        if message.step is Step.RESOLVE:
            verdict = resolve(message.operation_id, actor="a worker")
        else:
            verdict = execute(message.operation_id, actor="a worker", redelivered=redelivered)
        for step in verdict.follow_ups:
            self.publish(step)

    def _run_rival(self, message: FollowUp) -> None:
        """A copy of the message with another worker, then one that the broker takes for redelivered, then the doubt."""
        self._run(message, redelivered=False)
        self._run(message, redelivered=True)
        self._run(replace(message, step=Step.RESOLVE), redelivered=False)

    def sweep(self) -> None:
        """Beat's work."""
        for step in sweep().follow_ups:
            self.publish(step)

    def pass_time(self, seconds: float) -> None:
        """The clock goes on; what was late arrives."""
        self.time += timedelta(seconds=seconds)
        self.venue.catch_up()

    def heal(self) -> None:
        """No more faults: the system is left to itself, with beat and a worker, for some minutes."""
        self.venue.script.clear()
        self.venue.reads_to_fail = 0
        for pause_s in HEALING_STEPS_S:
            self.pass_time(pause_s)
            self.sweep()
            self._drain()

    def _drain(self) -> None:
        # A doubt that stays one is examined ever more rarely, so that the messages of one moment come to an end.
        for _ in range(2000):
            if not self.messages:
                return
            message = self.messages.pop(0)
            self.time += timedelta(seconds=min(message.delay_s, 1.0))
            assert self.deliver(message, redelivered=False)
        raise AssertionError(f"messages without end: {self.messages[:5]}")

    @contextmanager
    def death_in_ledger(self, step: str) -> Iterator[None]:
        """Within the block a process dies when it is about to record ``step`` (a function of the ledger)."""

        def die(*_: object, **__: object) -> bool:
            raise SenderDied

        with mock.patch.object(ledger, step, die):
            yield

    # -- looking ---------------------------------------------------------------------------------------------------

    def rows(self) -> Any:  # django's querysets are typed by the plugin only where they are made
        """The account's operations in order of creation."""
        return Operation.objects.filter(account=self.account).order_by("sequence", "pk")

    def finals(self) -> dict[str, tuple[Any, ...]]:
        """All that is said of the operations that have ended, by id."""
        return {
            str(row.pk): (row.state, row.result, row.error_code, row.error_message, row.finished_at, row.reason)
            for row in self.rows()
            if State(row.state) in FINAL
        }

    def _check_lane(self, key: str) -> None:
        """Whatever reaches the venue is the first of its lane that has not ended."""
        operation = Operation.objects.get(pk=key)
        if not operation.lane:
            return
        earlier = self.rows().filter(lane=operation.lane, sequence__lt=operation.sequence)
        unfinished = [str(row.pk) for row in earlier if State(row.state) not in FINAL]
        assert not unfinished, f"{key} overtook {unfinished}"
