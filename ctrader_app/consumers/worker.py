"""The stream worker: two queues on two threads, and two that look after the rest."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.db import Error as DatabaseFailure
from django.db import close_old_connections, connections
from django.utils import timezone

from ctrader_app.broadcast.broadcaster import Broadcaster, get_broadcaster
from ctrader_app.conf import get_settings
from ctrader_app.consumers.stream.accounts import AccountBook
from ctrader_app.consumers.stream.budget import ErrorBudget, StreamFailedError
from ctrader_app.consumers.stream.counters import Tally, total
from ctrader_app.consumers.stream.graveyard import Graveyard
from ctrader_app.consumers.stream.intake import MarketIntake, StateIntake
from ctrader_app.consumers.stream.market import MarketRelay
from ctrader_app.consumers.stream.options import StreamOptions, stream_options
from ctrader_app.consumers.stream.pulse import PulseReport
from ctrader_app.consumers.stream.reader import QueueReader
from ctrader_app.consumers.stream.repair import Repair
from ctrader_app.consumers.stream.sharing import MarketShare
from ctrader_app.consumers.stream.state import StateEvents
from ctrader_app.consumers.stream.topology import Topology
from ctrader_app.ledger import dead_letters, stream_workers
from ctrader_app.operations.staleness import Judge, round_s

__all__ = ["StreamFailedError", "StreamOptions", "StreamWorker", "stream_options"]

logger = logging.getLogger(__name__)

UPKEEP_S = 0.1
LETTERS_S = 1.0
"""A flood of bad events is written down once a second: one by one they would take time from the good ones."""

PRUNE_S = 60.0
SILENT_WORKERS_KEPT = timedelta(days=1)
STOP_TIMEOUT_S = 10.0


class StreamWorker:
    """Reads the event stream until told to stop.

    ``ready`` is set while both queues are being consumed for the first time and stays set; :meth:`stop` may be called
    from any thread and from a signal handler.
    """

    def __init__(self, options: StreamOptions | None = None, broadcaster: Broadcaster | None = None) -> None:
        self._options = options or stream_options()
        self._broadcaster = broadcaster or get_broadcaster()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._failed = threading.Lock()
        self._started_at = timezone.now()
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.ready = threading.Event()
        self._build()

    def _build(self) -> None:
        options, stopping = self._options, self._stopping
        self._market_tally, self._state_tally, self._relay_tally = Tally(), Tally(), Tally()
        self._repair_tally = Tally()
        self._topology = topology = Topology(options)
        self._accounts = AccountBook()
        self._graveyard = Graveyard(options, topology, self._state_tally)
        budget = ErrorBudget(options.error_budget, options.first_pause_s, options.longest_pause_s)
        stale_after_s = get_settings().stale_after_s
        self._relay = MarketRelay(self._broadcaster, self._relay_tally, stale_after_s=stale_after_s)
        self._repair = Repair(self._relay, self._repair_tally, stopping)
        self._report = PulseReport(self._relay.pulse, stale_after_s)
        self._judge = Judge(self.name)
        self._market = MarketIntake(
            self._accounts,
            self._relay,
            self._graveyard,
            self._market_tally,
            topology.state.name,
        )
        self._state = StateIntake(
            self._accounts,
            self._relay,
            StateEvents(options.snapshot_s),
            self._graveyard,
            self._state_tally,
            topology,
            budget,
            stopping,
        )
        self._market.reader = self._market_reader = QueueReader(
            options, topology, topology.market, self._market.handle,
            no_ack=True, tally=self._market_tally, stopping=stopping,
            share=None if topology.shared is None else MarketShare(topology.shared, self._market.handle),
            consuming=self._repair.connected,
        )  # fmt: skip
        self._state.reader = self._state_reader = QueueReader(
            options, topology, topology.state, self._state.handle,
            no_ack=False, tally=self._state_tally, stopping=stopping,
        )  # fmt: skip

    def run(self) -> None:
        """Read until :meth:`stop`. Raises StreamFailedError when the worker has given up."""
        threads = [
            threading.Thread(target=self._guarded, args=(part,), name=f"ctrader-{name}", daemon=True)
            for name, part in (
                ("market", self._market_reader.run),
                ("state", self._state_reader.run),
                ("repair", self._repair.run),
                ("upkeep", self._upkeep),
            )
        ]
        for thread in threads:
            thread.start()
        # Woken often, so that signal handlers of the main thread run.
        while not self._stopping.wait(0.5):
            pass
        for thread in threads:
            thread.join(STOP_TIMEOUT_S)
        self._broadcaster.flush()
        if self._failure is not None:
            raise StreamFailedError(str(self._failure)) from self._failure

    def stop(self) -> None:
        """Ask the worker to end; :meth:`run` returns soon after. What is unacknowledged goes back to its queue."""
        self._stopping.set()

    def counters(self) -> dict[str, int]:
        """What was counted since the start, by name (``received.price.tick``)."""
        sent = {f"layer.{name}": count for name, count in self._broadcaster.stats().items()}
        return total((self._market_tally, self._state_tally, self._relay_tally, self._repair_tally)) | sent

    def _guarded(self, part: Callable[[], None]) -> None:
        """A part that ends before it was told to ends the worker: half a worker must not look like a whole one."""
        try:
            part()
        except BaseException as error:  # the boundary of a thread: run() raises it
            with self._failed:
                self._failure = self._failure or error
            if not isinstance(error, StreamFailedError):
                logger.exception("the stream worker fails")
        finally:
            self._stopping.set()
            connections.close_all()

    # -- upkeep --------------------------------------------------------------------------------------------------

    def _upkeep(self) -> None:
        duties = [
            (self._options.beat_s, self._beat),
            (round_s(get_settings().stale_after_s), self._hear),
            (self._options.accounts_s, self._accounts.refresh),
            (LETTERS_S, self._graveyard.work_off),
            (PRUNE_S, self._prune),
        ]
        due_s = [0.0] * len(duties)
        while not self._stopping.is_set():
            if not self.ready.is_set() and self._market_reader.ready.is_set() and self._state_reader.ready.is_set():
                self.ready.set()
            close_old_connections()
            for index, (every_s, duty) in enumerate(duties):
                if time.monotonic() >= due_s[index]:
                    due_s[index] = time.monotonic() + every_s
                    _attempt(duty)
            self._repair.notice(self._market.last_event_s, self._broadcaster.retries)
            self._stopping.wait(UPKEEP_S)
        _attempt(self._graveyard.work_off)
        self._graveyard.close()
        _attempt(self._judge.leave)
        _attempt(lambda: stream_workers.leave(self.name))

    def _beat(self) -> None:
        last_s = max(self._market.last_event_s, self._state.last_event_s)
        last = datetime.fromtimestamp(last_s, UTC) if last_s else None
        stream_workers.beat(self.name, self._started_at, last, self._account_of_itself())

    def _account_of_itself(self) -> dict[str, object]:
        return {**self.counters(), stream_workers.TICK_AGES: self._relay.ages.report()}

    def _hear(self) -> None:
        # Said before it is judged: what was heard here must not be called silent here.
        self._report.send(time.time())
        self._judge.round()

    def _prune(self) -> None:
        dead_letters.prune()
        stream_workers.prune(timezone.now() - SILENT_WORKERS_KEPT)


def _attempt(duty: Callable[[], object]) -> None:
    try:
        duty()
    except DatabaseFailure as error:
        # A database that is away is noticed by those who need it for more than a sign of life.
        logger.warning("upkeep of the stream worker: %r", error)
        close_old_connections()
