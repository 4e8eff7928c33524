"""Each part of the system fails once while browsers watch: prices are back within five seconds of the fault's end, on
the sockets that were open, and what was closed meanwhile is in the books, once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from django.db import connections

from ctrader_app.models import Deal, Position
from tests.support.waiting import wait_until
from tests.system.client import Api, Socket, has_ticket, lacks_ticket
from tests.system.production.conftest import Production

BACK_WITHIN_S = 5.0
"""What is promised of prices."""

BOOKED_WITHIN_S = 20.0

DOWN_S = 3.0


@dataclass(frozen=True)
class Fault:
    """How a part goes, and how it comes back; ``up`` returns when the part itself is there again."""

    down: Callable[[Production], object]
    up: Callable[[Production], object]


def _kill_stream(production: Production) -> None:
    production.system.stream.kill()


def _start_stream(production: Production) -> None:
    production.system.stream.start()
    production.system.wait_ready(production.system.stream)


def _stop_microservice(production: Production) -> None:
    assert production.system.microservice is not None
    production.system.microservice.stop()


def _start_microservice(production: Production) -> None:
    assert production.system.microservice is not None
    production.system.microservice.start()
    production.system.wait_ready(production.system.microservice)


FAULTS = {
    "the broker restarts": Fault(lambda p: p.rabbitmq.stop(), lambda p: p.rabbitmq.start()),
    "the broker is killed": Fault(lambda p: p.rabbitmq.kill(), lambda p: p.rabbitmq.start()),
    "Redis restarts": Fault(lambda p: p.redis.stop(), lambda p: p.redis.start()),
    "Redis is killed": Fault(lambda p: p.redis.kill(), lambda p: p.redis.start()),
    "the database restarts": Fault(lambda p: p.postgres.stop(), lambda p: p.postgres.start()),
    "the database is killed": Fault(lambda p: p.postgres.kill(), lambda p: p.postgres.start()),
    "the microservice restarts": Fault(_stop_microservice, _start_microservice),
    "the stream worker is killed": Fault(_kill_stream, _start_stream),
}


def _seconds_to_price(prices: Socket, ended: datetime) -> float:
    """Until a price that was quoted after the fault had ended."""
    began = time.monotonic()
    while datetime.fromisoformat(prices.wait_price()["time"]) < ended:
        continue
    return time.monotonic() - began


@pytest.mark.usefixtures("gbpusd_stands_still")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_prices_and_books_are_right_again_after(production: Production, trader: Api, fault: Fault) -> None:
    position_id = trader.opened(symbol="GBPUSD", stop_loss=1.28)
    mine = Position.objects.filter(account_id=trader.account_id, position_id=position_id)
    wait_until(mine.filter(is_open=True).exists, BOOKED_WITHIN_S, "the position is in the books")
    with trader.prices() as prices, trader.account_socket() as account:
        prices.wait_price()
        account.wait_positions(has_ticket(position_id), "the position", BOOKED_WITHIN_S)
        fault.down(production)
        try:
            if production.system.microservice is not None and production.system.microservice.running:
                production.venue.hold("GBPUSD", 1.27)
            time.sleep(DOWN_S)
        finally:
            fault.up(production)
            connections.close_all()  # this process's own may be those of a database that is gone
        seconds = _seconds_to_price(prices, datetime.now(UTC))
        production.venue.hold("GBPUSD", 1.27)
        account.wait_positions(lacks_ticket(position_id), "positions without the stopped one", BOOKED_WITHIN_S)
    wait_until(mine.filter(is_open=False, is_settled=True).exists, BOOKED_WITHIN_S, "the stop is in the books")
    exits = Deal.objects.filter(account_id=trader.account_id, position_id=position_id, is_entry=False)
    assert [deal.reason for deal in exits] == ["sl"]
    assert seconds < BACK_WITHIN_S
