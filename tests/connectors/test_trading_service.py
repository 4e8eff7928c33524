"""One door for every platform: registration, and the surface that callers depend on."""

import inspect
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from connectors import factory
from connectors.base import OrderRefusedError, PlatformConnector, RequestRefusedError, UnsupportedOperationError
from connectors.factory import get_connector, register_connector
from connectors.trading_service import TradingService
from tests.connectors.memory_platform import MemoryPlatform


@dataclass
class AnyAccount:
    """Anything with an id and a platform is an account."""

    id: str = "42"
    platform: str = "Memory"


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """The second platform, for the length of a test."""
    before = dict(factory._factories)
    register_connector("memory", MemoryPlatform)
    yield
    factory._factories.clear()
    factory._factories.update(before)


@pytest.fixture
def service() -> TradingService:
    return TradingService(AnyAccount())


def platform_of(service: TradingService) -> MemoryPlatform:
    connector = service.connector
    assert isinstance(connector, MemoryPlatform)
    return connector


def test_a_registered_platform_serves_accounts_of_its_name_in_any_case(service: TradingService) -> None:
    assert service.is_platform_supported()
    assert service.get_platform_name() == "Memory"
    connector: PlatformConnector = get_connector(AnyAccount(platform="MEMORY"))
    assert isinstance(connector, MemoryPlatform)


def test_a_dotted_path_is_resolved_at_first_use() -> None:
    register_connector("lazy", "tests.connectors.memory_platform.MemoryPlatform")
    assert isinstance(get_connector(AnyAccount(platform="lazy")), MemoryPlatform)


def test_ctrader_is_registered_by_the_app() -> None:
    assert factory.is_registered("ctrader")


def test_an_unknown_platform_is_named_with_those_that_exist() -> None:
    service = TradingService(AnyAccount(platform="mt6"))
    assert not service.is_platform_supported()
    with pytest.raises(UnsupportedOperationError, match=r"'mt6'.*memory"):
        service.get_account_info_sync()


def test_writes_wait_and_refusals_raise(service: TradingService) -> None:
    result = service.place_trade_sync("EURUSD", 0.1, "BUY", sl_distance=0.01, idempotency_key="one", label="l")
    assert result == {"opened_position_ticket": 1, "key": "one"}
    request = platform_of(service).last_request
    assert request is not None
    assert (request.lot_size, request.sl_distance, request.label) == (0.1, 0.01, "l")
    assert service.modify_position_protection_sync(1, "EURUSD", stop_loss=1.0) == {"sl": 1.0, "tp": None}
    assert service.cancel_order_sync(7) == {"order_id": "7"}
    assert service.close_position_sync(1, 0.1, "EURUSD") == {"retcode": 10009}
    with pytest.raises(OrderRefusedError) as refused:
        service.close_position_sync("1", None, "EURUSD")
    assert (refused.value.code, refused.value.operation_id) == ("POSITION_NOT_FOUND", "memory-close")


async def test_every_async_twin_does_the_same_and_gives_its_thread_back(service: TradingService) -> None:
    placed = await service.place_trade("EURUSD", 0.1, "BUY")
    assert placed["opened_position_ticket"] == 1
    assert [p.position_id for p in await service.get_open_positions()] == ["1"]
    assert (await service.get_position_details(1)).symbol == "EURUSD"
    with pytest.raises(RequestRefusedError):
        await service.get_position_details("9")
    assert (await service.get_account_info()).currency == "EUR"
    assert (await service.get_live_price("EURUSD"))["bid"] == 1.1
    assert len(await service.get_historical_candles("EURUSD", "M1", 3)) == 3
    assert (await service.close_position("1", None, "EURUSD"))["retcode"] == 10009
    await service.subscribe_candles("EURUSD", "M1")
    assert platform_of(service).subscriptions == {("EURUSD", "M1")}
    await service.connect()
    assert platform_of(service).connected
    assert platform_of(service).releases == 10


def test_submit_returns_a_handle(service: TradingService) -> None:
    handle = service.submit_place_trade("EURUSD", 0.1, "BUY")
    assert (handle.operation_id, handle.state) == ("memory-1", "succeeded")
    assert handle.result == handle.wait()


def test_a_callback_is_taken_and_said_never_to_be_called(
    service: TradingService, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        service.subscribe_price_sync("EURUSD", print)
    assert "not called" in caplog.text
    assert platform_of(service).subscriptions == {("EURUSD", "")}


def test_sync_and_async_twins_exist_with_equal_arguments() -> None:
    twins = [name for name, member in inspect.getmembers(TradingService) if inspect.iscoroutinefunction(member)]
    public = [name for name in twins if not name.startswith("_")]
    assert len(public) == 19
    for name in public:
        twin = getattr(TradingService, f"{name}_sync")
        assert inspect.signature(twin) == inspect.signature(getattr(TradingService, name)), name
