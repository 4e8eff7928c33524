"""A second platform, in memory: what the API needs of any platform, and a way to make it fail."""

from dataclasses import dataclass, field

from connectors.base import AccountInfo, Mt5Dict, Number, OperationHandle, PositionInfo, TradeRequest
from connectors.errors import ConnectorError, OrderRefusedError, RequestRefusedError, WaitTimeoutError


@dataclass
class FakeHandle:
    """A write whose outcome is said in advance."""

    operation_id: str
    state: str = "queued"
    result: Mt5Dict | None = None
    settles_as: str = "succeeded"
    waited_s: list[float | None] = field(default_factory=list)

    def wait(self, timeout: float | None = None) -> Mt5Dict:
        self.waited_s.append(timeout)
        if self.settles_as == "queued":
            raise WaitTimeoutError("no outcome yet", operation_id=self.operation_id)
        self.state = self.settles_as
        if self.settles_as != "succeeded":
            raise OrderRefusedError("NO_MONEY: not enough", operation_id=self.operation_id, code="NO_MONEY")
        self.result = {"message": "Order filled", "order_id": 7, "operation_id": self.operation_id}
        return self.result

    async def wait_async(self, timeout: float | None = None) -> Mt5Dict:
        return self.wait(timeout)


@dataclass
class FakePlatform:
    """Remembers what it was asked; ``error`` is raised by whatever is called next."""

    error: Exception | None = None
    settles_as: str = "succeeded"
    operation_id: str = "fake-1"
    calls: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    handles: list[FakeHandle] = field(default_factory=list)

    def _called(self, name: str, **arguments: object) -> None:
        self.calls.append((name, arguments))
        if self.error is not None:
            raise self.error

    def _handle(self, name: str, **arguments: object) -> OperationHandle:
        self._called(name, **arguments)
        handle = FakeHandle(self.operation_id, settles_as=self.settles_as)
        self.handles.append(handle)
        return handle

    @property
    def last(self) -> dict[str, object]:
        """The arguments of the last call."""
        return self.calls[-1][1]

    def connect(self) -> None:
        self._called("connect")

    def disconnect(self) -> None:
        self._called("disconnect")

    def release(self) -> None:
        """Nothing is held."""

    def assert_can_wait(self) -> None:
        """It always can."""

    def submit_place(
        self, request: TradeRequest, *, idempotency_key: str | None, ttl_s: float | None
    ) -> OperationHandle:
        return self._handle("place", request=request, key=idempotency_key, ttl_s=ttl_s)

    def submit_close(
        self, position_id: str, volume: Number | None, symbol: str, *, idempotency_key: str | None
    ) -> OperationHandle:
        return self._handle("close", position_id=position_id, volume=volume, symbol=symbol, key=idempotency_key)

    def submit_modify(
        self,
        position_id: str,
        symbol: str,
        stop_loss: Number | None,
        take_profit: Number | None,
        *,
        idempotency_key: str | None,
    ) -> OperationHandle:
        return self._handle(
            "modify", position_id=position_id, stop_loss=stop_loss, take_profit=take_profit, key=idempotency_key
        )

    def submit_cancel(self, order_id: str, *, idempotency_key: str | None) -> OperationHandle:
        return self._handle("cancel", order_id=order_id, key=idempotency_key)

    def get_account_info(self) -> AccountInfo:
        self._called("account_info")
        return AccountInfo(1000.0, 1001.5, 10.0, 991.5, 10015.0, "USD")

    def get_open_positions(self) -> list[PositionInfo]:
        self._called("positions")
        return [
            PositionInfo(
                position_id="11",
                symbol="EURUSD",
                direction="BUY",
                volume=0.1,
                open_price=1.1,
                current_price=1.2,
                stop_loss=None,
                take_profit=1.3,
                profit=1.5,
                swap=0.0,
                commission=-0.35,
            )
        ]

    def get_position_details(self, position_id: str) -> PositionInfo:
        raise RequestRefusedError("not open", code="POSITION_NOT_FOUND")

    def get_pending_orders(self) -> list[Mt5Dict]:
        self._called("orders")
        return [{"ticket": 5, "symbol": "EURUSD", "type": "pending_order"}]

    def get_raw_open_positions(self) -> Mt5Dict:
        return {"open_positions": []}

    def fetch_trade_sync_data(self, position_id: str, symbol: str) -> Mt5Dict:
        return {}

    def get_live_price(self, symbol: str) -> Mt5Dict:
        self._called("price", symbol=symbol)
        return {"symbol": symbol, "bid": 1.1, "ask": 1.2, "timestamp": "2026-01-01T00:00:00Z"}

    def get_symbol_info(self, symbol: str) -> Mt5Dict:
        self._called("symbol", symbol=symbol)
        return {"symbol": symbol, "digits": 5}

    def get_historical_candles(
        self, symbol: str, timeframe: str, count: int | None, start_time: object, end_time: object
    ) -> list[Mt5Dict]:
        self._called("candles", symbol=symbol, timeframe=timeframe, count=count)
        return [{"symbol": symbol, "timeframe": timeframe, "open": 1.0}]

    def subscribe_price(self, symbol: str) -> None:
        raise ConnectorError("not here")

    def unsubscribe_price(self, symbol: str) -> None:
        raise ConnectorError("not here")

    def subscribe_candles(self, symbol: str, timeframe: str) -> None:
        raise ConnectorError("not here")

    def unsubscribe_candles(self, symbol: str, timeframe: str) -> None:
        raise ConnectorError("not here")
