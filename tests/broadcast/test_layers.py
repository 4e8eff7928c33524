"""The broadcaster on real layers: what is sent arrives, once Redis is there."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from channels.layers import channel_layers
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from ctrader_app.broadcast.broadcaster import Broadcaster
from ctrader_app.broadcast.messages import make
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until_async


@pytest.fixture(params=[RedisPubSubChannelLayer, RedisChannelLayer])
def layer(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Any]:
    """A Redis layer, of either kind."""
    kind: Callable[..., Any] = request.param
    made = kind(hosts=[redis_url], prefix=f"test{id(request)}")
    before = channel_layers.set("default", made)
    yield made
    channel_layers.backends.pop("default", None)
    if before is not None:
        channel_layers.set("default", before)


async def close(layer: Any) -> None:
    """Close the layer's connections of this loop."""
    await layer.flush()
    if isinstance(layer, RedisChannelLayer):
        await layer.close_pools()


@pytest.fixture
def broadcaster() -> Broadcaster:
    """A broadcaster that sends everything."""
    return Broadcaster(every_message=True)


async def test_everything_arrives_in_order(layer: Any, broadcaster: Broadcaster) -> None:
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    broadcaster.use_loop(asyncio.get_running_loop())
    for number in range(90):
        broadcaster.send("g", make("price_tick", number))
        broadcaster.send("nobody", make("price_tick", number))
    async with asyncio.timeout(10):
        received = [(await layer.receive(channel))["price"] for _ in range(90)]
    assert received == list(range(90))
    await wait_until_async(lambda: broadcaster.stats()["sent"] == 180)
    await layer.group_discard("g", channel)
    await close(layer)


async def test_what_cannot_be_serialized_hinders_nothing(layer: Any, broadcaster: Broadcaster) -> None:
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    broadcaster.use_loop(asyncio.get_running_loop())
    broadcaster.send("g", {"type": "price_tick", "price": object()})
    broadcaster.send("g", make("price_tick", 1))
    async with asyncio.timeout(10):
        assert (await layer.receive(channel))["price"] == 1
    assert broadcaster.stats()["unsendable"] == 1
    await layer.group_discard("g", channel)
    await close(layer)


async def test_what_waited_while_redis_was_away_is_sent_when_it_is_back(
    layer: Any, broadcaster: Broadcaster, redis_server: RedisServer
) -> None:
    broadcaster.use_loop(asyncio.get_running_loop())
    broadcaster.send("g", make("price_tick", 0))
    await wait_until_async(lambda: broadcaster.stats()["sent"] == 1)
    await asyncio.to_thread(redis_server.stop)
    for number in range(10):
        broadcaster.send("g", make("price_tick", number))
    await wait_until_async(lambda: broadcaster.stats()["retries"] >= 2)
    await asyncio.to_thread(redis_server.start)
    await wait_until_async(lambda: broadcaster.stats()["sent"] == 11)
    assert broadcaster.stats()["pending"] == 0
    await close(layer)


async def test_a_redis_that_forbids_scripts_carries_the_same(redis_url: str, broadcaster: Broadcaster) -> None:
    with redis.Redis.from_url(redis_url) as admin:
        rights = ["+@all", "-@scripting"]
        admin.acl_setuser("plain", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"], categories=rights)
    parts = urlsplit(redis_url)
    layer = RedisPubSubChannelLayer(hosts=[parts._replace(netloc=f"plain:pw@{parts.netloc}").geturl()])
    before = channel_layers.set("default", layer)
    try:
        channel = await layer.new_channel()
        await layer.group_add("g", channel)
        broadcaster.use_loop(asyncio.get_running_loop())
        for number in range(90):
            broadcaster.send("g", make("price_tick", number))
        async with asyncio.timeout(10):
            assert [(await layer.receive(channel))["price"] for _ in range(90)] == list(range(90))
        assert broadcaster.stats()["retries"] == 0
        await layer.group_discard("g", channel)
        await close(layer)
    finally:
        channel_layers.backends.pop("default", None)
        if before is not None:
            channel_layers.set("default", before)
