"""The service's endpoints as calls."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar

from connectors.errors import RequestRefusedError
from ctrader_app.connector.config import AccountRef, ConnectorConfig
from ctrader_app.connector.reads import Reader
from ctrader_app.connector.transport import Transport
from ctrader_app.connector.writes import Writer
from ctrader_app.domain.facts import AccountFigures, CandleFact, OpenBook, OrderTrace, PriceFact, SymbolFact, SyncFact
from ctrader_app.domain.operations import Kind
from ctrader_app.domain.outcomes import Outcome
from ctrader_app.wire import answers, requests
from ctrader_app.wire.answers import BrokerRejection
from ctrader_app.wire.endpoints import Endpoint

T = TypeVar("T")


class CTraderClient:
    """Calls of one service, for any number of accounts and threads.

    Everything but :meth:`write` and :meth:`healthy` raises RequestRefusedError (the service's code kept),
    AuthenticationError, or ConnectionError once the attempts of ``retry`` are used up; no read ever answers with
    something empty that was not said. ``pause`` is how it waits between attempts.
    """

    def __init__(self, config: ConnectorConfig, pause: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._transport = Transport(config)
        self._reader = Reader(config, self._transport, pause)
        self._writer = Writer(config, self._transport, self._reader)

    def close(self) -> None:
        """Close the pooled connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- reads -----------------------------------------------------------------------------------------------

    def account_info(self, ref: AccountRef) -> AccountFigures:
        """The account's figures."""
        return self._get(ref, Endpoint.ACCOUNT_INFO, {}, answers.parse_account)

    def open_book(self, ref: AccountRef) -> OpenBook:
        """Open positions and working orders; orders are None when the service did not speak of them."""
        return self._get(ref, Endpoint.OPEN_POSITIONS, {}, answers.parse_book)

    def symbol_info(self, ref: AccountRef, symbol: str) -> SymbolFact:
        """How a symbol trades."""
        query = {"symbol": symbol}
        return self._get(ref, Endpoint.SYMBOL_INFO, query, lambda data: answers.parse_symbol(data, symbol))

    def price(self, ref: AccountRef, symbol: str) -> PriceFact:
        """The present quote."""
        query = {"symbol": symbol}
        return self._get(ref, Endpoint.PRICE, query, lambda data: answers.parse_price(data, symbol))

    def candles(
        self,
        ref: AccountRef,
        symbol: str,
        timeframe: str,
        count: int | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> tuple[CandleFact, ...]:
        """Bars, oldest first: the last ``count``, or those between two aware times."""
        query = {"symbol": symbol, "timeframe": timeframe}
        if count is not None:
            query["count"] = str(count)
        if start is not None:
            query["start"] = _iso(start)
        if end is not None:
            query["end"] = _iso(end)
        return self._get(ref, Endpoint.CANDLES, query, answers.parse_candles)

    def sync_data(self, ref: AccountRef, position_id: str, symbol: str) -> SyncFact:
        """All that the service knows of one position's life."""
        query = {"position_id": position_id, "symbol": symbol}
        return self._get(ref, Endpoint.SYNC_DATA, query, lambda data: answers.parse_sync(data, position_id, symbol))

    def order_history(self, ref: AccountRef, client_order_id: str) -> tuple[OrderTrace, ...] | None:
        """Every order, finished ones too, under a client order id; None when the service keeps no such history."""
        query = {"client_order_id": client_order_id}
        try:
            return self._get(ref, Endpoint.ORDERS, query, lambda data: answers.parse_orders(data, client_order_id))
        except RequestRefusedError:
            return None

    # -- sessions and streams: they may be repeated, so they are asked for like reads ------------------------

    def connect(self, ref: AccountRef) -> str:
        """Open, or renew, the account's session; returns its id, "" when the service names none."""
        return self._reader.connect(ref)

    def disconnect(self, ref: AccountRef) -> None:
        """Close the account's session; its streams stop."""
        self._post(ref, Endpoint.DISCONNECT, requests.AccountBody(account_id=ref.wire_id))

    def subscribe_price(self, ref: AccountRef, symbol: str) -> None:
        """Start the production of a symbol's ticks."""
        self._post(ref, Endpoint.SUBSCRIBE_PRICE, requests.SymbolBody(account_id=ref.wire_id, symbol=symbol))

    def unsubscribe_price(self, ref: AccountRef, symbol: str) -> None:
        """Stop the production of a symbol's ticks."""
        self._post(ref, Endpoint.UNSUBSCRIBE_PRICE, requests.SymbolBody(account_id=ref.wire_id, symbol=symbol))

    def subscribe_candles(self, ref: AccountRef, symbol: str, timeframe: str) -> None:
        """Start the production of a symbol's bars."""
        body = requests.CandlesBody(account_id=ref.wire_id, symbol=symbol, timeframe=timeframe)
        self._post(ref, Endpoint.SUBSCRIBE_CANDLES, body)

    def unsubscribe_candles(self, ref: AccountRef, symbol: str, timeframe: str) -> None:
        """Stop the production of a symbol's bars."""
        body = requests.CandlesBody(account_id=ref.wire_id, symbol=symbol, timeframe=timeframe)
        self._post(ref, Endpoint.UNSUBSCRIBE_CANDLES, body)

    def healthy(self, within_s: float = 2.0) -> bool:
        """Whether the service answers at all: one request for /healthz; a service without it says 404, and lives."""
        try:
            answer = self._transport.send("GET", self._config.url("/healthz"), within_s=within_s)
        except Exception:  # noqa: BLE001 - asked by health pages: whatever is wrong, the answer is no
            return False
        return answer.status < HTTPStatus.INTERNAL_SERVER_ERROR

    # -- writes ----------------------------------------------------------------------------------------------

    def write(self, ref: AccountRef, kind: Kind, body: Mapping[str, object], idempotency_key: str) -> Outcome:
        """Send one write and tell what is proven. Never raises for anything that a service or a network does.

        ``body`` is in stored form (``wire.requests.to_stored``). After a 401 or 403 the session is opened again and
        the write repeated once under the same key; a second one is Refused as AUTHENTICATION_FAILED.
        """
        return self._writer.write(ref, kind, body, idempotency_key)

    def _get(
        self,
        ref: AccountRef,
        endpoint: Endpoint,
        fields: dict[str, str],
        parse: Callable[[bytes], T | BrokerRejection],
    ) -> T:
        return self._reader.ask(ref, endpoint, parse, query={"account_id": ref.wire_id, **fields})

    def _post(self, ref: AccountRef, endpoint: Endpoint, body: requests.Body) -> None:
        self._reader.ask(ref, endpoint, answers.parse_done, body=requests.encode(body))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
