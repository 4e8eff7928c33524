"""The whole microservice in this process, a client for it, and a reader of its events."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import kombu
import requests

from ctrader_app.wire.events import AnyEvent, parse_event
from microservice.server import BundledMicroservice
from microservice.settings import Settings
from tests.support.waiting import wait_until

SECRET = "a-test-secret"
ACCOUNT = "4711"
INTERNAL = "0b6f3a52-5f3e-4c53-9a43-0f2b6a7d8e11"
Json = dict[str, Any]
Kind = TypeVar("Kind", bound=AnyEvent)


@dataclass
class Service:
    """A running microservice."""

    app: BundledMicroservice
    exchange: str
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.headers["Authorization"] = f"Bearer {SECRET}"

    @property
    def url(self) -> str:
        return self.app.base_url

    def get(self, path: str, **query: object) -> requests.Response:
        return self.session.get(self.url + path, params=query, timeout=5)  # type: ignore[arg-type]

    def read(self, path: str, **query: object) -> Json:
        """GET for the connected account; the answer must be 200."""
        response = self.get(path, account_id=ACCOUNT, **query)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def post(self, path: str, key: str | None = None, **body: object) -> requests.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.session.post(self.url + path, json=body, headers=headers, timeout=5)

    def connect(self, account_id: str = ACCOUNT) -> Json:
        response = self.post("/connect", account_id=account_id, internal_account_id=INTERNAL)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def place(self, key: str | None = None, **changes: Any) -> requests.Response:
        body: Json = {"account_id": ACCOUNT, "symbol": "EURUSD", "direction": "BUY", "volume": 0.1, **changes}
        return self.post("/trade/place", key or str(uuid.uuid4()), **body)

    def open(self, **changes: Any) -> str:
        response = self.place(**changes)
        assert response.status_code == 200, response.text
        return str(response.json()["position_id"])

    def close(self, position_id: str, volume: float = 0.1, key: str | None = None) -> requests.Response:
        return self.post(
            "/trade/close", key or str(uuid.uuid4()), account_id=ACCOUNT, position_id=position_id,
            symbol="EURUSD", volume=volume,
        )  # fmt: skip

    def bid(self, price: float, symbol: str = "EURUSD") -> Json:
        response = self.post("/_market", symbol=symbol, bid=price, hold=True)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def arm(self, **fault: Any) -> None:
        response = self.post("/_faults", **fault)
        assert response.status_code == 200, response.text

    def effects(self, **by: object) -> Json:
        response = self.get("/_effects", **by)
        assert response.status_code == 200, response.text
        return dict(response.json())


class EventReader:
    """A queue bound to the exchange of one microservice; reads on the thread of the test."""

    def __init__(self, exchange: str) -> None:
        self._connection = kombu.Connection("memory://")
        channel = self._connection.channel()
        topic = kombu.Exchange(exchange, type="topic", durable=True)
        self._queue = kombu.Queue(f"{exchange}.test.{uuid.uuid4()}", topic, routing_key="#", channel=channel)
        self._queue.declare()
        self.bodies: list[bytes] = []
        self.keys: list[str] = []

    def _drain(self) -> None:
        while (message := self._queue.get(no_ack=True)) is not None:
            body: object = message.body  # the stubs say text; raw bodies are bytes
            assert isinstance(body, bytes)
            self.bodies.append(body)
            self.keys.append(message.delivery_info["routing_key"])

    def raw(self) -> list[bytes]:
        """All bodies so far."""
        self._drain()
        return list(self.bodies)

    def forget(self) -> None:
        """Begin anew."""
        self._drain()
        self.bodies.clear()
        self.keys.clear()

    def events(self) -> list[AnyEvent]:
        """All events so far, read as the consumer reads them."""
        self._drain()
        return [parse_event(body) for body in self.bodies]

    def wait_for(self, kind: type[Kind], wanted: Callable[[Kind], bool] = lambda _: True) -> Kind:
        """Wait for an event of a type, that satisfies a condition."""
        found: list[Kind] = []

        def arrived() -> bool:
            found[:] = [event for event in self.events() if isinstance(event, kind) and wanted(event)]
            return bool(found)

        wait_until(arrived, timeout_s=10)
        return found[0]

    def close(self) -> None:
        self._queue.delete()
        self._connection.release()


def settings(state: Path, exchange: str, **changes: Any) -> Settings:
    values: Json = {
        "secret": SECRET,
        "amqp_url": "memory://",
        "port": 0,
        "state": state,
        "seed": 3,
        "events_exchange": exchange,
        **changes,
    }
    return Settings(**values)
