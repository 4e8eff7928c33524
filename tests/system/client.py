"""The system from outside: the JSON API, the sockets and the admin, as any program or browser speaks to them."""

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.waiting import wait_until

Json = dict[str, Any]
HTTP_TIMEOUT_S = 40.0
SETTLE_S = 45.0
"""For an operation to become final while processes die and brokers restart on two processors."""

FINAL = frozenset({"succeeded", "refused", "expired", "failed"})


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, decoded."""

    status: int
    body: Any

    @property
    def error_code(self) -> str:
        """The code of an error, or of an operation's error."""
        return str(self.body["error"]["code"])


class Api:
    """The JSON API with a Bearer token, for one account. `root` has no slash at its end."""

    def __init__(self, root: str, token: str, account: str) -> None:
        self.root = root
        self.token = token
        self.account = account

    @property
    def account_id(self) -> uuid.UUID:
        """The account, for queries."""
        return uuid.UUID(self.account)

    def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None, wait_s: float | None = None
    ) -> Reply:
        """Any call; `{}` in the path is the account's address."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        url = f"{self.root}/api/{path.format(f'accounts/{self.account}')}"
        params = None if wait_s is None else {"wait": str(wait_s)}
        response = requests.request(method, url, json=body, params=params, headers=headers, timeout=HTTP_TIMEOUT_S)
        return Reply(response.status_code, response.json())

    def get(self, path: str) -> Any:
        """A read that has to succeed: the decoded body."""
        reply = self.call("GET", path)
        assert reply.status == 200, reply
        return reply.body

    def trade(self, *, key: str | None = None, wait_s: float | None = 20.0, **order: Any) -> Reply:
        """Place a market order for 0.1 lots of EURUSD, changed as said."""
        body = {"symbol": "EURUSD", "direction": "BUY", "volume": 0.1} | order
        return self.call("POST", "{}/trades", body, key=key, wait_s=wait_s)

    def opened(self, **order: Any) -> str:
        """Open a position; its id."""
        reply = self.trade(**order)
        assert reply.status == 200, reply
        return str(reply.body["result"]["opened_position_ticket"])

    def close(self, position_id: str, volume: float | None = None, *, wait_s: float | None = 20.0) -> Reply:
        """Close a position, wholly or in part."""
        body = {} if volume is None else {"volume": volume}
        return self.call("POST", f"{{}}/positions/{position_id}/close", body, wait_s=wait_s)

    def protect(self, position_id: str, *, wait_s: float | None = 20.0, **levels: float | None) -> Reply:
        """Set, keep or remove levels."""
        return self.call("PATCH", f"{{}}/positions/{position_id}/protection", levels, wait_s=wait_s)

    def cancel(self, order_id: str, *, wait_s: float | None = 20.0) -> Reply:
        """Cancel a working order."""
        return self.call("DELETE", f"{{}}/orders/{order_id}", wait_s=wait_s)

    def operation(self, operation_id: str) -> Json:
        """An operation as it stands."""
        found: Json = self.get(f"operations/{operation_id}")
        return found

    def wait_state(self, operation_id: str, states: frozenset[str] | set[str], timeout_s: float = SETTLE_S) -> Json:
        """Wait until an operation is in one of these states."""
        last: Json = {}

        def reached() -> bool:
            last.update(self.operation(operation_id))
            return last["state"] in states

        wait_until(reached, timeout_s, lambda: f"operation in {sorted(states)}: {last}")
        return last

    def settled(self, operation_id: str, timeout_s: float = SETTLE_S) -> Json:
        """Wait until an operation is final."""
        return self.wait_state(operation_id, FINAL, timeout_s)

    def positions(self) -> dict[str, Json]:
        """The open positions by id, read at the venue."""
        return {row["position_id"]: row for row in self.get("{}/positions")}

    def bid(self, symbol: str = "EURUSD") -> float:
        """The present bid."""
        return float(self.get(f"{{}}/price/{symbol}")["bid"])

    # -- sockets -----------------------------------------------------------------------------------------------------

    def ticket(self) -> str:
        """A ticket for one socket."""
        reply = self.call("POST", "ws-ticket")
        assert reply.status == 200, reply
        return str(reply.body["ticket"])

    def prices(self, symbol: str = "EURUSD") -> "Socket":
        """The price socket of a symbol, opened with a ticket."""
        path = f"prices/{self.account}/{quote(symbol, safe='')}/?ticket={self.ticket()}"
        return Socket(socket_url(self.root, path))

    def account_socket(self) -> "Socket":
        """The account's socket, opened with the token."""
        url = socket_url(self.root, f"accounts/{self.account}/")
        return Socket(url, {"Authorization": f"Bearer {self.token}"})


