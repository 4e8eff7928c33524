"""What callers do: several threads that live through small stories of trades, through TradingService alone."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.db import Error as DatabaseError
from django.db import connections

from connectors.base import OperationHandle
from connectors.errors import ConnectorError
from connectors.trading_service import TradingService
from ctrader_app.models import TradingAccount

THREADS = 12
ACCOUNTS = 8
"""The venue takes 1,000 positions and orders an account."""

PATIENCE_S = 15.0
"""How long a story waits for a step that the next one needs; the operation itself goes on without it."""

RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class Submitted:
    """One intent that a caller was told is recorded."""

    key: str
    operation_id: str


class Spent(Exception):  # noqa: N818 - it ends the stories, nothing went wrong
    """All the writes of the run have been submitted."""


class Load:
    """``operations`` writes of all kinds; ``on_submit`` is called after each."""

    def __init__(self, operations: int, seed: int) -> None:
        self._operations = operations
        self._seed = seed
        self._lock = threading.Lock()
        self._taken = 0
        self.submitted: list[Submitted] = []
        self.submit_ms: list[float] = []
        self.on_submit: Callable[[], None] = lambda: None
        self._failures: list[BaseException] = []
        self._services = [_service() for _ in range(ACCOUNTS)]

    def progress(self) -> int:
        """How many writes were recorded."""
        return len(self.submitted)

    def run(self) -> None:
        """Submit all of them; returns when the last one is recorded. Raises what a caller should never see."""
        threads = [threading.Thread(target=self._live, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _live(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        try:
            while True:
                chance.choice(STORIES)(Actor(self, chance.choice(self._services), chance))
        except Spent:
            pass
        except BaseException as error:  # noqa: BLE001 - a thread's failure is handed to whoever waits for it
            self._failures.append(error)
        finally:
            connections.close_all()

    def submit(self, call: Callable[[str], OperationHandle]) -> OperationHandle:
        """One write, recorded: while the database is away the caller repeats it under the same key."""
        with self._lock:
            if self._taken >= self._operations:
                raise Spent
            self._taken += 1
        key = str(uuid.uuid4())
        while True:
            started = time.perf_counter()
            try:
                handle = call(key)
            except DatabaseError:
                connections.close_all()
                time.sleep(RETRY_S)
                continue
            with self._lock:
                self.submit_ms.append((time.perf_counter() - started) * 1000)
                self.submitted.append(Submitted(key, handle.operation_id))
            self.on_submit()
            return handle


class Actor:
    """One caller in one story."""

    def __init__(self, load: Load, service: TradingService, chance: random.Random) -> None:
        self._load = load
        self._service = service
        self.chance = chance

    def place(self, side: str = "BUY") -> OperationHandle:
        """An order for a few hundredths of a lot."""
        lots = self.chance.choice((0.03, 0.04, 0.05))
        return self._load.submit(
            lambda key: self._service.submit_place_trade("EURUSD", lots, side, idempotency_key=key)
        )

    def limit(self) -> OperationHandle:
        """An order far from the market."""
        return self._load.submit(
            lambda key: self._service.submit_place_trade(
                "EURUSD", 0.03, "BUY", order_type="LIMIT", limit_price=0.5, idempotency_key=key
            )
        )

    def close(self, position_id: str, lots: float | None) -> OperationHandle:
        """Close some lots, or all."""
        return self._load.submit(
            lambda key: self._service.submit_close_position(position_id, lots, "EURUSD", idempotency_key=key)
        )

    def protect(self, position_id: str) -> OperationHandle:
        """Levels far from the market, for a position that was bought."""
        stop, target = self.chance.choice((None, 0.8, 0.9)), self.chance.choice((0, 1.5, 1.6))
        return self._load.submit(
            lambda key: self._service.submit_modify_position_protection(
                position_id, "EURUSD", stop, target, idempotency_key=key
            )
        )

    def cancel(self, order_id: str) -> OperationHandle:
        """Take a working order back."""
        return self._load.submit(lambda key: self._service.submit_cancel_order(order_id, idempotency_key=key))

    def known(self, handle: OperationHandle, name: str) -> str | None:
        """A field of the outcome, or None when there is none in time."""
        try:
            value = handle.wait(PATIENCE_S).get(name)
        except ConnectorError:
            return None
        except DatabaseError:
            connections.close_all()
            return None
        return None if value is None else str(value)


def _open_and_close(actor: Actor) -> None:
    position_id = actor.known(actor.place(), "opened_position_ticket")
    if position_id is None:
        return
    actor.known(actor.protect(position_id), "retcode")
    actor.known(actor.close(position_id, 0.01), "retcode")
    actor.close(position_id, None)


def _all_at_once(actor: Actor) -> None:
    """Five writes of one lane, none waited for."""
    position_id = actor.known(actor.place(), "opened_position_ticket")
    if position_id is None:
        return
    actor.protect(position_id)
    actor.close(position_id, 0.01)
    actor.protect(position_id)
    actor.close(position_id, 0.01)
    actor.close(position_id, None)


def _work_and_cancel(actor: Actor) -> None:
    order_id = actor.known(actor.limit(), "order_id")
    if order_id is not None:
        actor.cancel(order_id)


def _burst(actor: Actor) -> None:
    handles = [actor.place(side) for side in ("BUY", "SELL", "BUY", "SELL")]
    for handle in handles:
        position_id = actor.known(handle, "opened_position_ticket")
        if position_id is not None:
            actor.close(position_id, None)


STORIES: tuple[Callable[[Actor], None], ...] = (_open_and_close, _all_at_once, _work_and_cancel, _burst)


def _service() -> TradingService:
    user, _ = get_user_model().objects.get_or_create(username="chaos")
    service = TradingService(TradingAccount.objects.create(user=user, name=str(uuid.uuid4())))
    service.connect_sync()
    return service
