"""TradingService over cTrader, from the caller to the venue and back, through a Celery worker."""

import asyncio
import threading
import time
from typing import Any

import pytest
from celery import shared_task
from django.db import connections, transaction
from pytest_django import Settings

from connectors.base import ConnectionError as PlatformConnectionError
from connectors.base import (
    IdempotencyKeyReusedError,
    InvalidRequestError,
    OperationExpiredError,
    OrderRefusedError,
    RequestRefusedError,
    TransactionOpenError,
    UnsupportedOperationError,
    WaitTimeoutError,
)
from connectors.trading_service import TradingService
from ctrader_app.ledger.signals import operation_finished
from ctrader_app.models import Operation, TradingAccount
from ctrader_app.operations.sweep import sweep
from ctrader_app.platform import drive
from ctrader_app.tasks.queue import enqueue
from tests.support.operations import Venue
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.usefixtures("celery_thread", "venue")]


@pytest.fixture
def service(account: TradingAccount) -> TradingService:
    return TradingService(account)


def test_a_trade_s_life(service: TradingService, venue: Venue) -> None:
    placed = service.place_trade_sync("EURUSD", 0.3, "BUY", stop_loss=0.9, take_profit=1.5, comment="hello")
    ticket = placed["opened_position_ticket"]
    assert service.get_position_details_sync(ticket).stop_loss == 0.9
    moved = service.modify_position_protection_sync(ticket, "EURUSD", stop_loss=0.95)
    assert moved["retcode"] == 10009
    position = service.get_position_details_sync(ticket)
    assert (position.stop_loss, position.take_profit, position.volume) == (0.95, 1.5, 0.3)
    assert service.close_position_sync(ticket, 0.1, "EURUSD")["retcode"] == 10009
    closed = service.close_position_sync(ticket, None, "EURUSD")
    assert closed["close_price"]
    with pytest.raises(RequestRefusedError) as gone:
        service.get_position_details_sync(ticket)
    assert gone.value.code == "POSITION_NOT_FOUND"
    life = service.fetch_trade_sync_data_sync(ticket, "EURUSD")
    assert life["is_closed_on_platform"] is True
    assert [deal["entry"] for deal in life["deals"]] == [0, 1, 1]
    assert life["final_profit"] is not None


def test_reads_have_their_documented_shapes(service: TradingService) -> None:
    service.place_trade_sync("USDJPY", 0.1, "SELL")
    service.place_trade_sync("EURUSD", 0.1, "BUY", order_type="LIMIT", limit_price=0.5)
    assert service.get_account_info_sync().currency == "USD"
    assert [position.direction for position in service.get_open_positions_sync()] == ["SELL"]
    rows = service.get_raw_open_positions_sync()["open_positions"]
    assert [row["type"] for row in rows] == [1, "pending_order"]
    assert [row["price_open"] for row in service.get_pending_orders_sync()] == [0.5]
    price = service.get_live_price_sync("EURUSD")
    assert price.keys() == {"symbol", "bid", "ask", "timestamp"}
    assert price["bid"] < price["ask"]
    assert service.get_symbol_info_sync("XAUUSD")["digits"] == 2
    candles = service.get_historical_candles_sync("EURUSD", "M5", 10)
    assert len(candles) == 10
    assert [bar["time"] for bar in candles] == sorted(bar["time"] for bar in candles)
    assert candles[0].keys() >= {"symbol", "timeframe", "open", "high", "low", "close", "volume", "timestamp"}


def test_refusals_are_typed_and_carry_the_operation(service: TradingService) -> None:
    with pytest.raises(OrderRefusedError) as refused:
        service.place_trade_sync("NOSUCH", 0.1, "BUY")
    assert refused.value.code == "UNKNOWN_SYMBOL"
    assert Operation.objects.get(pk=refused.value.operation_id).state == "refused"


def test_a_wrong_argument_leaves_no_trace(service: TradingService) -> None:
    for call in (
        lambda: service.place_trade_sync("EURUSD", -1, "BUY"),
        lambda: service.place_trade_sync("EURUSD", 0.1, "BUY", ttl=0),
        lambda: service.place_trade_sync("EURUSD", 0.1, "BUY", idempotency_key=""),
        lambda: service.get_historical_candles_sync("EURUSD", "M1", 0),
        lambda: service.get_historical_candles_sync("EURUSD", "M1", start_time="yesterday"),
    ):
        with pytest.raises(InvalidRequestError):
            call()
    assert not Operation.objects.exists()


