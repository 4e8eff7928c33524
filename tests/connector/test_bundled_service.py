"""The connector against the bundled microservice: every call, and the dialogue after a lost session."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from connectors.errors import AuthenticationError, RequestRefusedError
from ctrader_app.connector import AccountRef, ConnectorConfig, CTraderClient
from ctrader_app.domain.facts import Cancelled, CancelStatus, Closed, Placed, PlaceStatus, Protected, WriteAnswer
from ctrader_app.domain.operations import Kind
from ctrader_app.domain.outcomes import Confirmed, Refused
from microservice.server import BundledMicroservice
from microservice.settings import Settings

SECRET = "a-secret-of-this-test"
SYMBOL = "EURUSD"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BundledMicroservice]:
    state = tmp_path_factory.mktemp("service") / "state.sqlite3"
    running = BundledMicroservice(_settings(state))
    running.start()
    yield running
    running.stop()


def _settings(state: Path) -> Settings:
    return Settings(
        secret=SECRET, amqp_url="memory://", port=0, state=state, speed=0.0, events_exchange=f"test.{uuid4()}"
    )


@pytest.fixture
def client(service: BundledMicroservice) -> Iterator[CTraderClient]:
    with CTraderClient(ConnectorConfig(service.base_url, "", SECRET)) as running:
        yield running


@pytest.fixture
def ref() -> AccountRef:
    """An account that the service has not met: the first call is answered 401, so the client connects it."""
    return AccountRef(str(uuid4().int % 10**9 + 1), str(uuid4()))


def confirmed(client: CTraderClient, ref: AccountRef, kind: Kind, **body: object) -> WriteAnswer:
    outcome = client.write(ref, kind, body, str(uuid4()))
    assert isinstance(outcome, Confirmed), outcome
    return outcome.answer


def market(volume: str = "0.10") -> dict[str, object]:
    return {
        "symbol": SYMBOL,
        "direction": "BUY",
        "volume": volume,
        "order_type": "MARKET",
        "client_order_id": str(uuid4()),
    }


def test_a_trades_whole_life(client: CTraderClient, ref: AccountRef) -> None:
    placed = confirmed(client, ref, Kind.PLACE, **market())
    assert isinstance(placed, Placed)
    assert placed.status is PlaceStatus.FILLED
    assert placed.position_id
    position = {"position_id": placed.position_id, "symbol": SYMBOL}

    (row,) = client.open_book(ref).positions
    assert (row.position_id, row.client_order_id) == (placed.position_id, placed.client_order_id)

    stop = str(row.open_price - 1)
    protected = confirmed(client, ref, Kind.MODIFY, **position, stop_loss=stop, take_profit=None)
    assert protected == Protected(row.position_id, row.open_price - 1, None)

    for volume, left in (("0.04", "0.06"), ("0.06", "0")):
        closed = confirmed(client, ref, Kind.CLOSE, **position, volume=volume, client_order_id=str(uuid4()))
        assert isinstance(closed, Closed)
        assert str(closed.remaining_lots.normalize()) == left

    sync = client.sync_data(ref, row.position_id, SYMBOL)
    assert sync.is_closed
    assert [deal.is_entry for deal in sync.deals] == [True, False, False]
    assert sync.final_profit is not None
    assert client.open_book(ref).positions == ()


def test_a_pending_order(client: CTraderClient, ref: AccountRef) -> None:
    price = client.price(ref, SYMBOL)
    limit = str(client.symbol_info(ref, SYMBOL).tick_size * 1000)
    order = {**market(), "order_type": "LIMIT", "limit_price": limit}
    placed = confirmed(client, ref, Kind.PLACE, **order)
    assert isinstance(placed, Placed)
    assert placed.status is PlaceStatus.PENDING
    assert price.bid < price.ask

    orders = client.open_book(ref).orders
    assert orders is not None
    assert [each.order_id for each in orders] == [placed.order_id]
    cancelled = confirmed(client, ref, Kind.CANCEL, order_id=placed.order_id)
    assert cancelled == Cancelled(placed.order_id, CancelStatus.CANCELLED)
    assert client.open_book(ref).orders == ()


def test_a_key_used_again_brings_the_same_answer(client: CTraderClient, ref: AccountRef) -> None:
    key, body = str(uuid4()), market()
    first = client.write(ref, Kind.PLACE, body, key)
    assert isinstance(first, Confirmed)
    assert client.write(ref, Kind.PLACE, body, key) == first
    assert len(client.open_book(ref).positions) == 1


def test_refusals(client: CTraderClient, ref: AccountRef) -> None:
    for body in ({**market(), "symbol": "NOSUCH"}, market("0.015"), market("-1")):
        outcome = client.write(ref, Kind.PLACE, body, str(uuid4()))
        assert isinstance(outcome, Refused), outcome
        assert outcome.code
    with pytest.raises(RequestRefusedError):
        client.price(ref, "NOSUCH")


def test_reads_and_streams(client: CTraderClient, ref: AccountRef) -> None:
    assert client.healthy()
    assert client.connect(ref)
    assert client.account_info(ref).margin_level is None
    bars = client.candles(ref, SYMBOL, "M1", count=10)
    assert len(bars) == 10
    assert [bar.time_s for bar in bars] == sorted(bar.time_s for bar in bars)
    client.subscribe_price(ref, SYMBOL)
    client.unsubscribe_price(ref, SYMBOL)
    client.subscribe_candles(ref, SYMBOL, "M1")
    client.unsubscribe_candles(ref, SYMBOL, "M1")
    client.disconnect(ref)


def test_a_wrong_secret_is_an_authentication_failure(service: BundledMicroservice, ref: AccountRef) -> None:
    with CTraderClient(ConnectorConfig(service.base_url, "", "wrong")) as stranger:
        with pytest.raises(AuthenticationError):
            stranger.account_info(ref)
        assert isinstance(stranger.write(ref, Kind.PLACE, market(), str(uuid4())), Refused)
