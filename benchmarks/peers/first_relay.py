"""The relay that is written first: a kombu callback, and ``async_to_sync(group_send)`` for every message.

``python -m benchmarks.peers.first_relay AMQP_URL QUEUE REDIS_URL``
"""

import sys
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from channels_redis.pubsub import RedisPubSubChannelLayer
from kombu import Connection, Consumer, Queue


def main(url: str, queue: str, redis_url: str) -> None:
    """Relay until killed."""
    layer = RedisPubSubChannelLayer(hosts=[redis_url])

    def take(message: Any) -> None:
        event = msgspec.json.decode(message.body)
        if event["type"] != "price.tick":
            return
        price = event["payload"]
        group = f"prices_{event['internal_account_id']}_{price['symbol']}"
        async_to_sync(layer.group_send)(group, {"type": "price_tick", "price": price})

    with Connection(url) as connection:
        channel: Any = connection.channel()
        channel.auto_decode = False
        with Consumer(channel, [Queue(queue, no_declare=True)], on_message=take, no_ack=True, auto_declare=False):
            while True:
                connection.drain_events()


if __name__ == "__main__":
    main(*sys.argv[1:])