def test_one_key_is_one_order_and_another_intent_is_an_error(service: TradingService, venue: Venue) -> None:
    first = service.place_trade_sync("EURUSD", 0.1, "BUY", idempotency_key="k")
    assert service.place_trade_sync("EURUSD", "0.10", "BUY", idempotency_key="k") == first
    with pytest.raises(IdempotencyKeyReusedError):
        service.place_trade_sync("EURUSD", 0.2, "BUY", idempotency_key="k")
    assert venue.effects(client_order_id=first["client_order_id"])["orders"] == 1
    assert Operation.objects.count() == 1


def test_inside_a_transaction_a_wait_is_refused_and_a_submit_leaves_with_the_commit(service: TradingService) -> None:
    with transaction.atomic():
        with pytest.raises(TransactionOpenError):
            service.place_trade_sync("EURUSD", 0.1, "BUY")
        handle = service.submit_place_trade("EURUSD", 0.1, "BUY")
        assert handle.state == "queued"
    assert handle.wait()["status"] == "filled"
    assert handle.state == "succeeded"


def test_a_rolled_back_submit_sends_nothing(service: TradingService, venue: Venue) -> None:
    @transaction.atomic
    def caller() -> None:
        service.submit_place_trade("EURUSD", 0.1, "BUY")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        caller()
    assert not Operation.objects.exists()
    service.place_trade_sync("EURUSD", 0.1, "BUY")
    account_id = str(service.account.id)
    assert venue.effects(account_id=account_id)["orders"] == 1


async def _trade_concurrently(service: TradingService, number: int) -> list[dict[str, Any]]:
    placed = await asyncio.gather(*(service.place_trade("EURUSD", 0.01, "BUY") for _ in range(number)))
    assert (await service.get_account_info()).margin > 0
    return list(placed)


def test_async_callers_wait_side_by_side(service: TradingService) -> None:
    placed = asyncio.run(_trade_concurrently(service, 10))
    assert len({result["opened_position_ticket"] for result in placed}) == 10


def test_an_async_caller_may_submit_and_look(service: TradingService) -> None:
    async def trade() -> None:
        handle = service.submit_place_trade("EURUSD", 0.1, "BUY")
        assert (await handle.wait_async())["status"] == "filled"
        assert handle.state == "succeeded"
        assert handle.result is not None
        with pytest.raises(InvalidRequestError):
            service.submit_place_trade("EURUSD", 0, "BUY")

    asyncio.run(trade())


def test_threads_share_one_watcher(service: TradingService) -> None:
    results: list[dict[str, Any]] = []

    def trade() -> None:
        try:
            results.append(service.place_trade_sync("EURUSD", 0.01, "BUY"))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=trade) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 6


