"""An asynchronous relay as the manuals have it: aio-pika, and ``await group_send`` for every message, in order.

``python -m benchmarks.peers.aio_pika_relay AMQP_URL QUEUE REDIS_URL``
"""

import asyncio
import sys

import aio_pika
import msgspec
from channels_redis.pubsub import RedisPubSubChannelLayer


async def main(url: str, queue_name: str, redis_url: str) -> None:
    """Relay until killed."""
    layer = RedisPubSubChannelLayer(hosts=[redis_url])
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    queue = await channel.get_queue(queue_name, ensure=False)
    async with queue.iterator(no_ack=True) as messages:
        async for message in messages:
            event = msgspec.json.decode(message.body)
            if event["type"] != "price.tick":
                continue
            price = event["payload"]
            group = f"prices_{event['internal_account_id']}_{price['symbol']}"
            await layer.group_send(group, {"type": "price_tick", "price": price})


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
