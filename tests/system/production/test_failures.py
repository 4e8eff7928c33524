"""Processes die and the broker goes while something is under way: one outcome, one effect."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.support.kin import children_of, is_alive
from tests.support.waiting import wait_until
from tests.system.client import Api, Reply
from tests.system.production.conftest import Production
from tests.system.traders import steps_of

DELAY_S = 2.0
"""How long the venue takes over a write while its worker dies: long enough to be caught in the act."""

PATHS = {
    "place": "/trade/place", "close": "/trade/close", "modify": "/trade/modify-protection", "cancel": "/order/cancel",
}  # fmt: skip


def _begun(trader: Api, kind: str) -> Callable[[], Reply]:
    """What has to be there for a write of this kind, and the write."""
    if kind == "place":
        return lambda: trader.trade(wait_s=None)
    if kind == "cancel":
        order = trader.trade(order_type="LIMIT", limit_price=round(trader.bid() - 0.05, 5))
        return lambda: trader.cancel(str(order.body["result"]["order_id"]), wait_s=None)
    position_id = trader.opened()
    if kind == "close":
        return lambda: trader.close(position_id, 0.04, wait_s=None)
    level = round(trader.bid() - 0.05, 5)
    return lambda: trader.protect(position_id, wait_s=None, stop_loss=level)


def _effects(production: Production, trader: Api, kind: str) -> int:
    effects = production.venue.effects(account_id=trader.account)
    names = {"place": "opens", "close": "closes", "modify": "modifications", "cancel": "cancellations"}
    return int(effects[names[kind]])


def _sweeps(production: Production) -> int:
    return production.system.worker.log().count("ctrader.sweep[")


def _in_flight(production: Production, trader: Api, kind: str) -> str:
    """Start a write that the venue takes its time over; the operation, being sent."""
    begin = _begun(trader, kind)
    production.venue.arm(PATHS[kind], "delay", seconds=DELAY_S, account_id=trader.account)
    operation_id = str(begin().body["id"])
    trader.wait_state(operation_id, {"sending"})
    return operation_id


@pytest.mark.parametrize("kind", ["place", "close", "modify", "cancel"])
def test_a_worker_child_killed_while_it_sends(production: Production, trader: Api, kind: str) -> None:
    operation_id = _in_flight(production, trader, kind)
    worker = production.system.worker
    children = children_of(worker.pid)
    assert children
    for child in children:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, children)), 10.0, "the children are gone")
    outcome = trader.settled(operation_id)
    assert (outcome["state"], outcome["error"], outcome["attempts"]) == ("succeeded", None, 1)
    assert steps_of(outcome["id"]) == ["queued", "sending", "in_doubt", "succeeded"]
    assert _effects(production, trader, kind) == 1
    assert worker.running


def test_a_worker_killed_whole_and_started_again(production: Production, trader: Api) -> None:
    operation_id = _in_flight(production, trader, "place")
    worker = production.system.worker
    worker.kill()
    waiting = trader.trade(wait_s=None, ttl=120)
    worker.start()
    production.system.wait_ready(worker)
    assert trader.settled(operation_id)["state"] == "succeeded"
    assert trader.settled(waiting.body["id"])["state"] == "succeeded"
    assert _effects(production, trader, "place") == 2


def test_a_broker_that_restarts_while_something_is_under_way(production: Production, trader: Api) -> None:
    with trader.prices() as prices, trader.account_socket() as socket:
        prices.wait_price()
        operation_id = _in_flight(production, trader, "place")
        production.rabbitmq.stop()
        meanwhile = trader.trade(wait_s=None, ttl=120)
        assert meanwhile.status == 202
        production.rabbitmq.start()
        swept = _sweeps(production)
        wait_until(lambda: _sweeps(production) > swept + 1, 30.0, "beat and the worker sweep again")
        assert trader.settled(operation_id)["state"] == "succeeded"
        assert trader.settled(meanwhile.body["id"])["state"] == "succeeded"
        assert _effects(production, trader, "place") == 2
        heard = len(prices.heard)
        prices.wait_price(timeout_s=40.0)
        assert len(prices.heard) > heard
        socket.wait_positions(lambda rows: len(rows) == 2, "both positions", 40.0)


def test_an_answer_that_is_lost_after_execution(production: Production, trader: Api) -> None:
    for fault in ("drop_after", "error_after", "unreadable", "truncated"):
        before = _effects(production, trader, "place")
        production.venue.arm("/trade/place", fault, account_id=trader.account)
        placed = trader.trade(wait_s=None)
        assert trader.settled(placed.body["id"])["state"] == "succeeded", fault
        assert _effects(production, trader, "place") == before + 1, fault


def test_a_stale_order_never_leaves(production: Production, trader: Api) -> None:
    worker = production.system.worker
    worker.kill()
    placed = trader.trade(wait_s=None, ttl=0.5)
    worker.start()
    production.system.wait_ready(worker)
    assert trader.settled(placed.body["id"])["state"] == "expired"
    assert _effects(production, trader, "place") == 0
