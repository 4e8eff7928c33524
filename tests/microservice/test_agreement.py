"""Both ends of the wire agree: every answer is read by the caller's own parsers, every body is the caller's own."""

import uuid
from decimal import Decimal

import requests

from ctrader_app.domain.facts import (
    AccountFigures,
    Cancelled,
    Closed,
    Direction,
    OpenBook,
    OrderType,
    Placed,
    Protected,
    SymbolFact,
    SyncFact,
)
from ctrader_app.wire import answers
from ctrader_app.wire.endpoints import Endpoint
from ctrader_app.wire.requests import CancelBody, CloseBody, ModifyProtectionBody, PlaceBody, WriteBody, encode
from tests.microservice.service import ACCOUNT, Service

D = Decimal
ENDPOINTS = {
    PlaceBody: Endpoint.PLACE,
    CloseBody: Endpoint.CLOSE,
    ModifyProtectionBody: Endpoint.MODIFY_PROTECTION,
    CancelBody: Endpoint.CANCEL_ORDER,
}


def send(service: Service, body: WriteBody) -> requests.Response:
    return service.session.post(
        service.url + ENDPOINTS[type(body)].path,
        data=encode(body),
        headers={"Idempotency-Key": str(uuid.uuid4())},
        timeout=5,
    )


def order(**changes: object) -> PlaceBody:
    values: dict[str, object] = {
        "account_id": ACCOUNT,
        "symbol": "EURUSD",
        "direction": Direction.BUY,
        "volume": D("0.30"),
        "order_type": OrderType.MARKET,
        "client_order_id": "c-1",
        **changes,
    }
    return PlaceBody(**values)  # type: ignore[arg-type]


def test_writes(service: Service) -> None:
    service.bid(1.1)
    sent = order(sl_distance=D("0.01"), label="L", comment="C")
    placed = answers.parse_write(send(service, sent).content, sent)
    assert isinstance(placed, Placed)
    assert (placed.status.value, placed.price, placed.volume_lots) == ("filled", D("1.10008"), D("0.3"))
    assert placed.position_id is not None
    ids = {"account_id": ACCOUNT, "position_id": placed.position_id, "symbol": "EURUSD"}
    levels = ModifyProtectionBody(**ids, stop_loss=D("1.05"), take_profit=None)
    protected = answers.parse_write(send(service, levels).content, levels)
    assert protected == Protected(placed.position_id, D("1.05"), None)
    part = CloseBody(**ids, volume=D("0.1"), client_order_id="c-2")
    closed = answers.parse_write(send(service, part).content, part)
    assert isinstance(closed, Closed)
    assert (closed.closed_lots, closed.remaining_lots, closed.close_price) == (D("0.1"), D("0.2"), D("1.1"))
    waiting = order(order_type=OrderType.LIMIT, limit_price=D("1.0"))
    pending = answers.parse_write(send(service, waiting).content, waiting)
    assert isinstance(pending, Placed)
    assert pending.status.value == "pending"
    back = CancelBody(account_id=ACCOUNT, order_id=pending.order_id)
    cancelled = answers.parse_write(send(service, back).content, back)
    assert isinstance(cancelled, Cancelled)
    assert cancelled.status.value == "cancelled"
    at_once = order(order_type=OrderType.LIMIT, limit_price=D("1.0"), time_in_force="IOC")
    rejection = answers.parse_write(send(service, at_once).content, at_once)
    assert isinstance(rejection, answers.BrokerRejection)
    assert rejection.code == "ORDER_NOT_FILLED"
    refused = answers.parse_error(send(service, order(volume=D("0.015"))).content)
    assert refused.code == "TRADING_BAD_VOLUME"


def test_reads(service: Service) -> None:
    service.bid(1.1)
    position = service.open(client_order_id="c-1", stop_loss=1.0)
    service.place(order_type="STOP", stop_price=1.2)

    def get(endpoint: Endpoint, **query: object) -> bytes:
        answer = service.get(endpoint.path, account_id=ACCOUNT, **query)
        assert answer.status_code == 200, answer.text
        return answer.content

    figures = answers.parse_account(get(Endpoint.ACCOUNT_INFO))
    assert isinstance(figures, AccountFigures)
    assert (figures.balance, figures.currency) == (D("10000"), "USD")
    book = answers.parse_book(get(Endpoint.OPEN_POSITIONS))
    assert isinstance(book, OpenBook)
    assert [(row.position_id, row.client_order_id, row.stop_loss) for row in book.positions] == [
        (position, "c-1", D("1.0"))
    ]
    assert book.orders is not None
    assert [row.price for row in book.orders] == [D("1.2")]
    assert not isinstance(answers.parse_price(get(Endpoint.PRICE, symbol="EURUSD"), "EURUSD"), answers.BrokerRejection)
    bars = answers.parse_candles(get(Endpoint.CANDLES, symbol="EURUSD", timeframe="M1", count=10))
    assert isinstance(bars, tuple)
    assert len(bars) == 10
    assert isinstance(answers.parse_symbol(get(Endpoint.SYMBOL_INFO, symbol="XAUUSD"), "XAUUSD"), SymbolFact)
    service.close(position)
    story = answers.parse_sync(get(Endpoint.SYNC_DATA, position_id=position, symbol="EURUSD"), position, "EURUSD")
    assert isinstance(story, SyncFact)
    assert (story.is_closed, story.remaining_lots, len(story.deals)) == (True, D(0), 2)
    assert [deal.is_entry for deal in story.deals] == [True, False]
