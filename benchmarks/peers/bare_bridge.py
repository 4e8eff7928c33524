"""A bridge from AMQP to WebSockets and nothing else: no Django, no accounts, no layer, one process.

``python -m benchmarks.peers.bare_bridge AMQP_URL QUEUE PORT``: a socket at ``/SYMBOL`` gets that symbol's ticks. kombu
in a thread, because aio-pika, at some 2,500 messages a second, would itself be what is waited for.
"""

import asyncio
import sys
import threading
from collections import defaultdict
from typing import Any

import msgspec
from kombu import Connection, Consumer, Queue
from websockets.asyncio.server import ServerConnection, broadcast, serve

_sockets: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def _attend(socket: ServerConnection) -> None:
    """Keep a socket among those of its symbol until it goes."""
    assert socket.request is not None
    members = _sockets[socket.request.path.strip("/")]
    members.add(socket)
    try:
        await socket.wait_closed()
    finally:
        members.discard(socket)


def _read(url: str, queue: str, loop: asyncio.AbstractEventLoop) -> None:
    """Have every tick sent to the sockets of its symbol, for ever."""

    def take(message: Any) -> None:
        event = msgspec.json.decode(message.body)
        if event["type"] == "price.tick":
            price = event["payload"]
            text = msgspec.json.encode({"type": "live_price", "data": price}).decode()
            loop.call_soon_threadsafe(lambda: broadcast(_sockets[price["symbol"]], text))

    with Connection(url) as connection:
        channel: Any = connection.channel()
        channel.auto_decode = False
        with Consumer(channel, [Queue(queue, no_declare=True)], on_message=take, no_ack=True, auto_declare=False):
            while True:
                connection.drain_events()


async def main(url: str, queue: str, port: str) -> None:
    """Bridge until killed."""
    loop = asyncio.get_running_loop()
    async with serve(_attend, "127.0.0.1", int(port), compression=None) as server:
        threading.Thread(target=_read, args=(url, queue, loop), daemon=True).start()
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
