"""A second platform, all in memory: what a host with its own connector would register."""

from dataclasses import dataclass, field

from connectors.base import (
    Account,
    AccountInfo,
    Mt5Dict,
    Number,
    OperationHandle,
    OrderRefusedError,
    PositionInfo,
    RequestRefusedError,
    TradeRequest,
)


@dataclass
class DoneHandle:
    """The handle of a write that had its outcome at once."""

    operation_id: str
    outcome: Mt5Dict | OrderRefusedError

    @property
    def state(self) -> str:
        return "succeeded" if isinstance(self.outcome, dict) else "refused"

    @property
    def result(self) -> Mt5Dict | None:
        return self.outcome if isinstance(self.outcome, dict) else None

    def wait(self, timeout: float | None = None) -> Mt5Dict:
        if isinstance(self.outcome, OrderRefusedError):
            raise self.outcome
        return self.outcome

    async def wait_async(self, timeout: float | None = None) -> Mt5Dict:
        return self.wait(timeout)


@dataclass
class MemoryPlatform:
    """Fills every order at 1.1 and refuses what it does not know."""

    account: Account
    positions: dict[str, PositionInfo] = field(default_factory=dict)
    connected: bool = False
    releases: int = 0
    subscriptions: set[tuple[str, str]] = field(default_factory=set)
    last_request: TradeRequest | None = None

    def connect(self) -> None:
        self.connected = True

    def disconnect(self) -> None:
        self.connected = False

    def release(self) -> None:
        self.releases += 1

    def assert_can_wait(self) -> None:
        pass

    def submit_place(
        self, request: TradeRequest, *, idempotency_key: str | None, ttl_s: float | None
    ) -> OperationHandle:
        self.last_request = request
        ticket = str(len(self.positions) + 1)
        volume = float(request.lot_size)
        self.positions[ticket] = PositionInfo(
            ticket, request.symbol, request.direction, volume, 1.1, 1.1, None, None, 0.0, 0.0, 0.0
        )
        return DoneHandle(f"memory-{ticket}", {"opened_position_ticket": int(ticket), "key": idempotency_key})

    def submit_close(
        self, position_id: str, volume: Number | None, symbol: str, *, idempotency_key: str | None
    ) -> OperationHandle:
        if self.positions.pop(position_id, None) is None:
            refusal = OrderRefusedError("no such position", operation_id="memory-close", code="POSITION_NOT_FOUND")
            return DoneHandle("memory-close", refusal)
        return DoneHandle("memory-close", {"retcode": 10009})

    def submit_modify(
        self,
        position_id: str,
        symbol: str,
        stop_loss: Number | None,
        take_profit: Number | None,
        *,
        idempotency_key: str | None,
    ) -> OperationHandle:
        return DoneHandle("memory-modify", {"sl": stop_loss, "tp": take_profit})

    def submit_cancel(self, order_id: str, *, idempotency_key: str | None) -> OperationHandle:
        return DoneHandle("memory-cancel", {"order_id": order_id})

    def get_account_info(self) -> AccountInfo:
        return AccountInfo(1000.0, 1000.0, 0.0, 1000.0, None, "EUR")

    def get_open_positions(self) -> list[PositionInfo]:
        return list(self.positions.values())

    def get_position_details(self, position_id: str) -> PositionInfo:
        try:
            return self.positions[position_id]
        except KeyError:
            raise RequestRefusedError("not open", code="POSITION_NOT_FOUND") from None

    def get_pending_orders(self) -> list[Mt5Dict]:
        return []

    def get_raw_open_positions(self) -> Mt5Dict:
        return {"open_positions": [{"ticket": ticket} for ticket in self.positions]}

    def fetch_trade_sync_data(self, position_id: str, symbol: str) -> Mt5Dict:
        return {"is_closed_on_platform": position_id not in self.positions}

    def get_live_price(self, symbol: str) -> Mt5Dict:
        return {"symbol": symbol, "bid": 1.1, "ask": 1.2}

    def get_symbol_info(self, symbol: str) -> Mt5Dict:
        return {"symbol": symbol, "digits": 5}

    def get_historical_candles(
        self, symbol: str, timeframe: str, count: int | None, start_time: object, end_time: object
    ) -> list[Mt5Dict]:
        return [{"symbol": symbol, "timeframe": timeframe}] * (count or 1)

    def subscribe_price(self, symbol: str) -> None:
        self.subscriptions.add((symbol, ""))

    def unsubscribe_price(self, symbol: str) -> None:
        self.subscriptions.discard((symbol, ""))

    def subscribe_candles(self, symbol: str, timeframe: str) -> None:
        self.subscriptions.add((symbol, timeframe))

    def unsubscribe_candles(self, symbol: str, timeframe: str) -> None:
        self.subscriptions.discard((symbol, timeframe))
