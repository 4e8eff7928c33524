"""The broadcaster: threads offer, one loop sends, and nothing a layer does reaches the thread that offered."""

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from redis.exceptions import ConnectionError as RedisConnectionError

from ctrader_app.broadcast import broadcaster as module
from ctrader_app.broadcast.broadcaster import Broadcaster, get_broadcaster
from ctrader_app.broadcast.messages import Message, make
from tests.broadcast.recording import RecordingLayer, recording_layer
from tests.support.waiting import wait_until


@pytest.fixture
def layer() -> Iterator[RecordingLayer]:
    with recording_layer() as recording:
        yield recording


@pytest.fixture
def broadcaster() -> Iterator[Broadcaster]:
    made = Broadcaster()
    yield made
    made.close()


def tick(value: int) -> Message:
    return make("price_tick", value)


def test_idle_a_message_leaves_at_once(layer: RecordingLayer, broadcaster: Broadcaster) -> None:
    broadcaster.send("g", tick(1))
    wait_until(lambda: layer.values() == {"g": [1]})
    assert layer.threads == {"ctrader-broadcast"}


def test_under_pressure_only_the_newest_of_each_group_is_sent(layer: RecordingLayer, broadcaster: Broadcaster) -> None:
    layer.hold = True
    broadcaster.send("first", tick(0))
    assert layer.blocked.wait(5)
    for number in range(1000):
        broadcaster.send(f"g{number % 3}", tick(number))
    layer.hold = False
    wait_until(lambda: broadcaster.stats()["pending"] == 0 and len(layer.sent) == 4)
    assert layer.values() == {"first": [0], "g0": [999], "g1": [997], "g2": [998]}
    assert broadcaster.stats()["conflated.price_tick"] == 997


def test_every_bar_arrives_under_pressure(layer: RecordingLayer, broadcaster: Broadcaster) -> None:
    layer.hold = True
    broadcaster.send("first", tick(0))
    assert layer.blocked.wait(5)
    for bar in (60, 120, 180):
        for close in range(10):
            broadcaster.send("c", make("candle_update", {"timeframe": "M1", "time": bar, "close": close}))
    layer.hold = False
    wait_until(lambda: len(layer.sent) == 4)
    assert [(m["candle"]["time"], m["candle"]["close"]) for _, m in layer.sent[1:]] == [(60, 9), (120, 9), (180, 9)]


def test_every_message_is_sent_in_order_when_asked_to(layer: RecordingLayer) -> None:
    broadcaster = Broadcaster(every_message=True)
    layer.hold = True
    for number in range(500):
        broadcaster.send(f"g{number % 2}", tick(number))
    layer.hold = False
    wait_until(lambda: len(layer.sent) == 500)
    assert layer.values() == {"g0": list(range(0, 500, 2)), "g1": list(range(1, 500, 2))}
    broadcaster.close()


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), RedisConnectionError("gone"), RuntimeError("odd")])
def test_what_the_layer_refuses_is_sent_again_and_never_raised(
    layer: RecordingLayer, broadcaster: Broadcaster, error: Exception
) -> None:
    layer.refusals = [error, error]
    broadcaster.send("g", tick(1))
    wait_until(lambda: layer.values() == {"g": [1]})
    assert broadcaster.stats()["retries"] == 2


def test_a_retry_never_overwrites_something_newer(layer: RecordingLayer, broadcaster: Broadcaster) -> None:
    layer.refusals = [ConnectionResetError("gone")]
    layer.hold = True
    broadcaster.send("g", tick(1))
    assert layer.blocked.wait(5)
    broadcaster.send("g", tick(2))
    layer.hold = False
    wait_until(lambda: layer.values() == {"g": [2]})
    assert broadcaster.flush()
    assert layer.values() == {"g": [2]}


def test_a_message_that_can_never_be_sent_holds_up_nothing(layer: RecordingLayer, broadcaster: Broadcaster) -> None:
    layer.refusals = [TypeError("cannot serialize")]
    broadcaster.send("bad", tick(1))
    broadcaster.send("good", tick(2))
    wait_until(lambda: len(layer.sent) == 1)
    assert broadcaster.stats()["unsendable"] == 1


def test_it_feeds_the_loop_it_is_told_to_and_goes_back_to_its_own(
    layer: RecordingLayer, broadcaster: Broadcaster
) -> None:
    async def serve() -> None:
        broadcaster.use_loop(asyncio.get_running_loop())
        await asyncio.to_thread(broadcaster.send, "g", tick(1))
        while not layer.sent:
            await asyncio.sleep(0.005)

    asyncio.run(serve())
    assert layer.threads == {"MainThread"}
    broadcaster.send("g", tick(2))
    wait_until(lambda: len(layer.sent) == 2)
    assert layer.threads == {"MainThread", "ctrader-broadcast"}


def test_what_waited_on_a_loop_that_closed_is_sent_by_the_next(layer: RecordingLayer, broadcaster: Broadcaster) -> None:
    loop = asyncio.new_event_loop()
    broadcaster.use_loop(loop)
    broadcaster.send("lost", tick(1))  # the loop never runs
    loop.close()
    broadcaster.send("g", tick(2))
    wait_until(lambda: layer.values() == {"lost": [1], "g": [2]})


async def test_messages_reach_a_member_of_an_in_memory_group() -> None:
    layer = InMemoryChannelLayer()
    before = channel_layers.set("default", layer)
    try:
        channel = await layer.new_channel()
        await layer.group_add("g", channel)
        broadcaster = Broadcaster()
        broadcaster.use_loop(asyncio.get_running_loop())
        broadcaster.send("g", tick(3))
        async with asyncio.timeout(5):
            assert (await layer.receive(channel))["price"] == 3
    finally:
        channel_layers.backends.pop("default", None)
        if before is not None:
            channel_layers.set("default", before)


def test_many_threads_lose_nothing_of_the_last_word(layer: RecordingLayer, broadcaster: Broadcaster) -> None:
    def offer(group: str) -> None:
        for number in range(500):
            broadcaster.send(group, tick(number))

    threads = [threading.Thread(target=offer, args=(f"g{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last_words = dict.fromkeys(["g0", "g1", "g2", "g3"], 499)
    wait_until(lambda: {group: values[-1] for group, values in layer.values().items()} == last_words)
    assert all(values == sorted(values) for values in layer.values().values())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_makes_its_own(layer: RecordingLayer) -> None:
    parent = get_broadcaster()
    parent.send("g", tick(1))
    wait_until(lambda: len(layer.sent) == 1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest may run here
        try:
            mine = get_broadcaster()
            mine.send("g", tick(2))
            sent = mine is not parent and mine.flush(5.0) and len(layer.sent) == 2
            os.write(writer, b"ok" if sent else b"no")
        finally:
            os._exit(0)
    os.close(writer)
    try:
        assert os.read(reader, 2) == b"ok"
    finally:
        os.close(reader)
        os.waitpid(child, 0)
    assert get_broadcaster() is parent


def test_there_is_one_a_process() -> None:
    assert get_broadcaster() is get_broadcaster() is module._broadcaster
