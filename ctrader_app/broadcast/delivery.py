"""Sending a batch through the channel layer: bounded in flight, in order within each group."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from channels.layers import get_channel_layer

from ctrader_app.broadcast import pipeline
from ctrader_app.broadcast.conflation import Item
from ctrader_app.broadcast.messages import Message

logger = logging.getLogger(__name__)

LANES = 16
"""How many sends are in flight. channels_redis' core layer gains up to 50 in flight, redis-py refuses beyond 100
connections; the in-memory layer sends one at a time whatever is asked, and the pub/sub layer is pipelined."""

SEND_TIMEOUT_S = 5.0
"""A Redis that takes the connection and never answers must not hold the relay for ever."""

GroupSend = Callable[[str, Message], Awaitable[None]]

_UNSENDABLE = (TypeError, ValueError, AssertionError, OverflowError)


class Delivery:
    """The counts of one broadcaster's sends, and the sending itself."""

    def __init__(self) -> None:
        self.sent = 0
        self.unsendable = 0

    async def send(self, batch: Sequence[Item]) -> list[Item]:
        """Send the batch; returns what did not get through and is worth trying again."""
        layer = get_channel_layer()
        if layer is None:
            return []
        if pipeline.supports(layer):
            return await self._send_pipelined(layer, batch)
        lanes: list[list[Item]] = [[] for _ in range(min(LANES, len(batch)))]
        for item in batch:
            lanes[hash(item.group) % len(lanes)].append(item)
        busy = [lane for lane in lanes if lane]
        if len(busy) == 1:
            return await self._send_lane(layer.group_send, busy[0])
        failures = await asyncio.gather(*(self._send_lane(layer.group_send, lane) for lane in busy))
        return [item for failed in failures for item in failed]

    async def _send_pipelined(self, layer: Any, batch: Sequence[Item]) -> list[Item]:
        failed: list[Item] = []
        for start in range(0, len(batch), pipeline.CHUNK):
            items = list(batch)[start : start + pipeline.CHUNK]
            encoded = [pair for item in items if (pair := self._encoded(layer, item)) is not None]
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await pipeline.publish(layer, encoded)
            except Exception as error:  # noqa: BLE001 - whatever a layer raises, the relay must go on
                logger.warning("the channel layer does not take messages: %r", error)
                failed += list(batch)[start:]
                break
            self.sent += len(encoded)
        return failed

    def _encoded(self, layer: Any, item: Item) -> tuple[str, bytes] | None:
        try:
            return item.group, layer.serialize(item.build())
        except _UNSENDABLE:
            self._give_up(item)
            return None

    async def _send_lane(self, group_send: GroupSend, items: Sequence[Item]) -> list[Item]:
        loop = asyncio.get_running_loop()
        done = 0
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S) as limit:
                for item in items:
                    await self._send_one(group_send, item)
                    done += 1
                    limit.reschedule(loop.time() + SEND_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - whatever a layer raises, the relay must go on
            logger.warning("the channel layer does not take messages: %r", error)
            return list(items[done:])
        return []

    async def _send_one(self, group_send: GroupSend, item: Item) -> None:
        try:
            await group_send(item.group, item.build())
        except _UNSENDABLE:
            self._give_up(item)
        else:
            self.sent += 1

    def _give_up(self, item: Item) -> None:
        # It would fail again for ever and hold up everything behind it.
        self.unsendable += 1
        logger.exception("a message to group %s cannot be sent", item.group)
