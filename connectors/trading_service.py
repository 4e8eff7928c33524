"""The one door callers use: every platform behind the same calls.

Each call exists twice, ``name`` (async) and ``name_sync``; each write exists a third time as ``submit_name``,
which returns a handle as soon as the intent is recorded. Names, arguments and result shapes are those that
MT5 callers already use.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import cached_property
from typing import ParamSpec, TypeVar

from connectors.base import (
    Account,
    AccountInfo,
    Mt5Dict,
    Number,
    OperationHandle,
    PlatformConnector,
    PositionInfo,
    StreamCallback,
    TradeRequest,
)
from connectors.factory import get_connector, is_registered

logger = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _note_callback(callback: StreamCallback | None) -> None:
    if callback is not None:
        logger.warning("stream callbacks are not called: join the Channels group of the subscription instead")


class TradingService:
    """Trade and read one account, whatever its platform.

    ``account`` is anything with ``.id`` and ``.platform``. A write without ``idempotency_key`` is a fresh intent;
    with one, the same key and parameters give back the same operation, however often it is called.
    """

    def __init__(self, account: Account) -> None:
        self.account = account

    @cached_property
    def connector(self) -> PlatformConnector:
        """The platform's connector; raises UnsupportedOperationError for an unknown platform."""
        return get_connector(self.account)

    def get_platform_name(self) -> str:
        """The account's platform, as the account names it."""
        return self.account.platform

    def is_platform_supported(self) -> bool:
        """Whether a connector is registered for the account's platform."""
        return is_registered(self.account.platform)

    async def _in_thread(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        connector = await asyncio.to_thread(lambda: self.connector)

        def run() -> _T:
            try:
                return call(*args, **kwargs)
            finally:
                connector.release()

        return await asyncio.to_thread(run)

    # -- session ---------------------------------------------------------------------------------------------

    def connect_sync(self) -> None:
        """Open the account's session on its platform; harmless when it is open."""
        self.connector.connect()

    async def connect(self) -> None:
        """Async twin of :meth:`connect_sync`."""
        await self._in_thread(self.connect_sync)

    def disconnect_sync(self) -> None:
        """Close the account's session on its platform; its streams stop."""
        self.connector.disconnect()

    async def disconnect(self) -> None:
        """Async twin of :meth:`disconnect_sync`."""
        await self._in_thread(self.disconnect_sync)

    # -- place -----------------------------------------------------------------------------------------------

    def submit_place_trade(
        self,
        symbol: str,
        lot_size: Number,
        direction: str,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        order_type: str = "MARKET",
        limit_price: Number | None = None,
        sl_distance: Number | None = None,
        tp_distance: Number | None = None,
        *,
        idempotency_key: str | None = None,
        label: str = "",
        comment: str = "",
        ttl: float | None = None,
    ) -> OperationHandle:
        """Record the order and return its handle; it leaves when the caller's transaction commits.

        ``ttl`` in seconds: an order older than this is never sent (None: ``CTRADER_ORDER_TTL_SECONDS``).
        Raises InvalidRequestError for a wrong argument, IdempotencyKeyReusedError for a key that names another
        intent.
        """
        request = TradeRequest(
            symbol=symbol,
            lot_size=lot_size,
            direction=direction,
            stop_loss=stop_loss,
            take_profit=take_profit,
            order_type=order_type,
            limit_price=limit_price,
            sl_distance=sl_distance,
            tp_distance=tp_distance,
            label=label,
            comment=comment,
        )
        return self.connector.submit_place(request, idempotency_key=idempotency_key, ttl_s=ttl)

    def place_trade_sync(
        self,
        symbol: str,
        lot_size: Number,
        direction: str,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        order_type: str = "MARKET",
        limit_price: Number | None = None,
        sl_distance: Number | None = None,
        tp_distance: Number | None = None,
        *,
        idempotency_key: str | None = None,
        label: str = "",
        comment: str = "",
        ttl: float | None = None,
    ) -> Mt5Dict:
        """Place an order and wait for its outcome.

        Returns the MT5-shaped dict: message, order_id, deal_id, volume (lots), symbol, direction, price, status
        (filled or pending), opened_position_ticket, position_info, operation_id, client_order_id. Raises a
        :class:`connectors.errors.WriteError` otherwise.
        """
        self.connector.assert_can_wait()
        return self.submit_place_trade(
            symbol,
            lot_size,
            direction,
            stop_loss,
            take_profit,
            order_type,
            limit_price,
            sl_distance,
            tp_distance,
            idempotency_key=idempotency_key,
            label=label,
            comment=comment,
            ttl=ttl,
        ).wait()

    async def place_trade(
        self,
        symbol: str,
        lot_size: Number,
        direction: str,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        order_type: str = "MARKET",
        limit_price: Number | None = None,
        sl_distance: Number | None = None,
        tp_distance: Number | None = None,
        *,
        idempotency_key: str | None = None,
        label: str = "",
        comment: str = "",
        ttl: float | None = None,
    ) -> Mt5Dict:
        """Async twin of :meth:`place_trade_sync`."""
        handle = await self._in_thread(
            self.submit_place_trade,
            symbol,
            lot_size,
            direction,
            stop_loss,
            take_profit,
            order_type,
            limit_price,
            sl_distance,
            tp_distance,
            idempotency_key=idempotency_key,
            label=label,
            comment=comment,
            ttl=ttl,
        )
        return await handle.wait_async()

    # -- close -----------------------------------------------------------------------------------------------

    def submit_close_position(
        self,
        position_id: str | int,
        volume: Number | None,
        symbol: str,
        *,
        idempotency_key: str | None = None,
    ) -> OperationHandle:
        """Record a close of ``volume`` lots (None: all that is open) and return its handle."""
        return self.connector.submit_close(str(position_id), volume, symbol, idempotency_key=idempotency_key)

    def close_position_sync(
        self,
        position_id: str | int,
        volume: Number | None,
        symbol: str,
        *,
        idempotency_key: str | None = None,
    ) -> Mt5Dict:
        """Close and wait: message, close_price, order_id, deal_id, retcode 10009, comment."""
        self.connector.assert_can_wait()
        return self.submit_close_position(position_id, volume, symbol, idempotency_key=idempotency_key).wait()

    async def close_position(
        self,
        position_id: str | int,
        volume: Number | None,
        symbol: str,
        *,
        idempotency_key: str | None = None,
    ) -> Mt5Dict:
        """Async twin of :meth:`close_position_sync`."""
        handle = await self._in_thread(
            self.submit_close_position, position_id, volume, symbol, idempotency_key=idempotency_key
        )
        return await handle.wait_async()

    # -- modify ----------------------------------------------------------------------------------------------

    def submit_modify_position_protection(
        self,
        position_id: str | int,
        symbol: str,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> OperationHandle:
        """Record new protection levels and return the handle. None keeps a level, 0 removes it."""
        return self.connector.submit_modify(
            str(position_id), symbol, stop_loss, take_profit, idempotency_key=idempotency_key
        )

    def modify_position_protection_sync(
        self,
        position_id: str | int,
        symbol: str,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Mt5Dict:
        """Modify and wait: message, order_id, request_id, retcode, comment."""
        self.connector.assert_can_wait()
        return self.submit_modify_position_protection(
            position_id, symbol, stop_loss, take_profit, idempotency_key=idempotency_key
        ).wait()

    async def modify_position_protection(
        self,
        position_id: str | int,
        symbol: str,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Mt5Dict:
        """Async twin of :meth:`modify_position_protection_sync`."""
        handle = await self._in_thread(
            self.submit_modify_position_protection,
            position_id,
            symbol,
            stop_loss,
            take_profit,
            idempotency_key=idempotency_key,
        )
        return await handle.wait_async()

    # -- cancel ----------------------------------------------------------------------------------------------

    def submit_cancel_order(self, order_id: str | int, *, idempotency_key: str | None = None) -> OperationHandle:
        """Record the cancellation of a pending order and return its handle."""
        return self.connector.submit_cancel(str(order_id), idempotency_key=idempotency_key)

    def cancel_order_sync(self, order_id: str | int, *, idempotency_key: str | None = None) -> Mt5Dict:
        """Cancel and wait: message, order_id, retcode, comment. An order that filled meanwhile is a refusal."""
        self.connector.assert_can_wait()
        return self.submit_cancel_order(order_id, idempotency_key=idempotency_key).wait()

    async def cancel_order(self, order_id: str | int, *, idempotency_key: str | None = None) -> Mt5Dict:
        """Async twin of :meth:`cancel_order_sync`."""
        handle = await self._in_thread(self.submit_cancel_order, order_id, idempotency_key=idempotency_key)
        return await handle.wait_async()

    # -- reads -----------------------------------------------------------------------------------------------

    def fetch_trade_sync_data_sync(self, position_id: str | int, symbol: str) -> Mt5Dict:
        """All that the platform knows of one position's life: deals, what is left of it, its final figures."""
        return self.connector.fetch_trade_sync_data(str(position_id), symbol)

    async def fetch_trade_sync_data(self, position_id: str | int, symbol: str) -> Mt5Dict:
        """Async twin of :meth:`fetch_trade_sync_data_sync`."""
        return await self._in_thread(self.fetch_trade_sync_data_sync, position_id, symbol)

    def get_account_info_sync(self) -> AccountInfo:
        """The account's figures, read now."""
        return self.connector.get_account_info()

    async def get_account_info(self) -> AccountInfo:
        """Async twin of :meth:`get_account_info_sync`."""
        return await self._in_thread(self.get_account_info_sync)

    def get_open_positions_sync(self) -> list[PositionInfo]:
        """The open positions, read now. An empty list means that there are none, never that the read failed."""
        return self.connector.get_open_positions()

    async def get_open_positions(self) -> list[PositionInfo]:
        """Async twin of :meth:`get_open_positions_sync`."""
        return await self._in_thread(self.get_open_positions_sync)

    def get_raw_open_positions_sync(self) -> Mt5Dict:
        """``{"open_positions": [...]}`` with MT5 rows; pending orders are rows with type "pending_order"."""
        return self.connector.get_raw_open_positions()

    async def get_raw_open_positions(self) -> Mt5Dict:
        """Async twin of :meth:`get_raw_open_positions_sync`."""
        return await self._in_thread(self.get_raw_open_positions_sync)

    def get_position_details_sync(self, position_id: str | int) -> PositionInfo:
        """One open position. Raises RequestRefusedError when it is not open."""
        return self.connector.get_position_details(str(position_id))

    async def get_position_details(self, position_id: str | int) -> PositionInfo:
        """Async twin of :meth:`get_position_details_sync`."""
        return await self._in_thread(self.get_position_details_sync, position_id)

    def get_pending_orders_sync(self) -> list[Mt5Dict]:
        """The working orders, read now."""
        return self.connector.get_pending_orders()

    async def get_pending_orders(self) -> list[Mt5Dict]:
        """Async twin of :meth:`get_pending_orders_sync`."""
        return await self._in_thread(self.get_pending_orders_sync)

    def get_live_price_sync(self, symbol: str) -> Mt5Dict:
        """``{symbol, bid, ask, timestamp}``, the timestamp ISO-8601 UTC and the venue's own."""
        return self.connector.get_live_price(symbol)

    async def get_live_price(self, symbol: str) -> Mt5Dict:
        """Async twin of :meth:`get_live_price_sync`."""
        return await self._in_thread(self.get_live_price_sync, symbol)

    def get_symbol_info_sync(self, symbol: str) -> Mt5Dict:
        """``{symbol, digits, tick_size, pip_size, contract_size, lot_step, min_lot, max_lot}``."""
        return self.connector.get_symbol_info(symbol)

    async def get_symbol_info(self, symbol: str) -> Mt5Dict:
        """Async twin of :meth:`get_symbol_info_sync`."""
        return await self._in_thread(self.get_symbol_info_sync, symbol)

    def get_historical_candles_sync(
        self,
        symbol: str,
        timeframe: str,
        count: int | None = None,
        start_time: object = None,
        end_time: object = None,
    ) -> list[Mt5Dict]:
        """Bars, oldest first: the last ``count``, or those between two times (datetime, ISO-8601 or epoch s)."""
        return self.connector.get_historical_candles(symbol, timeframe, count, start_time, end_time)

    async def get_historical_candles(
        self,
        symbol: str,
        timeframe: str,
        count: int | None = None,
        start_time: object = None,
        end_time: object = None,
    ) -> list[Mt5Dict]:
        """Async twin of :meth:`get_historical_candles_sync`."""
        return await self._in_thread(self.get_historical_candles_sync, symbol, timeframe, count, start_time, end_time)

    # -- streams ---------------------------------------------------------------------------------------------
    # ``callback`` is part of the calls that MT5 hosts make, so it is taken; prices fan out through Channels groups
    # to every process, which a callback in this one could not replace: it is never called, and that is logged.

    def subscribe_price_sync(self, symbol: str, callback: StreamCallback | None = None) -> None:
        """Ask for the symbol's ticks; they arrive in its Channels group."""
        _note_callback(callback)
        self.connector.subscribe_price(symbol)

    async def subscribe_price(self, symbol: str, callback: StreamCallback | None = None) -> None:
        """Async twin of :meth:`subscribe_price_sync`."""
        await self._in_thread(self.subscribe_price_sync, symbol, callback)

    def unsubscribe_price_sync(self, symbol: str, callback: StreamCallback | None = None) -> None:
        """Give up this service's interest in the symbol's ticks; other holders keep theirs."""
        _note_callback(callback)
        self.connector.unsubscribe_price(symbol)

    async def unsubscribe_price(self, symbol: str, callback: StreamCallback | None = None) -> None:
        """Async twin of :meth:`unsubscribe_price_sync`."""
        await self._in_thread(self.unsubscribe_price_sync, symbol, callback)

    def subscribe_candles_sync(self, symbol: str, timeframe: str, callback: StreamCallback | None = None) -> None:
        """Ask for the symbol's bars of one timeframe; they arrive in their Channels group."""
        _note_callback(callback)
        self.connector.subscribe_candles(symbol, timeframe)

    async def subscribe_candles(self, symbol: str, timeframe: str, callback: StreamCallback | None = None) -> None:
        """Async twin of :meth:`subscribe_candles_sync`."""
        await self._in_thread(self.subscribe_candles_sync, symbol, timeframe, callback)

    def unsubscribe_candles_sync(self, symbol: str, timeframe: str, callback: StreamCallback | None = None) -> None:
        """Give up this service's interest in these bars; other holders keep theirs."""
        _note_callback(callback)
        self.connector.unsubscribe_candles(symbol, timeframe)

    async def unsubscribe_candles(self, symbol: str, timeframe: str, callback: StreamCallback | None = None) -> None:
        """Async twin of :meth:`unsubscribe_candles_sync`."""
        await self._in_thread(self.unsubscribe_candles_sync, symbol, timeframe, callback)
