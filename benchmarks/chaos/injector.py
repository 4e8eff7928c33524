"""Make the schedule happen, one breakage after the other, and leave everything running at the end."""

import contextlib
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable

import requests

from benchmarks.chaos.schedule import Breakage, Schedule
from benchmarks.chaos.system import Site
from tests.settings import TEST_SHARED_SECRET
from tests.support.kin import children_of

logger = logging.getLogger(__name__)


class Injector:
    """Runs in a thread of its own; ``submitted`` says how far the load has come."""

    def __init__(self, site: Site, schedule: Schedule, submitted: Callable[[], int]) -> None:
        self._site = site
        self._schedule = schedule
        self._submitted = submitted
        self._moved = threading.Condition()
        self.done: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="chaos")

    def start(self) -> None:
        """Begin; breakages wait for their number of writes."""
        self._thread.start()

    def notify(self) -> None:
        """The load has come further."""
        with self._moved:
            self._moved.notify()

    def finish(self) -> None:
        """Wait until the whole schedule has happened. Raises what kept it from happening."""
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def heal(self) -> None:
        """No more faults, and everything runs."""
        self._site.venue.disarm()
        for process in self._site.system.processes:
            if process is not self._site.system.web and not process.running:
                process.start()

    def _run(self) -> None:
        try:
            for breakage in self._schedule.breakages:
                with self._moved:
                    self._moved.wait_for(lambda after=breakage.after: self._submitted() >= after)  # type: ignore[misc]
                self._inject(breakage)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is handed to whoever waits for it
            self.failure = error

    def _inject(self, breakage: Breakage) -> None:
        match breakage.kind:
            case "fault":
                self._arm(breakage)
            case "kill_worker_child":
                self._kill_child(int(breakage.details["pick"]))
            case "restart_postgres":
                self._site.postgres.restart()
            case "kill_postgres":
                self._site.postgres.kill()
                self._site.postgres.start()
            case "restart_rabbitmq":
                self._site.rabbitmq.restart()
            case "kill_rabbitmq":
                self._site.rabbitmq.kill()
                self._site.rabbitmq.start()
            case kind:
                self._kill_and_start(kind)
        self.done[breakage.kind] += 1

    def _arm(self, breakage: Breakage) -> None:
        url = f"{self._site.venue.base_url}/_faults"
        headers = {"Authorization": f"Bearer {TEST_SHARED_SECRET}"}
        requests.post(url, json=breakage.details, headers=headers, timeout=10).raise_for_status()

    def _kill_child(self, pick: int) -> None:
        children = children_of(self._site.system.worker.pid)
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(children[pick % len(children)], signal.SIGKILL)

    def _kill_and_start(self, kind: str) -> None:
        system = self._site.system
        processes = {f"kill_{process.name}": process for process in system.processes}
        process = processes[kind]
        process.kill()
        process.start()
        if process is system.microservice:
            system.wait_ready(process)  # the next fault is armed there
