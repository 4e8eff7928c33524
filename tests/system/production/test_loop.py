"""The loop on RabbitMQ, Redis and PostgreSQL: trades, sockets, results, and whose they are."""

import json
import sys

import pytest
import requests
from django_celery_results.models import TaskResult

from ctrader_app.models import Deal, Operation, Position
from tests.support.processes import ManagedProcess
from tests.support.waiting import wait_until
from tests.system.client import Api, Socket, has_ticket, lacks_ticket, new_key, socket_url
from tests.system.production.conftest import Production

TASKS = {"place": "ctrader.place", "close": "ctrader.close", "modify": "ctrader.modify", "cancel": "ctrader.cancel"}


def test_every_part_says_that_it_is_ready(production: Production) -> None:
    ready = requests.get(f"{production.system.web_url}/readyz", timeout=10)
    assert ready.status_code == 200, ready.text
    checks = {name: (check["status"], check["detail"]) for name, check in ready.json()["checks"].items()}
    assert set(checks) == {"database", "broker", "layer", "microservice", "stream", "prices"}
    assert checks["database"] == ("ok", "postgresql")
    assert {status for status, _ in checks.values()} == {"ok"}


def test_the_loop_from_an_order_to_the_browser(trader: Api) -> None:
    with trader.account_socket() as socket, trader.prices() as prices:
        seen = {prices.wait_price()["bid"]}
        while len(seen) < 2:
            seen.add(prices.wait_price()["bid"])
        prices.say(type="subscribe", timeframe="M1")
        prices.wait_for(lambda frame: frame["type"] == "new_candle", "bar")

        placed = trader.trade(wait_s=None)
        assert placed.status == 202
        done = socket.wait_operation(placed.body["id"], "succeeded")
        position_id = str(done["result"]["opened_position_ticket"])
        socket.wait_positions(has_ticket(position_id), "the new position")
        level = round(trader.bid() - 0.01, 5)
        assert trader.protect(position_id, stop_loss=level).status == 200
        socket.wait_positions(lambda rows: [row["sl"] for row in rows] == [level], "the new level")
        closed = trader.close(position_id)
        assert closed.status == 200
        socket.wait_positions(lacks_ticket(position_id), "the position's end")

    row = Position.objects.get(account_id=trader.account_id, position_id=position_id)
    wait_until(lambda: Position.objects.filter(pk=row.pk, is_open=False, is_settled=True).exists(), 20.0)
    assert Deal.objects.filter(account_id=trader.account_id, position_id=position_id).count() == 2
    assert [deal["entry"] for deal in trader.get("{}/deals")] == [1, 0]


def test_the_five_flows_through_trading_service_in_a_process_of_its_own(production: Production, trader: Api) -> None:
    caller = ManagedProcess(
        "caller",
        [sys.executable, "-m", "tests.system.caller", trader.account],
        log_path=production.system.folder / "caller.log",
        env=production.system.env,
    )
    with caller:
        told = json.loads(caller.wait_for_log(r"told (.*)\n", 60.0)[1])
        assert caller.wait_for_exit(20.0) == 0
    placed, life = told["placed"], told["life"]
    position_id = placed["opened_position_ticket"]
    assert (placed["status"], placed["volume"], placed["direction"]) == ("filled", 0.3, "BUY")
    assert placed["position_info"]["sl"] == pytest.approx(placed["price"] - 0.02)
    assert told["modified"]["retcode"] == 10009
    assert told["open_levels"] == pytest.approx([told["level"], placed["price"] + 0.03])
    assert (told["open_life"]["is_closed_on_platform"], told["open_life"]["final_profit"]) == (False, None)
    assert (told["part"]["retcode"], told["rest"]["retcode"]) == (10009, 10009)
    assert life["is_closed_on_platform"] is True
    assert [(deal["entry"], deal["volume"]) for deal in life["deals"]] == [(0, 0.3), (1, 0.1), (1, 0.2)]
    assert {deal["position_id"] for deal in life["deals"]} == {position_id}
    assert life["final_profit"] is not None
    assert (told["pending"]["status"], told["pending"]["opened_position_ticket"]) == ("pending", None)
    assert told["cancelled"]["order_id"] == told["pending"]["order_id"]
    assert told["refused"]["code"]
    assert trader.operation(told["refused"]["operation_id"])["state"] == "refused"
    effects = production.venue.effects(account_id=trader.account)
    assert (effects["orders"], effects["opens"], effects["closes"], effects["cancellations"]) == (2, 1, 2, 1)


