"""The service under test and how it is spoken to: only what the contract says, and every alias it allows."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import requests

TIMEOUT_S = 10.0
Json = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """Where a service is. `base_url` includes the path prefix, and has no slash at its end."""

    name: str
    base_url: str
    secret: str = field(repr=False)
    amqp_url: str | None = field(default=None, repr=False)
    exchange: str = "ctrader.events"
    symbol: str = "EURUSD"
    other_symbol: str = "GBPUSD"
    account_id: str | None = None
    """An account to use; None: the service takes any new one."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Answer:
    """A status and a decoded body."""

    status: int
    body: Any

    def ok(self) -> Json:
        """The body of an answer that did what was asked."""
        assert self.status == 200, f"{self.status} {self.body}"
        assert isinstance(self.body, dict)
        assert self.refusal() is None, self.body
        return self.body

    def refusal(self) -> tuple[str, str] | None:
        """Code and message of a refusal, by an error status or by a rejection inside a 200; None otherwise."""
        if self.status == 200:
            return _rejection(self.body)
        if self.status in (400, 404, 409, 422):
            return error_of(self)
        return None


def error_of(answer: Answer) -> tuple[str, str]:
    """Code and message of an error body, which has to have the contract's shape."""
    assert isinstance(answer.body, dict), answer
    error = answer.body.get("error")
    assert isinstance(error, dict), answer
    code, message = error.get("code"), error.get("message")
    assert isinstance(code, str), answer
    assert code, answer
    assert isinstance(message, str), answer
    assert message, answer
    return code, message


def _rejection(body: object) -> tuple[str, str] | None:
    if not isinstance(body, Mapping):
        return None
    if body.get("status") == "rejected":
        error = body.get("error")
        if isinstance(error, Mapping):
            return str(error.get("code", "REJECTED")), str(error.get("message", "rejected"))
        return "REJECTED", str(error or "rejected")
    if body.get("errorCode"):
        return str(body["errorCode"]), str(body.get("description", "rejected"))
    return next((found for value in body.values() if (found := _rejection(value))), None)


class Caller:
    """An honest caller: the headers of every request, account_id in every body, one connection kept.

    Not for two threads at once.
    """

    def __init__(self, target: Target, account_id: str) -> None:
        self.target = target
        self.account_id = account_id
        self.symbol = target.symbol
        self._session = requests.Session()
        self._session.trust_env = False

    @classmethod
    @contextmanager
    def opened(cls, target: Target, account_id: str | None = None) -> Iterator[Self]:
        """A connected caller; what it leaves open is closed at the end."""
        caller = cls(target, account_id or target.account_id or str(uuid.uuid4()))
        try:
            caller.connect()
            yield caller
            caller.tidy()
        finally:
            caller.end()

    def end(self) -> None:
        """Close the connection."""
        self._session.close()

    def connect(self, internal_id: str | None = None) -> Json:
        """POST /connect."""
        return self.post("/connect", internal_account_id=internal_id or str(uuid.uuid4())).ok()

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """Send anything; `headers` replace those that an honest caller sends."""
        headers = {"Authorization": f"Bearer {self.target.secret}", "X-Request-ID": str(uuid.uuid4())}
        headers |= options.pop("headers", {})
        response = self._session.request(
            method, self.target.base_url + path, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, **options
        )
        return Answer(response.status_code, response.json())

    def get(self, path: str, **query: object) -> Answer:
        """A read."""
        return self.request("GET", path, params={"account_id": self.account_id, **query})

    def post(self, path: str, **body: object) -> Answer:
        """Anything that is neither a read nor a write."""
        return self.request("POST", path, json={"account_id": self.account_id, **body})

    def write(self, path: str, key: str | None = None, **body: object) -> Answer:
        """A write, under a new key unless one is given."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self.request("POST", path, json={"account_id": self.account_id, **body}, headers=headers)

    def place(self, key: str | None = None, /, **changes: object) -> Answer:
        """A market order for 0.1 lots, changed as said."""
        body = {
            "symbol": self.symbol, "direction": "BUY", "volume": 0.1, "order_type": "MARKET",
            "client_order_id": uuid.uuid4().hex,
        }  # fmt: skip
        return self.write("/trade/place", key, **(body | changes))

    def close(self, position_id: str, volume: float, key: str | None = None) -> Answer:
        """Close some lots."""
        return self.write(
            "/trade/close", key, position_id=position_id, symbol=self.symbol, volume=volume,
            client_order_id=uuid.uuid4().hex,
        )  # fmt: skip

    def modify(self, position_id: str, stop_loss: float | None, take_profit: float | None) -> Answer:
        """Set both levels."""
        return self.write(
            "/trade/modify-protection", position_id=position_id, symbol=self.symbol, stop_loss=stop_loss,
            take_profit=take_profit,
        )  # fmt: skip

    def cancel(self, order_id: str, key: str | None = None) -> Answer:
        """Cancel an order."""
        return self.write("/order/cancel", key, order_id=order_id)

    def bid(self) -> float:
        """The present bid."""
        return float(self.get("/price", symbol=self.symbol).ok()["bid"])

    def positions(self) -> dict[str, Json]:
        """The open positions by id."""
        rows = self.get("/open-positions").ok()["open_positions"]
        assert isinstance(rows, list)
        return {position_id(row): row for row in rows}

    def orders(self) -> dict[str, Json] | None:
        """The working orders by id; None when the service does not list them."""
        rows = self.get("/open-positions").ok().get("pending_orders")
        return None if rows is None else {str(first(row, "order_id", "orderId", "id", "ticket")): row for row in rows}

    def tidy(self) -> None:
        """Leave nothing open."""
        for identity, row in self.positions().items():
            self.close(identity, float(row["volume"])).ok()
        for identity in self.orders() or {}:
            self.cancel(identity).ok()


# -- what a row says, under whatever name ----------------------------------------------------------------------------


def first(row: Mapping[str, Any], *names: str) -> Any:
    """The value of the first of these names that is there."""
    found = [row[name] for name in names if name in row]
    assert found, f"none of {names} in {row}"
    return found[0]


def position_id(row: Mapping[str, Any]) -> str:
    """The id of a position."""
    return str(first(row, "position_id", "positionId", "id", "ticket"))


def direction(row: Mapping[str, Any]) -> str:
    """BUY or SELL."""
    return str(first(row, "direction", "side")).upper()


def open_price(row: Mapping[str, Any]) -> float:
    """The price of the fill."""
    return float(first(row, "open_price", "openPrice", "price_open"))


def levels(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Stop loss and take profit; None (or 0, or absent) is none."""
    stop_loss = row.get("stop_loss", row.get("sl"))
    take_profit = row.get("take_profit", row.get("tp"))
    return (float(stop_loss) if stop_loss else None), (float(take_profit) if take_profit else None)


def moment_s(row: Mapping[str, Any], *names: str) -> float:
    """A time in epoch seconds: ISO-8601 with its zone, epoch seconds or epoch milliseconds."""
    value = first(row, *names)
    if isinstance(value, str):
        parsed = datetime.fromisoformat(value)
        assert parsed.tzinfo is not None, f"{value} has no zone"
        return parsed.timestamp()
    assert isinstance(value, int | float), value
    return value / 1000 if value > 1e11 else float(value)
