"""What tests of the write path share: a bundled microservice, its control endpoints, accounts and intents."""

import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests
from django.contrib.auth import get_user_model

from connectors.base import TradeRequest
from ctrader_app.domain.intents import PlaceIntent
from ctrader_app.domain.operations import Kind
from ctrader_app.models import Operation, TradingAccount
from microservice.server import BundledMicroservice
from microservice.settings import Settings
from tests.settings import TEST_SHARED_SECRET

_numbers = itertools.count(1)


def start_microservice(state: Path, *, amqp_url: str = "memory://") -> BundledMicroservice:
    """A running microservice on a free port whose market stands still."""
    service = BundledMicroservice(Settings(secret=TEST_SHARED_SECRET, amqp_url=amqp_url, port=0, state=state, speed=0))
    service.start()
    return service


def make_account(**fields: Any) -> TradingAccount:
    """A new user's new account."""
    number = next(_numbers)
    user = get_user_model().objects.create_user(username=f"trader-{number}")
    return TradingAccount.objects.create(user=user, name=f"account {number}", **fields)


def order(**fields: Any) -> PlaceIntent:
    """A market order for 0.1 lots of EURUSD, changed as the test says."""
    request: dict[str, Any] = {"symbol": "EURUSD", "lot_size": "0.1", "direction": "BUY", **fields}
    return PlaceIntent.of_request(TradeRequest(**request))


def changes_no_level(row: Operation) -> bool:
    """Whether it is a modification to the levels that were there: a target reached with and without an effect."""
    before, wanted = row.baseline or {}, row.body or {}
    names = ("stop_loss", "take_profit")
    return row.kind == Kind.MODIFY and all(_level(before.get(name)) == _level(wanted.get(name)) for name in names)


def _level(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


class Venue:
    """The paper venue's control endpoints."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {TEST_SHARED_SECRET}"

    def arm(self, endpoint: str, fault: str, count: int = 1, **extra: Any) -> None:
        """Let the next ``count`` requests to ``endpoint`` meet ``fault``."""
        body = {"endpoint": endpoint, "kind": fault, "count": count, **extra}
        self._checked(self._session.post(f"{self.base_url}/_faults", json=body, timeout=5))

    def disarm(self) -> None:
        """No more faults."""
        self._checked(self._session.delete(f"{self.base_url}/_faults", timeout=5))

    def effects(self, **query: str) -> dict[str, Any]:
        """What really happened at the venue."""
        response = self._session.get(f"{self.base_url}/_effects", params=query, timeout=5)
        return self._checked(response)

    def move(self, symbol: str, bid: float) -> None:
        """Set a symbol's bid."""
        body = {"symbol": symbol, "bid": bid}
        self._checked(self._session.post(f"{self.base_url}/_market", json=body, timeout=5))

    def _checked(self, response: requests.Response) -> dict[str, Any]:
        assert response.ok, response.text
        data: dict[str, Any] = response.json()
        return data