def test_every_flow_leaves_its_task_result_under_the_operations_id(trader: Api) -> None:
    position_id = trader.opened()
    trader.protect(position_id, take_profit=round(trader.bid() + 0.01, 5))
    trader.close(position_id)
    order = trader.trade(order_type="LIMIT", limit_price=round(trader.bid() - 0.01, 5))
    trader.cancel(str(order.body["result"]["order_id"]))
    operations = list(Operation.objects.filter(account_id=trader.account_id).order_by("sequence"))
    assert [each.kind for each in operations] == ["place", "modify", "close", "place", "cancel"]
    for operation in operations:
        wait_until(TaskResult.objects.filter(task_id=str(operation.pk), status="SUCCESS").exists, 10.0, operation.kind)
        result = TaskResult.objects.get(task_id=str(operation.pk))
        assert result.task_name == TASKS[operation.kind]
        assert json.loads(result.result) == operation.state == "succeeded"
        assert operation.task_id == result.task_id
    wait_until(TaskResult.objects.filter(task_name="ctrader.sync", status="SUCCESS").exists, 20.0, "a reconciliation")


def test_two_callers_with_one_key_trade_once(production: Production, trader: Api) -> None:
    key = new_key()
    first, second = trader.trade(key=key, wait_s=None), trader.trade(key=key)
    assert (first.body["id"], second.status) == (second.body["id"], 200)
    other = trader.trade(key=key, volume=0.2)
    assert (other.status, other.error_code) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert production.venue.effects(account_id=trader.account)["orders"] == 1


def test_refusals_carry_a_code_and_nothing_is_sent_twice(production: Production, trader: Api) -> None:
    price = round(trader.bid("GBPUSD") - 0.02, 5)
    order = trader.trade(symbol="GBPUSD", order_type="LIMIT", limit_price=price)
    production.venue.move("GBPUSD", price - 0.001)
    refusals = [
        trader.trade(symbol="NOSUCHSYMBOL"),
        trader.trade(volume="0.015"),
        trader.trade(stop_loss=9.9),
        trader.close("987654321"),
        trader.cancel(str(order.body["result"]["order_id"])),
    ]
    assert [(reply.status, reply.body["state"]) for reply in refusals] == [(422, "refused")] * len(refusals)
    assert [bool(reply.error_code and reply.body["error"]["message"]) for reply in refusals] == [True] * len(refusals)
    assert [reply.body["attempts"] <= 1 for reply in refusals] == [True] * len(refusals)
    assert refusals[-1].error_code == "ORDER_FILLED"
    effects = production.venue.effects(account_id=trader.account)
    assert (effects["orders"], effects["opens"], effects["closes"]) == (1, 1, 0)


def test_strangers_see_nothing(production: Production, trader: Api) -> None:
    stranger = production.new_trader()
    trespasser = Api(trader.root, stranger.token, trader.account)
    assert trespasser.trade().status == 404
    with trespasser.account_socket() as socket:
        assert socket.close_code() == 4003
    with trespasser.prices() as socket:
        assert socket.close_code() == 4003
    nobody = Api(trader.root, "", trader.account)
    assert nobody.trade().status == 401
    with Socket(socket_url(trader.root, f"accounts/{trader.account}/")) as socket:
        assert socket.close_code() == 4001
    assert trader.positions() == {}
