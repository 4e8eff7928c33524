"""Faults on demand: real ones, counted, over real sockets."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from ctrader_app.wire.errors import BadEvent, BadEventReason
from ctrader_app.wire.event_types import PositionClosed, PositionsSnapshot, PriceTick
from ctrader_app.wire.events import parse_event
from tests.microservice.service import ACCOUNT, EventReader, Service
from tests.support.waiting import wait_until


def fresh(action: Callable[[], Any]) -> requests.ConnectionError:
    with pytest.raises(requests.ConnectionError) as caught:
        action()
    return caught.value


def test_dropped_before_nothing_happened(service: Service) -> None:
    service.arm(kind="drop_before", endpoint="/trade/place")
    assert "without response" in str(fresh(lambda: service.place("key", client_order_id="c")))
    assert service.effects(client_order_id="c")["orders"] == 0
    assert service.place("key", client_order_id="c").status_code == 200


def test_dropped_after_it_has_happened_once(service: Service) -> None:
    service.arm(kind="drop_after", endpoint="/trade/place", count=2)
    for _ in range(2):  # the replay is dropped, too
        fresh(lambda: service.place("key", client_order_id="c"))
    assert service.effects(client_order_id="c") == {
        "orders": 1, "pending": 0, "filled": 1, "cancelled": 0, "opens": 1, "closes": 0, "deals": 1, "positions": 1,
        "modifications": 0, "cancellations": 0,
    }  # fmt: skip
    assert service.place("key", client_order_id="c").headers["Idempotency-Replayed"] == "true"


def test_an_error_or_garbage_after_the_effect(service: Service) -> None:
    service.arm(kind="error_after", endpoint="/trade/place")
    assert service.place("a", client_order_id="a").status_code == 500
    service.arm(kind="unreadable", endpoint="/trade/place")
    answer = service.place("b", client_order_id="b")
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    service.arm(kind="truncated", endpoint="/trade/place")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        service.place("c", client_order_id="c")
    for name in "abc":
        assert service.effects(client_order_id=name)["positions"] == 1
        assert service.place(name, client_order_id=name).headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(("kind", "status"), [("429", 429), (503, 503), ("401", 401)])
def test_refused_before_execution(service: Service, kind: str | int, status: int) -> None:
    service.arm(kind=kind, endpoint="/trade/place", retry_after=0.2)
    answer = service.place("key", client_order_id="c")
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == (None if status == 401 else "0.2")
    assert service.effects(client_order_id="c")["orders"] == 0


def test_a_delay_is_long_but_harmless(service: Service) -> None:
    service.arm(kind="delay", endpoint="/price", seconds=0.3)
    began = time.monotonic()
    service.read("/price", symbol="EURUSD")
    assert time.monotonic() - began >= 0.3


def test_a_delayed_order_is_executed_although_the_caller_left(service: Service) -> None:
    service.arm(kind="delay", endpoint="/trade/place", seconds=0.3)
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{service.url}/trade/place",
            json={
                "account_id": ACCOUNT, "symbol": "EURUSD", "direction": "BUY", "volume": 0.1, "client_order_id": "c",
            },
            headers={"Authorization": service.session.headers["Authorization"], "Idempotency-Key": "k"},
            timeout=0.1,
        )  # fmt: skip
    wait_until(lambda: service.effects(client_order_id="c")["opens"] == 1)


def test_count_account_and_endpoint_limit_a_fault(service: Service) -> None:
    service.connect("4712")
    service.arm(kind="503", endpoint="*", count=2, account_id="4712")
    assert service.get("/account-info", account_id=ACCOUNT).status_code == 200
    statuses = [service.get("/account-info", account_id="4712").status_code for _ in range(3)]
    assert statuses == [503, 503, 200]
    (fault,) = service.get("/_faults").json()["armed"]
    assert (fault["hits"], fault["remaining"]) == (2, 0)
    service.arm(kind="503", endpoint="/price", count=None)
    assert service.session.delete(f"{service.url}/_faults", timeout=5).json() == {"cleared": 2}
    assert service.get("/price", account_id=ACCOUNT, symbol="EURUSD").status_code == 200


def test_probability_is_seeded(service: Service) -> None:
    service.arm(kind="503", endpoint="/account-info", count=None, probability=0.5)
    statuses = [service.get("/account-info", account_id=ACCOUNT).status_code for _ in range(60)]
    assert 15 <= statuses.count(503) <= 45


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "explode", "endpoint": "/price"},
        {"kind": "delay"},
        {"kind": "delay", "endpoint": "/price", "event": "price.tick"},
        {"kind": "drop_after", "event": "price.tick"},
        {"kind": "delay", "endpoint": "/nowhere"},
        {"kind": "delay", "endpoint": "/_faults"},
        {"kind": "delay", "event": "price.tock"},
        {"kind": "delay", "endpoint": "/price", "count": 0},
        {"kind": "delay", "endpoint": "/price", "probability": 2},
        {"kind": "delay", "endpoint": "/price", "seconds": 1e9},
        {"endpoint": "/price"},
    ],
)
def test_a_fault_that_cannot_be_is_refused(shared: Service, fault: dict[str, object]) -> None:
    assert shared.post("/_faults", **fault).status_code == 400  # type: ignore[arg-type]
    assert shared.get("/_faults").json() == {"armed": []}


# --- on the event side ------------------------------------------------------------------------------------


def test_an_event_is_doubled(reader: EventReader, service: Service) -> None:
    position = service.open()
    service.arm(kind="duplicate", event="position.closed")
    service.close(position)

    def twice() -> bool:
        closed = [event for event in reader.events() if isinstance(event, PositionClosed)]
        return len(closed) == 2 and closed[0].event_id == closed[1].event_id

    wait_until(twice)


def test_an_event_is_overtaken(reader: EventReader, service: Service) -> None:
    first, second = service.open(), service.open()
    service.arm(kind="reorder", event="position.closed", seconds=30)
    service.close(first)
    service.close(second)

    def order() -> list[str]:
        return [event.position_id for event in reader.events() if isinstance(event, PositionClosed)]

    wait_until(lambda: len(order()) == 2)
    kinds = [event for event in reader.events() if isinstance(event, PositionClosed | PositionsSnapshot)]
    overtaken = next(i for i, e in enumerate(kinds) if isinstance(e, PositionClosed) and e.position_id == first)
    assert any(
        isinstance(event, PositionsSnapshot) and first not in [row.position_id for row in event.book.positions]
        for event in kinds[:overtaken]
    ), "the snapshot without the position came first"


def test_an_event_is_late(reader: EventReader, service: Service) -> None:
    position = service.open()
    service.arm(kind="delay", event="position.closed", seconds=0.4)
    service.close(position)
    reader.wait_for(PositionsSnapshot, lambda event: not event.book.positions)
    assert not any(isinstance(event, PositionClosed) for event in reader.events())
    closed = reader.wait_for(PositionClosed)
    assert closed.position_id == position
    wait_until(lambda: service.get("/healthz").json()["outbox"] == 0)


def test_an_event_is_torn(reader: EventReader, service: Service) -> None:
    service.arm(kind="malformed", event="price.tick")
    service.post("/subscribe/price", account_id=ACCOUNT, symbol="EURUSD")

    def torn() -> list[BadEvent]:
        found = []
        for body in reader.raw():
            try:
                parse_event(body)
            except BadEvent as bad:
                found.append(bad)
        return found

    (bad,) = wait_until(torn)
    assert bad.reason is BadEventReason.NOT_JSON
    service.bid(1.2)
    wait_until(lambda: any(b'"price.tick"' in body and parses(body, PriceTick) for body in reader.raw()))


def parses(body: bytes, kind: type[object]) -> bool:
    try:
        return isinstance(parse_event(body), kind)
    except BadEvent:
        return False
