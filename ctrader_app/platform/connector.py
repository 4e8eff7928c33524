"""The cTrader platform behind :class:`connectors.trading_service.TradingService`."""

import uuid
from datetime import datetime
from functools import cached_property

from django.core.exceptions import ValidationError
from django.db import connections

from connectors.base import Account, AccountInfo, Mt5Dict, Number, PositionInfo, TradeRequest
from connectors.errors import InvalidRequestError, RequestRefusedError, UnsupportedOperationError
from ctrader_app.connector import AccountRef, CTraderClient
from ctrader_app.domain import mt5
from ctrader_app.domain.doubt import position_of
from ctrader_app.domain.intents import CancelIntent, CloseIntent, Intent, ModifyIntent, PlaceIntent
from ctrader_app.domain.numbers import to_decimal
from ctrader_app.models import TradingAccount
from ctrader_app.operations import gateway, subscriptions
from ctrader_app.platform.handle import CTraderHandle, assert_can_wait
from ctrader_app.platform.loops import outside_loop
from ctrader_app.tasks import queue
from ctrader_app.wire.errors import UnreadableAnswer
from ctrader_app.wire.times import read_time

SERVICE_HOLDER = "trading-service"
"""The holder of the leases that TradingService takes: one per stream, whatever process asked for it."""

SERVICE_LEASE_S = 24 * 3600.0
"""A caller of subscribe_* has no heartbeat to renew a lease with, so its interest lasts a day or until it ends it."""

MAX_TTL_S = 86_400.0
MAX_CANDLES = 5000
"""One page of cTrader history (Open API)."""


