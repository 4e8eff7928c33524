"""From a raw message to its effect: one for each queue, sharing the rules of who may be meant and what is dispatched
where. What a message is, is decided by its envelope; the queue it came by decides only how it is acknowledged."""

import logging
import threading
import time
from typing import Any

from django.db import Error as DatabaseFailure
from django.db import close_old_connections

from ctrader_app.consumers.stream.accounts import AccountBook, AccountsAwayError
from ctrader_app.consumers.stream.budget import ErrorBudget, StreamFailedError
from ctrader_app.consumers.stream.counters import Tally
from ctrader_app.consumers.stream.graveyard import Graveyard
from ctrader_app.consumers.stream.market import MarketRelay
from ctrader_app.consumers.stream.reader import QueueReader, raw_body
from ctrader_app.consumers.stream.state import StateEvent, StateEvents
from ctrader_app.consumers.stream.topology import Topology
from ctrader_app.consumers.stream.verdicts import Ruling, Verdict, rule
from ctrader_app.wire.errors import BadEvent
from ctrader_app.wire.events import (
    AccountInfoChanged,
    AnyEvent,
    CandleUpdate,
    EventType,
    IgnoredEvent,
    PositionClosed,
    PositionsSnapshot,
    PriceTick,
    parse_event,
    read_event,
)

logger = logging.getLogger(__name__)

TIDY_S = 1.0

NEVER_AGAIN = 2**31
"""The attempt at which nothing is held any more."""

_NAMES: dict[type, str] = {
    PositionsSnapshot: EventType.POSITIONS_SNAPSHOT.value,
    PositionClosed: EventType.POSITION_CLOSED.value,
    AccountInfoChanged: EventType.ACCOUNT_INFO.value,
}


class MarketIntake:
    """The market queue: nothing is acknowledged, nothing waits, and no error reaches the reader.

    A state event that came this way by its routing key is passed on to the state queue, where it is safe.
    """

    def __init__(
        self, accounts: AccountBook, relay: MarketRelay, graveyard: Graveyard, tally: Tally, state_queue: str
    ) -> None:
        self._accounts = accounts
        self._relay = relay
        self._graveyard = graveyard
        self._tally = tally
        self._state_queue = state_queue
        self.reader: QueueReader | None = None
        self.last_event_s = 0.0

    def handle(self, message: Any) -> None:
        """Take one message. Raises only when the broker is lost."""
        self.last_event_s = time.time()
        unreadable: BadEvent | None = None
        misrouted: StateEvent | None = None
        try:
            event = read_event(raw_body(message))
            if isinstance(event, BadEvent):
                unreadable = event
            else:
                misrouted = self._relay_event(event)
        except DatabaseFailure as error:
            # Only an account never seen before has to be looked up; its next price comes soon enough.
            self._tally.add("dropped.unresolved")
            if not isinstance(error, AccountsAwayError):
                logger.warning("cannot look up an account: %r", error)
                close_old_connections()
        except Exception as error:  # noqa: BLE001 - the one wrapper of this queue: the ruling is by type
            self._bury(message, rule(error, attempt=NEVER_AGAIN))
        if unreadable is not None:
            self._bury(message, rule(unreadable))
        elif misrouted is not None and self.reader is not None:
            self.reader.publish("", self._state_queue, message)
            self._tally.add("passed_on")

    def _relay_event(self, event: AnyEvent) -> StateEvent | None:
        if isinstance(event, PriceTick):
            self._tally.add("received.price.tick")
            self._relay.tick(self._accounts.resolve(event.account_ref, event.broker_login), event)
        elif isinstance(event, CandleUpdate):
            self._tally.add("received.candle.update")
            self._relay.candle(self._accounts.resolve(event.account_ref, event.broker_login), event)
        elif isinstance(event, IgnoredEvent):
            self._tally.add("ignored")
        else:
            return event
        return None

    def _bury(self, message: Any, ruling: Ruling) -> None:
        if ruling.verdict is Verdict.STOP:
            raise StreamFailedError(ruling.detail)
        self._tally.add(f"dead_lettered.{ruling.reason}")
        if ruling.is_error:
            logger.error("a market event cannot be handled: %s", ruling.detail)
        if not self._graveyard.leave(message, ruling):
            self._tally.add("dead_letters_not_kept")


