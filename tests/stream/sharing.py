"""What the tests of sharing stand on: many accounts, a venue that numbers their ticks, and browsers that watch them."""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from django.contrib.auth import get_user_model
from kombu import Connection

from ctrader_app.broadcast.groups import price_group
from ctrader_app.consumers.sockets.hub import hub
from ctrader_app.models import TradingAccount
from ctrader_app.wire.headers import ACCOUNT_HEADER
from tests.stream import events


def make_accounts(count: int) -> list[TradingAccount]:
    """So many accounts of one user, with logins."""
    user = get_user_model().objects.create_user(username="owner of many")
    return TradingAccount.objects.bulk_create(
        TradingAccount(user=user, name=f"account {number}", broker_login=str(5_000_000 + number))
        for number in range(count)
    )


class Venue:
    """Publishes ticks as a microservice does. Each account's bids are 1, 2, 3 and so on."""

    def __init__(self, url: str, exchange: str, accounts: Sequence[TradingAccount]) -> None:
        self._connection = Connection(url)
        self._producer = self._connection.Producer()
        self._exchange = exchange
        self._accounts = accounts
        self.rounds = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.release()

    @property
    def published(self) -> int:
        """Ticks so far."""
        return self.rounds * len(self._accounts)

    def publish_round(self, *, with_header: bool = True) -> None:
        """One tick of every account; odd rounds under flat keys, even ones under the account's."""
        self.rounds += 1
        for account in self._accounts:
            body = events.tick(account, float(self.rounds), occurred_at=datetime.now(UTC))
            self._producer.publish(
                body, exchange=self._exchange,
                routing_key="price.tick" if self.rounds % 2 else f"account.{account.wire_id}.price.tick",
                headers={ACCOUNT_HEADER: account.wire_id} if with_header else {},
                content_type="application/json", content_encoding="utf-8", delivery_mode=1,
            )  # fmt: skip


@contextmanager
def trading(venue: Venue, pause_s: float = 0.01) -> Iterator[None]:
    """Rounds one after the other, from a thread, within the block."""
    over = threading.Event()

    def publish() -> None:
        while not over.wait(pause_s):
            venue.publish_round()

    thread = threading.Thread(target=publish, name="test-venue")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Page:
    def __init__(self, bids: list[float]) -> None:
        self._bids = bids

    def offer(self, key: Hashable, text: str) -> None:
        self._bids.append(json.loads(text)["data"]["bid"])


class Browsers:
    """The web process's end of the channel layer, on a loop of its own: ``bids`` is what each account's page is
    handed, in order."""

    def __init__(self, accounts: Sequence[TradingAccount], layer: Any) -> None:
        self.bids: dict[Any, list[float]] = defaultdict(list)
        self._accounts = accounts
        self._layer = layer
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-browsers")

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._join(), self._loop).result(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _join(self) -> None:
        self._pages = {account.pk: _Page(self.bids[account.pk]) for account in self._accounts}
        for account_id, page in self._pages.items():
            await hub().join(price_group(account_id, "EURUSD"), page)

    async def _leave(self) -> None:
        for account_id, page in self._pages.items():
            await hub().leave(price_group(account_id, "EURUSD"), page)
        await self._layer.flush()

    def all_have(self, bid: float) -> bool:
        """Whether each page was handed this bid or a later one."""
        return all(bids and bids[-1] >= bid for bids in self.bids.values())

    def gone_back(self) -> list[Any]:
        """The accounts whose page was handed an older bid after a newer one."""
        return [account for account, bids in self.bids.items() if bids != sorted(bids)]