class CTraderPlatform:
    """A :class:`connectors.base.PlatformConnector` for one account. Cheap to make; connections are shared."""

    def __init__(self, account: Account) -> None:
        self._given = account

    @cached_property
    def _account(self) -> TradingAccount:
        if isinstance(self._given, TradingAccount):
            return self._given
        try:
            return TradingAccount.objects.get(pk=uuid.UUID(str(self._given.id)))
        except (TradingAccount.DoesNotExist, ValueError, ValidationError):
            raise UnsupportedOperationError(f"no cTrader account has the id {self._given.id!r}") from None

    @property
    def _client(self) -> CTraderClient:
        return gateway.client()

    @property
    def _ref(self) -> AccountRef:
        return gateway.ref_of(self._account)

    def connect(self) -> None:
        """Open the account's session at the microservice."""
        self._client.connect(self._ref)

    def disconnect(self) -> None:
        """Close it; the account's streams stop."""
        self._client.disconnect(self._ref)

    def release(self) -> None:
        """Close this thread's database connections."""
        connections.close_all()

    def assert_can_wait(self) -> None:
        """Raise TransactionOpenError inside an open transaction."""
        assert_can_wait()

    # -- writes ------------------------------------------------------------------------------------------------

    def submit_place(self, request: TradeRequest, *, idempotency_key: str | None, ttl_s: float | None) -> CTraderHandle:
        """Record an order."""
        ttl = None if ttl_s is None else float(to_decimal(ttl_s, "ttl"))
        if ttl is not None and not 0 < ttl <= MAX_TTL_S:
            raise InvalidRequestError(f"ttl must be above 0 and at most {MAX_TTL_S:g} seconds, got {ttl_s}")
        return self._submit(PlaceIntent.of_request(request), idempotency_key, ttl)

    def submit_close(
        self, position_id: str, volume: Number | None, symbol: str, *, idempotency_key: str | None
    ) -> CTraderHandle:
        """Record a close."""
        return self._submit(CloseIntent.of_arguments(position_id, symbol, volume), idempotency_key)

    def submit_modify(
        self,
        position_id: str,
        symbol: str,
        stop_loss: Number | None,
        take_profit: Number | None,
        *,
        idempotency_key: str | None,
    ) -> CTraderHandle:
        """Record new protection levels."""
        return self._submit(ModifyIntent.of_arguments(position_id, symbol, stop_loss, take_profit), idempotency_key)

    def submit_cancel(self, order_id: str, *, idempotency_key: str | None) -> CTraderHandle:
        """Record a cancellation."""
        return self._submit(CancelIntent.of_arguments(order_id), idempotency_key)

    def _submit(self, intent: Intent, key: str | None, ttl_s: float | None = None) -> CTraderHandle:
        return CTraderHandle(outside_loop(lambda: queue.submit(self._account, intent, key=key, ttl_s=ttl_s)))

    # -- reads -------------------------------------------------------------------------------------------------

    def get_account_info(self) -> AccountInfo:
        """The account's figures."""
        return mt5.account_info(self._client.account_info(self._ref))

    def get_open_positions(self) -> list[PositionInfo]:
        """The open positions."""
        return [mt5.position_info(position) for position in self._client.open_book(self._ref).positions]

    def get_position_details(self, position_id: str) -> PositionInfo:
        """One open position. Raises RequestRefusedError when it is not open."""
        position = position_of(self._client.open_book(self._ref), position_id)
        if position is None:
            raise RequestRefusedError(f"position {position_id} is not open", code="POSITION_NOT_FOUND")
        return mt5.position_info(position)

    def get_pending_orders(self) -> list[Mt5Dict]:
        """The working orders. Raises UnsupportedOperationError where the service does not list them."""
        orders = self._client.open_book(self._ref).orders
        if orders is None:
            raise UnsupportedOperationError("the cTrader service does not list pending orders")
        return [mt5.pending_order_row(order) for order in orders]

    def get_raw_open_positions(self) -> Mt5Dict:
        """Positions and working orders as MT5 rows."""
        return {"open_positions": mt5.open_positions_rows(self._client.open_book(self._ref))}

    def fetch_trade_sync_data(self, position_id: str, symbol: str) -> Mt5Dict:
        """The life of one position."""
        return mt5.sync_dict(self._client.sync_data(self._ref, position_id, symbol))

    def get_live_price(self, symbol: str) -> Mt5Dict:
        """The last quote."""
        return mt5.price_dict(self._client.price(self._ref, symbol))

    def get_symbol_info(self, symbol: str) -> Mt5Dict:
        """How a symbol trades."""
        return mt5.symbol_dict(self._client.symbol_info(self._ref, symbol))

    def get_historical_candles(
        self, symbol: str, timeframe: str, count: int | None, start_time: object, end_time: object
    ) -> list[Mt5Dict]:
        """Bars, oldest first. Raises InvalidRequestError for a count out of 1..5000 or unreadable times."""
        start, end = _moment(start_time, "start_time"), _moment(end_time, "end_time")
        if count is None and start is None:
            raise InvalidRequestError("give count, or start_time and end_time")
        if count is not None and (isinstance(count, bool) or not 1 <= count <= MAX_CANDLES):
            raise InvalidRequestError(f"count must be between 1 and {MAX_CANDLES}, got {count}")
        candles = self._client.candles(self._ref, symbol, timeframe, count=count, start=start, end=end)
        return [mt5.candle_dict(symbol, timeframe, candle) for candle in candles]

    # -- streams -----------------------------------------------------------------------------------------------

    def subscribe_price(self, symbol: str) -> None:
        """Hold a lease on the symbol's ticks for a day, or until unsubscribed."""
        subscriptions.acquire(self._account.pk, symbol, "", SERVICE_HOLDER, SERVICE_LEASE_S)

    def unsubscribe_price(self, symbol: str) -> None:
        """Give the lease up."""
        subscriptions.release(self._account.pk, symbol, "", SERVICE_HOLDER)

    def subscribe_candles(self, symbol: str, timeframe: str) -> None:
        """Hold a lease on bars for a day, or until unsubscribed."""
        subscriptions.acquire(self._account.pk, symbol, timeframe, SERVICE_HOLDER, SERVICE_LEASE_S)

    def unsubscribe_candles(self, symbol: str, timeframe: str) -> None:
        """Give the lease up."""
        subscriptions.release(self._account.pk, symbol, timeframe, SERVICE_HOLDER)


def _moment(value: object, name: str) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    try:
        return read_time(value, name)
    except UnreadableAnswer:
        raise InvalidRequestError(f"{name} must be a datetime, ISO-8601 text or epoch seconds") from None