class StateIntake:
    """The state queue: a message is acknowledged after its effect, refused to the dead letters, or held.

    A held message is tried again in its place, unacknowledged, with pauses in which heartbeats go on: order is kept,
    and a database that is away for an hour costs nothing but that hour.
    """

    def __init__(
        self,
        accounts: AccountBook,
        relay: MarketRelay,
        events: StateEvents,
        graveyard: Graveyard,
        tally: Tally,
        topology: Topology,
        budget: ErrorBudget,
        stopping: threading.Event,
    ) -> None:
        self._accounts = accounts
        self._relay = relay
        self._events = events
        self._graveyard = graveyard
        self._tally = tally
        self._topology = topology
        self._budget = budget
        self._stopping = stopping
        self.reader: QueueReader | None = None
        self.last_event_s = 0.0
        self._tidied_s = 0.0

    def handle(self, message: Any) -> None:
        """Take one message. Raises when the broker is lost, and StreamFailedError when it is time to give up."""
        self.last_event_s = time.time()
        if self._topology.is_copy(str((message.delivery_info or {}).get("routing_key") or "")):
            message.ack()
            return
        attempt = 1
        while not self._stopping.is_set():
            ruling = self._judged(message, attempt)
            if ruling.verdict is Verdict.STOP:
                raise StreamFailedError(ruling.detail)
            if ruling.verdict is not Verdict.HOLD:
                return
            self._tally.add("held")
            logger.warning("a state event is held, attempt %d: %s", attempt, ruling.detail)
            self._pause(self._budget.spend(ruling.detail))
            attempt += 1

    def _judged(self, message: Any, attempt: int) -> Ruling:
        """Handle the message and carry out the ruling; what goes wrong in that is ruled on like the rest."""
        error = self._effect_of(message)
        ruling = rule(error, attempt)
        if ruling.verdict is Verdict.ACK:
            message.ack()
            self._budget.restore()
        elif ruling.verdict is Verdict.DEAD_LETTER:
            ruling = self._buried(message, ruling)
        return ruling

    def _effect_of(self, message: Any) -> BaseException | None:
        self._tidy()
        try:
            self._dispatch(raw_body(message))
        except BaseException as error:  # noqa: BLE001 - the one wrapper of this queue: the ruling is by type
            close_old_connections()
            return error
        return None

    def _tidy(self) -> None:
        """Give up a database connection that is old or broken, as Django does around requests.

        After every error, and once a second: a connection for each of a hundred events a second would cost more than
        the events, and one that died meanwhile is an error, after which the event is tried again.
        """
        now_s = time.monotonic()
        if now_s - self._tidied_s >= TIDY_S:
            self._tidied_s = now_s
            close_old_connections()

    def _dispatch(self, body: bytes) -> None:
        event = parse_event(body)
        if isinstance(event, IgnoredEvent):
            self._tally.add("ignored")
            return
        account_id = self._accounts.resolve(event.account_ref, event.broker_login)
        if isinstance(event, PriceTick):
            self._tally.add("received.price.tick")
            self._relay.tick(account_id, event)
        elif isinstance(event, CandleUpdate):
            self._tally.add("received.candle.update")
            self._relay.candle(account_id, event)
        else:
            name = _NAMES[type(event)]
            is_new = self._events.handle(account_id, event)
            self._tally.add(f"received.{name}")
            if not is_new:
                self._tally.add(f"repeated.{name}")

    def _buried(self, message: Any, ruling: Ruling) -> Ruling:
        """Write the letter and refuse the message; HOLD when the letter cannot be written."""
        try:
            self._graveyard.write(message, ruling)
        except DatabaseFailure as error:
            return Ruling(Verdict.HOLD, detail=repr(error), is_error=True)
        message.reject(requeue=False)
        self._tally.add(f"dead_lettered.{ruling.reason}")
        if ruling.is_error:
            logger.error("a state event cannot be handled: %s", ruling.detail)
            self._budget.spend(ruling.detail)
        else:
            self._budget.restore()
        return ruling

    def _pause(self, pause_s: float) -> None:
        until = time.monotonic() + pause_s
        while not self._stopping.wait(min(1.0, max(0.0, until - time.monotonic()))):
            if self.reader is not None:
                self.reader.beat()
            if time.monotonic() >= until:
                return
