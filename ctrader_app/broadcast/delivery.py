"""Sending a batch through the channel layer: bounded in flight, in order within each group."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from channels.layers import get_channel_layer

from ctrader_app.broadcast.conflation import Item
from ctrader_app.broadcast.messages import Message

logger = logging.getLogger(__name__)

LANES = 16
"""How many sends are in flight. channels_redis' core layer gains up to 50 in flight, redis-py refuses beyond 100
connections; the pub/sub and in-memory layers send one at a time whatever is asked."""

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
        if len(batch) == 1:
            return await self._send_lane(batch)
        lanes: list[list[Item]] = [[] for _ in range(min(LANES, len(batch)))]
        for item in batch:
            lanes[hash(item.group) % len(lanes)].append(item)
        failures = await asyncio.gather(*(self._send_lane(lane) for lane in lanes if lane))
        return [item for failed in failures for item in failed]

    async def _send_lane(self, items: Sequence[Item]) -> list[Item]:
        layer = get_channel_layer()
        if layer is None:
            return []
        loop = asyncio.get_running_loop()
        done = 0
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S) as limit:
                for item in items:
                    await self._send_one(layer.group_send, item)
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
            # It would fail again for ever and hold up everything behind it.
            self.unsendable += 1
            logger.exception("a message to group %s cannot be sent", item.group)
        else:
            self.sent += 1
