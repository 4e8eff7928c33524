"""Prices as Channels' manual has them: each socket its own consumer in the group, each frame encoded for each socket.

``python -m benchmarks.peers.stock_channels REDIS_URL PORT``: a socket at ``/GROUP`` gets that group's prices.
"""

import sys
from typing import Any

import django
import uvicorn
from django.conf import settings

settings.configure(
    SECRET_KEY="bench",
    CHANNEL_LAYERS={
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [sys.argv[1]]}}
    },
)
django.setup(set_prefix=False)

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402 - what follows needs the settings
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402


class Prices(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """One browser."""

    group = ""

    async def connect(self) -> None:
        """Join the group of the address."""
        self.group = self.scope["url_route"]["kwargs"]["group"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, _code: int) -> None:
        """Leave it."""
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def price_tick(self, event: dict[str, Any]) -> None:
        """Send the browser a price."""
        await self.send_json({"type": "live_price", "data": event["price"]})


routes: list[Any] = [path("<str:group>", Prices.as_asgi())]

if __name__ == "__main__":
    uvicorn.run(
        ProtocolTypeRouter({"websocket": URLRouter(routes)}),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="warning",
    )