def socket_url(root: str, path: str) -> str:
    """A WebSocket's address."""
    return f"{root.replace('http', 'ws', 1)}/ws/{path}"


class Socket:
    """A WebSocket that keeps what it heard. Open it in a with statement."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        # Unbounded: a test that looks elsewhere for a while must not be taken for a browser that hangs.
        self._opening = connect(
            url, additional_headers=headers, open_timeout=10, close_timeout=2, proxy=None, max_queue=None
        )
        self._connection: ClientConnection | None = None
        self.heard: list[Json] = []

    def __enter__(self) -> Self:
        self._connection = self._opening.__enter__()
        return self

    @property
    def connection(self) -> ClientConnection:
        """The open connection."""
        assert self._connection is not None, "use it in a with statement"
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opening.__exit__(kind, error, trace)

    def say(self, **message: object) -> None:
        """Send a JSON object."""
        self.connection.send(json.dumps(message))

    def hear(self, timeout_s: float) -> Json | None:
        """The next frame; None when none came in time. Raises ConnectionClosed."""
        try:
            frame: Json = json.loads(self.connection.recv(timeout=timeout_s))
        except TimeoutError:
            return None
        self.heard.append(frame)
        return frame

    def wait_for(self, fits: Callable[[Json], bool], what: str, timeout_s: float = 20.0) -> Json:
        """The next frame that fits; AssertionError when none came in time."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            frame = self.hear(left_s)
            if frame is not None and fits(frame):
                return frame
        raise AssertionError(f"no {what} within {timeout_s:g} s; heard {self.heard[-5:]}")

    def wait_price(self, symbol: str = "EURUSD", timeout_s: float = 20.0) -> Json:
        """The next price."""
        frame = self.wait_for(
            lambda heard: heard["type"] == "live_price" and heard["data"]["symbol"] == symbol, "price", timeout_s
        )
        data: Json = frame["data"]
        return data

    def wait_operation(self, operation_id: str, state: str, timeout_s: float = 20.0) -> Json:
        """The operation in a state."""
        frame = self.wait_for(
            lambda heard: (
                heard["type"] == "operation_update"
                and heard["data"]["id"] == operation_id
                and heard["data"]["state"] == state
            ),
            f"operation_update with {state}",
            timeout_s,
        )
        data: Json = frame["data"]
        return data

    def wait_positions(self, fits: Callable[[list[Json]], bool], what: str, timeout_s: float = 20.0) -> list[Json]:
        """The open positions once they fit."""
        frame = self.wait_for(
            lambda heard: (
                heard["type"] == "account_update"
                and "open_positions" in heard["data"]
                and fits(heard["data"]["open_positions"])
            ),
            what,
            timeout_s,
        )
        rows: list[Json] = frame["data"]["open_positions"]
        return rows

    def close_code(self, timeout_s: float = 10.0) -> int | None:
        """Wait until the other side closes; its code."""
        try:
            while self.hear(timeout_s) is not None:
                continue
        except ConnectionClosed:
            return self.connection.close_code
        raise AssertionError(f"the socket is still open after {timeout_s:g} s; heard {self.heard[-3:]}")


def has_ticket(position_id: str) -> Callable[[list[Json]], bool]:
    """Rows that hold a position."""
    return lambda rows: position_id in [str(row["ticket"]) for row in rows]


def lacks_ticket(position_id: str) -> Callable[[list[Json]], bool]:
    """Rows that do not hold a position."""
    return lambda rows: position_id not in [str(row["ticket"]) for row in rows]


class Browser:
    """The pages behind the admin's sign-in, with cookies and without a script."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def sign_in(self, username: str, password: str) -> Self:
        """Through the admin's own form."""
        self.post("/admin/login/?next=/admin/", {"username": username, "password": password})
        return self

    def get(self, path: str) -> requests.Response:
        """A page, redirects not followed."""
        return self._session.get(self._root + path, timeout=HTTP_TIMEOUT_S, allow_redirects=False)

    def post(self, path: str, fields: dict[str, str]) -> requests.Response:
        """Fill in the form of a page."""
        page = self.get(path)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token is not None, f"no form at {path}: {page.status_code}"
        fields = {**fields, "csrfmiddlewaretoken": token.group(1)}
        headers = {"Referer": self._root + path}
        return self._session.post(
            self._root + path, data=fields, headers=headers, timeout=HTTP_TIMEOUT_S, allow_redirects=False
        )


def new_key() -> str:
    """An idempotency key."""
    return str(uuid.uuid4())
