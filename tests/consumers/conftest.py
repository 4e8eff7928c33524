"""A user, an account, a service that only notes, and sockets on an in-memory layer."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.routing import URLRouter
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from ctrader_app.broadcast.broadcaster import get_broadcaster
from ctrader_app.consumers.auth import SocketAuthMiddleware
from ctrader_app.consumers.routing import websocket_urlpatterns
from ctrader_app.consumers.sockets import threads
from ctrader_app.ledger.access import issue_token
from ctrader_app.models import TradingAccount
from tests.consumers.service import FakeService
from tests.support.operations import make_account

application = SocketAuthMiddleware(URLRouter(websocket_urlpatterns))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    """The microservice, as far as streams go."""
    fake = FakeService()
    monkeypatch.setattr("ctrader_app.operations.gateway.client", lambda: fake)
    return fake


@pytest.fixture(autouse=True)
def _fresh_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads of the test's own: those of the process remember the database of the test that started them."""
    with ThreadPoolExecutor(4) as database, ThreadPoolExecutor(8) as http:
        monkeypatch.setattr(threads, "_database", database)
        monkeypatch.setattr(threads, "_http", http)
        yield


@pytest.fixture
def account(sqlite_db: str) -> TradingAccount:
    """An account, in a database that any thread can use."""
    return make_account(broker_login="1000001")


@pytest.fixture
def token(account: TradingAccount) -> str:
    """An API token of the account's owner."""
    owner: User = account.user
    return issue_token(owner, "test")


@pytest.fixture
def cookie(account: TradingAccount) -> dict[str, str]:
    """The headers of a browser that signed in."""
    client = Client()
    client.force_login(account.user)
    return {"cookie": f"sessionid={client.cookies['sessionid'].value}", "host": "desk.example"}


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """The reconciliations that sockets asked for."""
    runs: list[uuid.UUID] = []
    monkeypatch.setattr("ctrader_app.consumers.sockets.account.enqueue_sync", runs.append)
    return runs


@pytest.fixture
def layer(settings: LazySettings) -> Iterator[InMemoryChannelLayer]:
    """A layer of the test's own."""
    made = InMemoryChannelLayer()
    before = channel_layers.set("default", made)
    yield made
    channel_layers.backends.pop("default", None)
    if before is not None:
        channel_layers.set("default", before)


class Browser:
    """One socket, as its browser sees it. (channels.testing cannot be imported without daphne.)"""

    def __init__(self, path: str, headers: dict[str, str] | None = None) -> None:
        address = urlsplit(path)
        scope = {
            "type": "websocket",
            "path": unquote(address.path),
            "query_string": address.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "subprotocols": [],
        }
        make: Any = ApplicationCommunicator  # untyped
        self._socket = make(application, scope)

    async def open(self) -> "Browser":
        """The handshake, which is always accepted."""
        await self._socket.send_input({"type": "websocket.connect"})
        assert await self._output() == {"type": "websocket.accept"}
        return self

    async def joined(self) -> "Browser":
        """Wait until it is fed: only then does it answer."""
        await self.say({"type": "ping"})
        await self.frame_of("pong")
        return self

    async def _output(self) -> dict[str, Any]:
        output: dict[str, Any] = await self._socket.receive_output(timeout=10)
        return output

    async def close_code(self) -> int:
        """The code with which the socket is closed; fails when something else comes first."""
        event = await self._output()
        assert event["type"] == "websocket.close", event
        await self._socket.wait(timeout=10)
        code: int = event["code"]
        return code

    async def ended(self) -> int:
        """The code with which the socket is closed; frames that come before are passed over."""
        while (event := await self._output())["type"] == "websocket.send":
            pass
        assert event["type"] == "websocket.close", event
        await self._socket.wait(timeout=10)
        code: int = event["code"]
        return code

    async def frame(self) -> dict[str, Any]:
        """The next frame."""
        event = await self._output()
        assert event["type"] == "websocket.send", event
        frame: dict[str, Any] = json.loads(event["text"])
        return frame

    async def frame_of(self, kind: str) -> dict[str, Any]:
        """The next frame of a type; what comes before is passed over."""
        while True:
            frame = await self.frame()
            if frame["type"] == kind:
                return frame

    async def say(self, message: dict[str, Any]) -> None:
        """Send JSON."""
        await self.say_raw(json.dumps(message))

    async def say_raw(self, text: str | None = None, data: bytes | None = None) -> None:
        """Send anything."""
        await self._socket.send_input({"type": "websocket.receive", "text": text, "bytes": data})

    async def leave(self) -> None:
        """Close the socket and wait until the server's side has ended."""
        await self._socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._socket.wait(timeout=15)


Open = Callable[..., Any]

PULSE = "pulse."
"""How the groups begin by which a process notices that it has missed something."""


async def lose_pulses(layer: InMemoryChannelLayer) -> None:
    """Have the process hear a pulse far ahead of the last one."""
    [group] = [group for group in layer.groups if group.startswith(PULSE)]
    await layer.group_send(group, {"type": "pulse", "number": 1_000_000})


@pytest.fixture
async def browse(layer: InMemoryChannelLayer, token: str) -> AsyncIterator[Open]:
    """Opens sockets as the account's owner, unless other headers are given; they are left at the end."""
    get_broadcaster().use_loop(asyncio.get_running_loop())
    opened: list[Browser] = []

    async def open_socket(path: str, headers: dict[str, str] | None = None) -> Browser:
        browser = Browser(path, {"authorization": f"Bearer {token}"} if headers is None else headers)
        opened.append(browser)
        return await browser.open()

    yield open_socket
    for browser in opened:
        await browser.leave()
