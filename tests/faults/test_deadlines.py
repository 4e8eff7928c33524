"""Deadlines that pass at the worst moment, and clocks that disagree."""

import contextlib
import time
from datetime import datetime, timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from ctrader_app.domain.operations import Kind, State
from ctrader_app.ledger import clock
from tests.faults.plant import Plant, Trader, row, settled, steps_of, wait_state, wait_too_late
from tests.support.waiting import wait_until

SOON_S = 1.5
FOR_EVER = 1000


def test_25_the_deadline_passes_in_the_queue(plant: Plant, trader: Trader) -> None:
    """Card 25. The worker comes to the message too late: the order expires and nothing leaves."""
    with plant.frozen():
        handle = trader.place(ttl=0.4)
        wait_too_late(handle)
    operation = settled(handle)
    assert (operation.state, operation.attempts) == (State.EXPIRED, 0)
    assert steps_of(handle) == ["queued", "expired"]
    assert trader.effects() == 0


def test_26_the_deadline_passes_during_a_doubt_with_an_effect(plant: Plant, trader: Trader) -> None:
    """Card 26. The order was executed, no answer comes through until its deadline has passed: it is no failure; the
    replay, however late, tells of the effect."""
    trader.arm("drop_after", count=FOR_EVER)
    handle = trader.place(ttl=SOON_S)
    wait_state(handle, State.IN_DOUBT)
    wait_too_late(handle)
    assert (row(handle).state, trader.effects()) == (State.IN_DOUBT, 1)
    plant.venue.disarm()
    assert settled(handle).state == State.SUCCEEDED
    assert trader.effects() == 1


def test_27_the_deadline_passes_during_a_doubt_without_an_effect(plant: Plant, trader: Trader) -> None:
    """Card 27. The order never arrived, and no replay gets through until its deadline has passed: the replay that does
    executes nothing, because the order carries its expiry."""
    trader.arm("drop_before", count=FOR_EVER)
    handle = trader.place(ttl=SOON_S)
    wait_state(handle, State.IN_DOUBT)
    wait_too_late(handle)
    assert row(handle).state == State.IN_DOUBT
    plant.venue.disarm()
    operation = settled(handle)
    assert (operation.state, operation.error_code) == (State.REFUSED, "ORDER_EXPIRED")
    assert trader.effects() == 0


def test_28_the_deadline_of_a_close_passes_during_its_doubt(plant: Plant, trader: Trader) -> None:
    """Card 28. A close carries no expiry, so past its deadline it is never sent again: looking at the position settles
    it, while the service does not answer a single write."""
    position_id = trader.ready(Kind.CLOSE)
    trader.arm("drop_after", Kind.CLOSE, count=FOR_EVER)
    with override_settings(CTRADER_REDUCE_TTL_SECONDS=SOON_S):
        handle = trader.submit(Kind.CLOSE, position_id)
    wait_state(handle, State.IN_DOUBT)
    wait_too_late(handle)
    operation = settled(handle)
    assert (operation.state, operation.reason) == (State.SUCCEEDED, "its effect was found")
    assert trader.effects(Kind.CLOSE) == 1


def test_29_the_deadline_passes_during_the_resolution(plant: Plant, trader: Trader) -> None:
    """Card 29. The replay leaves in time, and the venue comes to carry it out after the deadline: it executes nothing,
    says so, and that is what becomes of the order."""
    trader.arm("drop_before")
    trader.arm("delay", seconds=2 * SOON_S)
    handle = trader.place(ttl=SOON_S)
    deadline = row(handle).deadline
    wait_until(lambda: plant.venue.hits("delay") == 1, 10.0, "the replay has arrived")
    assert clock.now() < deadline
    operation = settled(handle)
    assert (operation.state, operation.error_code) == (State.REFUSED, "ORDER_EXPIRED")
    assert trader.effects() == 0


def _skew(monkeypatch: pytest.MonkeyPatch, skew: timedelta) -> None:
    """From now on this process's clocks are off by this much."""
    true_now, true_ns = timezone.now, time.time_ns

    def skewed_now() -> datetime:
        return true_now() + skew

    def skewed_ns() -> int:
        return true_ns() + skew // timedelta(microseconds=1) * 1000

    monkeypatch.setattr(timezone, "now", skewed_now)
    monkeypatch.setattr(time, "time_ns", skewed_ns)


@pytest.mark.parametrize("skew_h", [-1, 1])
def test_30_clocks_that_disagree(plant: Plant, trader: Trader, monkeypatch: pytest.MonkeyPatch, skew_h: int) -> None:
    """Card 30. The clock of the caller's process is set an hour off while it runs. Deadlines are the database's: an
    order in time is sent, one that is late is not."""
    trader.ready(Kind.CLOSE)
    _skew(monkeypatch, timedelta(hours=skew_h))
    in_time = trader.place(ttl=20.0)
    with plant.frozen():
        late = trader.place(ttl=0.4)
        wait_too_late(late)
    assert (settled(late).state, row(late).attempts) == (State.EXPIRED, 0)
    assert settled(in_time).state == State.SUCCEEDED
    assert trader.effects() == 2


def test_31_the_order_of_writes_when_clocks_disagree(
    plant: Plant, trader: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Card 31. A modify, then a close of the same position by a process whose clock is an hour behind: the modify goes
    first, as they were asked for."""
    position_id = trader.ready(Kind.CLOSE)
    with plant.frozen():
        modify = trader.submit(Kind.MODIFY, position_id)
        _skew(monkeypatch, timedelta(hours=-1))
        close = trader.service.submit_close_position(position_id, None, "EURUSD")
    assert settled(close).state == State.SUCCEEDED
    assert settled(modify).state == State.SUCCEEDED
    assert (trader.effects(Kind.MODIFY), trader.effects(Kind.CLOSE)) == (1, 1)


def test_35_the_deadline_passes_while_the_claim_is_granted(plant: Plant, trader: Trader) -> None:
    """Card 35. The database stalls over a claim that was asked for in time, and grants it when the order is stale: the
    sender looks at the clock again, and nothing leaves."""
    with plant.frozen():
        handle = trader.place(ttl=SOON_S)
        lock = contextlib.ExitStack()
        lock.enter_context(plant.row_locked(handle))
    with lock:
        plant.wait_blocked(1)
        assert clock.now() < row(handle).deadline
        wait_too_late(handle)
    operation = settled(handle)
    assert (operation.state, operation.attempts) == (State.EXPIRED, 1)
    assert steps_of(handle) == ["queued", "sending", "expired"]
    assert trader.effects() == 0
