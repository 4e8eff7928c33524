"""Outbox, hub and interest by themselves: slow browsers, lost groups, silent streams."""

import asyncio
import json
import time
from collections.abc import Callable, Hashable
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from ctrader_app.broadcast.groups import price_group
from ctrader_app.broadcast.messages import make, price_content
from ctrader_app.consumers.sockets import base, hub, interest
from ctrader_app.consumers.sockets.base import Socket
from ctrader_app.consumers.sockets.hub import Hub, _Feed
from ctrader_app.consumers.sockets.interest import Interest
from ctrader_app.consumers.sockets.outbox import Outbox, Overflow
from ctrader_app.consumers.sockets.threads import in_database_thread
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import SubscriptionLease, TradingAccount
from tests.consumers.service import FakeService
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until_async


class Listener:
    """A member that notes its frames."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    def offer(self, key: Hashable, text: str) -> None:
        """Note a frame."""
        self.frames.append(json.loads(text))

    def bids(self) -> list[Any]:
        """The prices heard."""
        return [frame["data"]["bid"] for frame in self.frames if frame["type"] == "live_price"]


def price(bid: float, at: float | None = None) -> dict[str, Any]:
    return make("price_tick", {"symbol": "EURUSD", "bid": bid}, at)


# -- outbox ------------------------------------------------------------------------------------------------------


async def test_a_slow_socket_gets_the_newest_of_each_key() -> None:
    outbox = Outbox()
    for number in range(100):
        outbox.offer("price", f"p{number}")
        outbox.offer(("bar", number % 2), f"b{number}")
    assert await outbox.take() == ["p99", "b98", "b99"]
    outbox.offer("price", "next")
    assert await outbox.take() == ["next"]


async def test_a_snapshot_never_follows_live_data() -> None:
    outbox = Outbox()
    outbox.offer("price", "live")
    assert await outbox.take() == ["live"]
    outbox.offer_first("price", "snapshot")
    outbox.offer_first("other", "snapshot")
    assert await outbox.take() == ["snapshot"]


async def test_a_snapshot_is_taken_again_when_it_is_asked_for() -> None:
    outbox = Outbox()
    outbox.offer(("g", "price"), "live")
    outbox.offer(("h", "price"), "live")
    assert await outbox.take() == ["live", "live"]
    outbox.reopen("g")
    outbox.offer_first(("h", "price"), "snapshot")
    outbox.offer_first(("g", "price"), "snapshot")
    assert await outbox.take() == ["snapshot"]
    outbox.reopen("g")
    outbox.offer(("g", "price"), "newer")
    outbox.offer_first(("g", "price"), "snapshot")
    assert await outbox.take() == ["newer"]


async def test_a_socket_for_which_too_much_waits_is_told_so() -> None:
    outbox = Outbox(limit=3)
    for number in range(4):
        outbox.offer(number, "x")
    with pytest.raises(Overflow):
        await outbox.take()


async def test_a_browser_that_stops_reading_is_closed_and_costs_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "SEND_TIMEOUT_S", 0.1)
    never = asyncio.Event()
    sent: list[Any] = []

    async def send(event: Any) -> None:
        if event["type"] == "websocket.send":
            await never.wait()
        sent.append(event)

    async def receive() -> Any:
        await never.wait()

    class Deaf(Socket):
        async def _admitted(self, user: object) -> TradingAccount:
            return TradingAccount()

        async def opened(self, account: TradingAccount) -> None:
            self.offer("price", "x")

        async def closed(self) -> None:
            sent.append("left")

    socket = Deaf({"url_route": {"kwargs": {}}}, receive, send)
    monkeypatch.setattr(socket, "_receive", lambda: asyncio.sleep(0) if not sent else never.wait())
    async with asyncio.timeout(5):
        await socket.serve()
    assert sent == [{"type": "websocket.accept"}, "left", {"type": "websocket.close", "code": 4008}]


# -- hub, on every layer -----------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "pubsub", "core"])
def any_layer(request: pytest.FixtureRequest) -> Any:
    made: Any
    if request.param == "memory":
        made = InMemoryChannelLayer()
    else:
        url: str = request.getfixturevalue("redis_url")
        kind: Callable[..., Any] = RedisPubSubChannelLayer if request.param == "pubsub" else RedisChannelLayer
        made = kind(hosts=[url], prefix=f"test{id(request)}")
    before = channel_layers.set("default", made)
    yield made
    channel_layers.backends.pop("default", None)
    if before is not None:
        channel_layers.set("default", before)


async def close_layer(layer: Any) -> None:
    await layer.flush()
    close = getattr(layer, "close_pools", None)
    if close is not None:
        await close()


async def test_members_of_a_group_are_fed_until_they_leave(any_layer: Any) -> None:
    feeds = Hub()
    first, second = Listener(), Listener()
    await feeds.join("g", first)
    await feeds.join("g", second)
    await any_layer.group_send("g", price(1.0))
    await wait_until_async(lambda: first.bids() == second.bids() == [1.0])
    await feeds.leave("g", first)
    await any_layer.group_send("g", price(2.0))
    await wait_until_async(lambda: second.bids() == [1.0, 2.0])
    assert first.bids() == [1.0]
    assert feeds.groups() == {"g": 1}
    await feeds.leave("g", second)
    await feeds.leave("g", second)
    assert feeds.groups() == {}
    await close_layer(any_layer)


async def test_what_two_relays_send_never_goes_back(any_layer: Any) -> None:
    feeds, listener = Hub(), Listener()
    await feeds.join("g", listener)
    for bid, at in ((1.0, 10.0), (2.0, 30.0), (3.0, 20.0), (4.0, None), (5.0, 31.0)):
        await any_layer.group_send("g", price(bid, at))
    await wait_until_async(lambda: 5.0 in listener.bids())
    assert listener.bids() == [1.0, 2.0, 4.0, 5.0]
    await feeds.leave("g", listener)
    await close_layer(any_layer)


def stale(at: float) -> dict[str, Any]:
    return make("price_tick", price_content("EURUSD", 7.0, 8.0, None, 20.0, stale=True), at)


def marks(frames: list[dict[str, Any]]) -> list[Any]:
    """The prices, and the word stale for those that are."""
    assert {frame["type"] for frame in frames} <= {"live_price"}
    return ["stale" if "stale" in frame["data"] else frame["data"]["bid"] for frame in frames]


async def test_word_that_a_price_is_stale_is_taken_back_by_a_newer_one_whichever_comes_first() -> None:
    feed, listener = _Feed("g"), Listener()
    feed.members.add(listener)
    for message in (price(1.0, 10.0), stale(9.0), stale(10.0), price(2.0, 30.0), stale(20.0)):
        feed.deliver(message)
    assert marks(listener.frames) == [1.0, "stale", 2.0]
    assert feed.stale_text is None


async def test_a_stale_price_is_no_news_and_is_remembered_until_there_are_some(layer: InMemoryChannelLayer) -> None:
    feeds, listener = Hub(), Listener()
    await feeds.join("g", listener)
    await layer.group_send("g", stale(10.0))
    await wait_until_async(lambda: listener.frames)
    # No news: whoever wants the stream has to ask for it again.
    assert feeds.last_message_s("g") == 0.0
    assert json.loads(feeds.stale_text("g") or "") == listener.frames[0]
    await layer.group_send("g", price(1.0, 20.0))
    await wait_until_async(lambda: marks(listener.frames) == ["stale", 1.0])
    assert feeds.stale_text("g") is None
    assert feeds.last_message_s("g") > 0
    await feeds.leave("g", listener)


async def test_a_slow_socket_is_not_told_stale_behind_the_price_that_takes_it_back() -> None:
    feed, outbox = _Feed("g"), Outbox()
    feed.members.add(outbox)
    for message in (price(1.0, 10.0), stale(10.0), price(2.0, 30.0)):
        feed.deliver(message)
    assert marks([json.loads(text) for text in await outbox.take()]) == [2.0]
    for message in (stale(30.0), price(3.0, 40.0), stale(40.0)):
        feed.deliver(message)
    assert marks([json.loads(text) for text in await outbox.take()]) == ["stale"]


@pytest.mark.parametrize("any_layer", ["pubsub", "core"], indirect=True)
async def test_members_are_fed_again_after_redis_lost_its_memory(
    any_layer: Any, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hub, "REJOIN_S", 0.2)
    feeds, listener = Hub(), Listener()
    await feeds.join("g", listener)
    await asyncio.to_thread(redis_server.restart)

    async def heard() -> bool:
        try:
            await any_layer.group_send("g", price(1.0))
        except Exception:  # noqa: BLE001 - the layer may need a moment
            return False
        await asyncio.sleep(0.1)
        return bool(listener.bids())

    await wait_until_async(heard, 10)
    await feeds.leave("g", listener)
    await close_layer(any_layer)


@pytest.mark.parametrize("any_layer", ["pubsub", "core"], indirect=True)
async def test_a_process_that_may_have_missed_something_looks_again(
    any_layer: Any, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "REJOIN_S", 0.2)
    monkeypatch.setattr(hub, "PULSE_S", 0.1)
    feeds, listener, gaps = Hub(), Listener(), list[float]()
    with feeds.telling_gaps(gaps.append):
        await feeds.join("g", listener)
        await asyncio.sleep(0.5)
        assert gaps == []
        down_at_s = time.time()
        await asyncio.to_thread(redis_server.restart)
        await wait_until_async(lambda: gaps, 10)
        assert down_at_s - 1.0 < gaps[0] < time.time()
        # By then it hears again, or what it looks at could change unheard.
        await any_layer.group_send("g", price(1.0))
        await wait_until_async(lambda: listener.bids() == [1.0])
    told = len(gaps)
    await asyncio.to_thread(redis_server.restart)
    await asyncio.sleep(2.0)
    assert len(gaps) == told
    await feeds.leave("g", listener)
    await close_layer(any_layer)


async def test_a_busy_process_has_missed_nothing(layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PULSE_S", 0.01)
    feeds, listener, gaps = Hub(), Listener(), list[float]()
    with feeds.telling_gaps(gaps.append):
        await feeds.join("g", listener)
        for _ in range(5):
            await asyncio.sleep(0.05)
            time.sleep(0.2)  # the whole loop is held up
        assert gaps == []
    await feeds.leave("g", listener)
    assert not layer.groups


# -- interest ----------------------------------------------------------------------------------------------------


async def test_a_stream_that_falls_silent_is_asked_for_again(
    account: TradingAccount, service: FakeService, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interest, "FIRST_SILENCE_S", 0.1)
    monkeypatch.setattr(interest, "LAST_SILENCE_S", 0.2)
    wishes, listener = Interest(), Listener()
    stream = Stream(account.pk, "EURUSD", "")
    wishes.want(stream, listener)
    await wait_until_async(lambda: service.count("start") >= 3)
    ending = wishes.unwant(stream, listener)
    assert ending is not None
    await ending
    assert service.running == set()
    assert wishes.streams() == {}


async def test_a_stream_that_speaks_is_left_alone(
    account: TradingAccount, service: FakeService, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interest, "FIRST_SILENCE_S", 0.5)
    wishes, listener = Interest(), Listener()
    stream, group = Stream(account.pk, "EURUSD", ""), price_group(account.pk, "EURUSD")
    await hub.hub().join(group, listener)
    wishes.want(stream, listener)
    for number in range(40):
        await layer.group_send(group, price(number))
        await asyncio.sleep(0.03)
    assert service.count("start") == 1
    await hub.hub().leave(group, listener)
    ending = wishes.unwant(stream, listener)
    assert ending is not None
    await ending


async def test_a_lease_that_was_swept_is_taken_again(
    account: TradingAccount, service: FakeService, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interest, "RENEW_S", 0.05)
    wishes, listener = Interest(), Listener()
    stream = Stream(account.pk, "EURUSD", "")
    wishes.want(stream, listener)
    await wait_until_async(lambda: wishes.streams() == {stream: True})
    # This process was away for so long that the sweep took its lease and stopped the stream.
    await in_database_thread(SubscriptionLease.objects.all().delete)
    service.running.clear()
    await wait_until_async(lambda: bool(service.running))
    assert await in_database_thread(SubscriptionLease.objects.filter(holder=wishes.holder).exists)
    ending = wishes.unwant(stream, listener)
    assert ending is not None
    await ending


async def test_whoever_comes_while_the_stream_is_given_up_gets_it(
    account: TradingAccount, service: FakeService, layer: InMemoryChannelLayer
) -> None:
    wishes, first, second = Interest(), Listener(), Listener()
    stream = Stream(account.pk, "EURUSD", "")
    wishes.want(stream, first)
    await wait_until_async(lambda: bool(service.running))
    wishes.unwant(stream, first)
    await wait_until_async(lambda: service.count("stop") == 1)
    wishes.want(stream, second)
    await wait_until_async(lambda: bool(service.running) and wishes.streams() == {stream: True})
    ending = wishes.unwant(stream, second)
    assert ending is not None
    await ending
    assert service.running == set()


async def test_a_thousand_sockets_that_open_and_close_leave_nothing_behind(
    account: TradingAccount, service: FakeService, layer: InMemoryChannelLayer
) -> None:
    wishes = Interest()
    streams = [Stream(account.pk, f"S{number}", "") for number in range(5)]
    listeners = [(Listener(), streams[number % 5]) for number in range(1000)]
    for listener, stream in listeners:
        wishes.want(stream, listener)
    await wait_until_async(lambda: len(service.running) == 5)
    for listener, stream in listeners[:-1]:
        wishes.unwant(stream, listener)
    await wait_until_async(lambda: service.running == {(str(account.pk), "S4", "")})
    assert service.count("start") == 5
    ending = wishes.unwant(listeners[-1][1], listeners[-1][0])
    assert ending is not None
    await ending
    assert service.running == set()
