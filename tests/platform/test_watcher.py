"""Waiting by looking, and by being called."""

import threading
from uuid import UUID

import pytest
from django.utils import timezone

from ctrader_app.domain.operations import State
from ctrader_app.ledger import operations as ledger
from ctrader_app.ledger.operations import Why
from ctrader_app.models import Operation
from ctrader_app.platform import watcher as module
from ctrader_app.platform.watcher import Watcher
from tests.support.operations import make_account, order

WHY = Why("a test", "test")


def submitted() -> Operation:
    return ledger.open_operation(make_account(), order(), key=None, ttl_s=30, now=timezone.now(), actor="test")[0]


def finish(operation: Operation) -> None:
    assert ledger.end(operation, State.EXPIRED, code="EXPIRED", message="m", why=WHY, now=timezone.now())


@pytest.mark.usefixtures("each_database")
def test_a_wait_ends_with_the_row() -> None:
    watcher = Watcher()
    ended, open_one = submitted(), submitted()
    futures = [watcher.watch(ended.pk), watcher.watch(ended.pk), watcher.watch(open_one.pk)]
    finish(ended)
    assert [future.result(10).operation_id for future in futures[:2]] == [ended.pk] * 2
    assert not futures[2].done()
    finish(open_one)
    assert futures[2].result(10).state == State.EXPIRED
    watcher.end()


class SeenLooking(Watcher):
    """Tells when it has looked."""

    looked = threading.Event()

    def _look(self, wanted: list[UUID]) -> None:
        super()._look(wanted)
        self.looked.set()


@pytest.mark.usefixtures("postgres_db")
def test_postgresql_calls_so_that_nobody_has_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """With looking put off beyond the test's time, only a call can end the wait."""
    monkeypatch.setattr(module, "SHORTEST_WHEN_CALLED_S", 600.0)
    watcher = SeenLooking()
    operation = submitted()
    future = watcher.watch(operation.pk)
    assert watcher.looked.wait(20)
    finish(operation)
    assert future.result(20).operation_id == operation.pk
    watcher.end()


@pytest.mark.usefixtures("each_database")
def test_a_wait_that_nobody_wants_any_more_is_forgotten() -> None:
    watcher = Watcher()
    operation = submitted()
    future = watcher.watch(operation.pk)
    watcher.forget(operation.pk, future)
    finish(operation)
    other = submitted()
    witness = watcher.watch(other.pk)
    finish(other)
    assert witness.result(10).operation_id == other.pk
    assert not future.done()
    watcher.end()
