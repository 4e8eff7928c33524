"""Many messages in one command, for channels_redis' pub/sub layer.

Its own ``group_send`` waits for Redis to answer each PUBLISH before it sends the next: 0.2 ms a message, most of it
spent in the event loop, taken from the thread that reads the broker. Here up to :data:`CHUNK` messages travel as the
arguments of one script, which publishes them in order: 5 microseconds each, where a pipeline of PUBLISH commands costs
40, because the client makes and answers each of them in Python. It uses the layer's own names, serializer and
connections: subscribers cannot tell the difference. Where Redis forbids scripts, a pipeline does the same.
"""

import logging
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.exceptions import NoPermissionError, ResponseError

logger = logging.getLogger(__name__)

CHUNK = 500
"""Messages per round trip; about 500 KB, for which Redis needs about a millisecond."""

_SCRIPT = "for at = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[at], ARGV[at + 1]) end"

_without_scripts: WeakSet[Any] = WeakSet()
"""Shards whose Redis does not run scripts."""


def supports(layer: object) -> bool:
    """Whether messages to this layer can be sent many at a time."""
    return isinstance(layer, RedisPubSubChannelLayer)


async def publish(layer: Any, messages: Sequence[tuple[str, bytes]]) -> None:
    """Publish (group, serialized message) pairs, in order within each group. Raises what the Redis client raises."""
    loop_layer = layer._get_layer()
    by_shard: dict[Any, list[tuple[str, bytes]]] = {}
    for group, data in messages:
        name = loop_layer._get_group_channel_name(group)
        by_shard.setdefault(loop_layer._get_shard(name), []).append((name, data))
    for shard, commands in by_shard.items():
        async with shard._lock:
            shard._ensure_redis()
        for start in range(0, len(commands), CHUNK):
            await _publish_at_once(shard, commands[start : start + CHUNK])


async def _publish_at_once(shard: Any, commands: Sequence[tuple[str, bytes]]) -> None:
    if len(commands) > 1 and shard not in _without_scripts:
        try:
            script = shard._redis.register_script(_SCRIPT)
            await script(args=[part for command in commands for part in command])
        except NoPermissionError:
            _do_without(shard)
        except ResponseError as error:
            if "unknown command" not in str(error):
                raise
            _do_without(shard)
        else:
            return
    async with shard._redis.pipeline(transaction=False) as pipe:
        for name, data in commands:
            pipe.publish(name, data)
        await pipe.execute()


def _do_without(shard: Any) -> None:
    logger.warning("this Redis runs no scripts: messages to groups cost more")
    _without_scripts.add(shard)
