"""Events: what is published, when, and that nothing of the state is lost."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from ctrader_app.wire.event_types import AccountInfoChanged, CandleUpdate, PositionClosed, PositionsSnapshot, PriceTick
from microservice.database import Database
from microservice.events import EventFactory, EventType
from microservice.settings import Routing
from microservice.venue.model import Identity
from tests.microservice.conftest import Start
from tests.microservice.paper import Paper
from tests.microservice.service import ACCOUNT, INTERNAL, EventReader, Service
from tests.support.ports import free_port
from tests.support.waiting import wait_until


def test_the_envelope_carries_every_name_of_the_account(reader: EventReader, service: Service) -> None:
    service.open(client_order_id="c")
    snapshot = reader.wait_for(PositionsSnapshot, lambda event: bool(event.book.positions))
    assert snapshot.book.positions[0].client_order_id == "c"
    assert snapshot.account_ref == INTERNAL
    envelope = json.loads(next(body for body in reader.raw() if b"positions.snapshot" in body))
    assert {name: envelope[name] for name in ("event_version", "source", "platform", "type", "account_id")} == {
        "event_version": 1, "source": "ctrader", "platform": "cTrader", "type": "positions.snapshot",
        "account_id": ACCOUNT,
    }  # fmt: skip
    assert (envelope["broker_login"], envelope["internal_account_id"]) == (ACCOUNT, INTERNAL)
    assert set(reader.keys) == {"positions.snapshot", "account.info"}


def test_an_account_without_a_login_goes_by_its_uuid(reader: EventReader, service: Service) -> None:
    service.connect(INTERNAL)
    wait_until(lambda: any(json.loads(body)["account_id"] == INTERNAL for body in reader.raw()))
    envelope = next(e for e in map(json.loads, reader.raw()) if e["account_id"] == INTERNAL)
    assert envelope["broker_login"] is None


def test_every_change_is_followed_by_both_snapshots(reader: EventReader, service: Service) -> None:
    service.bid(1.1)
    placed = service.place(order_type="LIMIT", limit_price=1.0).json()
    reader.wait_for(PositionsSnapshot, lambda event: bool(event.book.orders))
    service.post("/order/cancel", "k1", account_id=ACCOUNT, order_id=placed["order_id"])
    position = service.open()
    reader.wait_for(PositionsSnapshot, lambda event: bool(event.book.positions) and not event.book.orders)
    reader.wait_for(AccountInfoChanged, lambda event: event.figures.margin > 0)
    service.close(position, 0.05)
    reader.wait_for(PositionsSnapshot, lambda event: [float(row.volume_lots) for row in event.book.positions] == [0.05])
    assert not any(isinstance(event, PositionClosed) for event in reader.events()), "a partial close is no closure"
    service.close(position, 0.05)
    closed = reader.wait_for(PositionClosed)
    assert (closed.position_id, float(closed.volume_lots), float(closed.close_price)) == (position, 0.1, 1.1)
    reader.wait_for(AccountInfoChanged, lambda event: event.figures.margin == 0 and event.figures.balance < 10_000)


def test_a_stop_loss_announces_the_closure(reader: EventReader, service: Service) -> None:
    service.bid(1.1)
    position = service.open(stop_loss=1.09)
    service.bid(1.089)
    closed = reader.wait_for(PositionClosed)
    assert closed.position_id == position
    body = next(body for body in reader.raw() if b"position.closed" in body)
    assert json.loads(body)["payload"]["reason"] == "sl"


def test_floating_figures_are_refreshed_and_stop_with_the_session(reader: EventReader, start: Start) -> None:
    service = start(speed=4.0)
    service.connect()
    service.open()
    moments: set[datetime] = set()

    def thrice() -> bool:
        moments.update(e.occurred_at for e in reader.events() if isinstance(e, PositionsSnapshot) and e.book.positions)
        return len(moments) >= 3

    wait_until(thrice)
    service.post("/disconnect", account_id=ACCOUNT)
    wait_until(lambda: service.get("/healthz").json()["outbox"] == 0)
    reader.forget()
    service.connect("other")
    reader.wait_for(PositionsSnapshot, lambda event: not event.book.positions)
    assert all(json.loads(body)["account_id"] == "other" for body in reader.raw())


def test_only_what_was_subscribed_is_streamed(reader: EventReader, start: Start) -> None:
    service = start(speed=4.0)
    service.connect()
    service.connect("4712")
    service.post("/subscribe/price", account_id=ACCOUNT, symbol="xauusd")
    service.post("/subscribe/candles", account_id="4712", symbol="EURUSD", timeframe="h1")
    tick = reader.wait_for(PriceTick)
    assert (tick.symbol, tick.ask > tick.bid) == ("XAUUSD", True)
    bar = reader.wait_for(CandleUpdate)
    assert (bar.symbol, bar.timeframe) == ("EURUSD", "H1")
    wait_until(lambda: sum(isinstance(event, PriceTick) for event in reader.events()) >= 5)
    market = [e for e in map(json.loads, reader.raw()) if e["type"] in {"price.tick", "candle.update"}]
    seen = {(e["type"], e["account_id"], e["payload"]["symbol"]) for e in market}
    assert seen == {("price.tick", ACCOUNT, "XAUUSD"), ("candle.update", "4712", "EURUSD")}
    service.post("/unsubscribe/price", account_id=ACCOUNT, symbol="XAUUSD")
    service.post("/disconnect", account_id="4712")
    service.post("/subscribe/price", account_id=ACCOUNT, symbol="BTCUSD")
    reader.wait_for(PriceTick, lambda event: event.symbol == "BTCUSD")
    reader.forget()
    wait_until(lambda: sum(isinstance(event, PriceTick) for event in reader.events()) >= 5)
    assert {event.symbol for event in reader.events() if isinstance(event, PriceTick | CandleUpdate)} == {"BTCUSD"}


def test_subscriptions_do_not_outlive_the_process(reader: EventReader, start: Start) -> None:
    service = start(speed=4.0)
    service.connect()
    service.post("/subscribe/price", account_id=ACCOUNT, symbol="EURUSD")
    reader.wait_for(PriceTick)
    service.app.stop()
    again = start(speed=4.0)
    reader.forget()
    again.post("/subscribe/price", account_id=ACCOUNT, symbol="GBPUSD")
    wait_until(lambda: sum(isinstance(event, PriceTick) for event in reader.events()) >= 4)
    assert {event.symbol for event in reader.events() if isinstance(event, PriceTick)} == {"GBPUSD"}


async def test_a_bar_is_told_of_once_a_second_and_once_closed(paper: Paper) -> None:
    from_venue = paper.heard.bars
    for _ in range(70 * 4):
        paper.clock.advance(250)
        paper.venue.step()
    finals = [bar for bar in from_venue if bar[3] and bar[0] == "EURUSD" and bar[1] == "M1"]
    assert len(finals) == 1
    history = await paper.venue.candles(ACCOUNT, "EURUSD", finals[0][1], count=2, start_s=None, end_s=None)
    assert finals[0][2] == history[0]


def test_closures_survive_a_broker_that_is_away_and_a_restart(reader: EventReader, start: Start) -> None:
    away = start(speed=0.0, amqp_url=f"amqp://guest:guest@127.0.0.1:{free_port()}//")
    away.connect()
    positions = [away.open() for _ in range(3)]
    for position in positions:
        assert away.close(position).status_code == 200
    health = away.get("/healthz").json()
    assert health["events"] == "reconnecting"
    assert health["outbox"] == 3 + 2, "three closures, and one snapshot of each kind however often it fell due"
    away.app.stop()
    back = start(speed=0.0)
    wait_until(lambda: back.get("/healthz").json()["outbox"] == 0)
    closed = [event.position_id for event in reader.events() if isinstance(event, PositionClosed)]
    assert closed == positions


def test_an_effect_and_its_event_commit_together(tmp_path: Path, start: Start) -> None:
    away = start(speed=0.0, amqp_url=f"amqp://guest:guest@127.0.0.1:{free_port()}//")
    away.connect()
    away.close(away.open())
    away.app.stop()
    database = Database(tmp_path / "state.sqlite3")
    rows = database.execute("SELECT type FROM outbox ORDER BY id").fetchall()
    deals = database.execute("SELECT count(*) FROM paper_deals").fetchone()
    keys = database.execute("SELECT count(*) FROM idempotency").fetchone()
    database.close()
    assert [kind for (kind,) in rows] == ["position.closed", "positions.snapshot", "account.info"]
    assert (deals, keys) == ((2,), (2,))


@pytest.mark.parametrize(
    ("routing", "key"), [(Routing.FLAT, "price.tick"), (Routing.ACCOUNT, "account.47_11.price.tick")]
)
def test_routing_keys(paper: Paper, routing: Routing, key: str) -> None:
    def identity(account_id: str) -> Identity:
        return Identity(account_id=account_id, broker_login=None, internal_account_id=None)

    factory = EventFactory(identity, routing, paper.clock)
    first, second = (factory.message(EventType.PRICE_TICK, "47.11", b"{}") for _ in range(2))
    assert first.routing_key == key
    moments = [datetime.fromisoformat(json.loads(message.body)["occurred_at"]) for message in (first, second)]
    assert moments[0] < moments[1], "of two snapshots in one millisecond the later must win"