def test_what_fails_after_the_commit_is_not_the_caller_s(
    service: TradingService, account: TradingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intent is on record: a caller who saw an error would ask for the trade a second time."""

    def fail() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("ctrader_app.tasks.queue.publisher.background", fail)
    handle = service.submit_place_trade("EURUSD", 0.1, "BUY")
    with transaction.atomic():
        service.submit_place_trade("EURUSD", 0.1, "BUY")
    assert handle.state == "queued"
    assert Operation.objects.filter(account=account).count() == 2


@shared_task(name="tests.trade_inside_a_task")
def trade_inside_a_task(account_id: str) -> int:
    """A host's task that trades."""
    service = TradingService(TradingAccount.objects.get(pk=account_id))
    placed = service.place_trade_sync("EURUSD", 0.1, "BUY")
    service.close_position_sync(placed["opened_position_ticket"], None, "EURUSD")
    return int(placed["opened_position_ticket"])


@shared_task(name="tests.trade_inside_an_async_task")
def trade_inside_an_async_task(account_id: str) -> int:
    """A host's task that trades with the asynchronous calls."""
    service = TradingService(TradingAccount(id=account_id))
    return int(asyncio.run(service.place_trade("EURUSD", 0.1, "BUY"))["opened_position_ticket"])


def test_inside_a_task_the_asynchronous_calls_wait_for_no_other_task(account: TradingAccount, venue: Venue) -> None:
    for _ in range(8):
        trade_inside_an_async_task.delay(str(account.pk))
    wait_until(
        lambda: Operation.objects.filter(account=account, state="succeeded").count() == 8, 30, "8 trades inside tasks"
    )
    assert venue.effects(account_id=str(account.pk))["opens"] == 8


def test_where_no_worker_can_take_it_the_waiter_does_the_work(
    service: TradingService, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell beside the embedded system: its in-memory broker is its own."""
    monkeypatch.setattr(drive, "_is_served", False)
    monkeypatch.setattr("ctrader_app.tasks.queue.publisher.background", type("Dead", (), {"hand_over": id}))
    assert service.place_trade_sync("EURUSD", 0.1, "BUY")["status"] == "filled"
    assert asyncio.run(service.place_trade("EURUSD", 0.1, "BUY"))["status"] == "filled"


def test_inside_a_task_the_task_does_the_work_itself(account: TradingAccount, venue: Venue) -> None:
    """More such tasks than the pool has threads: none waits for another."""
    for _ in range(8):
        trade_inside_a_task.delay(str(account.pk))
    wait_until(
        lambda: Operation.objects.filter(account=account, state="succeeded").count() == 16,
        30,
        "8 trades opened and closed inside tasks",
    )
    effects = venue.effects(account_id=str(account.pk))
    assert (effects["opens"], effects["closes"]) == (8, 8)


def test_no_outcome_in_time_carries_the_operation(service: TradingService, venue: Venue) -> None:
    service.place_trade_sync("EURUSD", 0.1, "BUY")
    venue.arm("/trade/place", "delay", seconds=0.5)
    handle = service.submit_place_trade("EURUSD", 0.1, "BUY")
    with pytest.raises(WaitTimeoutError) as late:
        handle.wait(0.05)
    assert late.value.operation_id == handle.operation_id
    assert handle.wait()["status"] == "filled"


def test_a_read_that_fails_raises(service: TradingService, settings: Settings) -> None:
    settings.CTRADER_API_BASE_URL = "http://127.0.0.1:9"
    for read in (service.get_open_positions_sync, service.get_account_info_sync, service.get_pending_orders_sync):
        with pytest.raises(PlatformConnectionError):
            read()


def test_an_unreachable_venue_expires_the_order(service: TradingService, settings: Settings) -> None:
    settings.CTRADER_API_BASE_URL = "http://127.0.0.1:9"
    started = time.monotonic()
    with pytest.raises(OperationExpiredError):
        service.place_trade_sync("EURUSD", 0.1, "BUY", ttl=0.6)
    assert time.monotonic() - started < 10


def test_an_account_is_anything_with_an_id_of_ours(account: TradingAccount) -> None:
    class Mine:
        id = str(account.pk)
        platform = "cTrader"

    assert TradingService(Mine()).get_account_info_sync().currency == "USD"
    Mine.id = "not-an-id"
    with pytest.raises(UnsupportedOperationError):
        TradingService(Mine()).get_account_info_sync()


def test_a_host_hears_of_finished_operations(service: TradingService) -> None:
    heard: list[str] = []

    def listener(operation: Operation, **_: object) -> None:
        heard.append(str(operation.pk))
        raise RuntimeError("a receiver that fails hinders nobody")

    operation_finished.connect(listener)
    try:
        placed = service.place_trade_sync("EURUSD", 0.1, "BUY")
        wait_until(lambda: heard == [placed["operation_id"]], 5, "the signal")
    finally:
        operation_finished.disconnect(listener)


def test_a_lost_message_is_published_again_by_the_sweep(
    service: TradingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctrader_app.tasks.queue.publisher.background", type("Dead", (), {"hand_over": id}))
    handle = service.submit_place_trade("EURUSD", 0.1, "BUY", ttl=60)
    monkeypatch.undo()
    Operation.objects.update(updated_at="2020-01-01T00:00:00Z")
    swept = sweep()
    assert [str(step.operation_id) for step in swept.follow_ups] == [handle.operation_id]
    for step in swept.follow_ups:
        enqueue(step)
    assert handle.wait()["status"] == "filled"
