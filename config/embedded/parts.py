"""The parts of the embedded system that run in threads, each with a start, an end and a way to see that it lives."""

import threading
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from celery.beat import Scheduler
from celery.beat import Service as BeatService
from celery.worker import WorkController
from django.conf import settings

from config.celery import app as celery_app
from ctrader_app.consumers.worker import StreamWorker
from ctrader_app.platform.drive import served_here
from microservice.server import BundledMicroservice
from microservice.settings import Settings as MicroserviceSettings

WORKER_THREADS = 4
"""Operations of different positions that are sent at once. More threads would only wait for the one processor."""

STOP_TIMEOUT_S = 10.0


class Part(Protocol):
    """One part of the system."""

    name: str

    def start(self) -> None:
        """Return once it works. Raises when it cannot."""

    def stop(self) -> None:
        """Return once it has ended, or has had its time."""

    def is_alive(self) -> bool:
        """Whether it still runs."""


class Microservice:
    """The bundled microservice with its paper venue, where ``CTRADER_API_BASE_URL`` says that it is."""

    name = "microservice"

    def __init__(self, state: Path) -> None:
        self._service = BundledMicroservice(
            MicroserviceSettings(
                secret=settings.INTERNAL_SHARED_SECRET,
                amqp_url=settings.AMQP_URL,
                port=urlsplit(settings.CTRADER_API_BASE_URL).port or 0,
                state=state / "microservice.sqlite3",
                events_exchange=settings.AMQP_EVENTS_EXCHANGE,
            )
        )

    def start(self) -> None:
        """Start it."""
        self._service.start()

    def stop(self) -> None:
        """Stop it; what the venue holds is saved."""
        self._service.stop()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._service.is_alive()


class _Threaded:
    """A part whose work is one blocking call in a thread."""

    name = ""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._ready = threading.Event()

    def _run(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread and wait until it says that it works."""
        self._thread.start()
        while not self._ready.wait(0.05):
            if not self._thread.is_alive():
                raise RuntimeError(f"{self.name} ended while it was starting")

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()


class CeleryWorker(_Threaded):
    """A Celery worker with a few threads. No signal handlers, no gossip: it is alone and not the main thread."""

    name = "celery-worker"

    def __init__(self) -> None:
        super().__init__()
        self._controller: Any = None

    def _run(self) -> None:
        served_here()
        self._controller = celery_app.subclass_with_self(WorkController)(
            hostname="embedded@localhost",
            pool_cls="threads",
            concurrency=WORKER_THREADS,
            loglevel=settings.LOG_LEVEL,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
            ready_callback=lambda _consumer: self._ready.set(),
        )
        self._controller.start()

    def stop(self) -> None:
        """Let what runs finish, take nothing new."""
        if self._controller is not None:
            self._controller.should_stop = True
            self._controller.stop(in_sighandler=False)
        self._thread.join(STOP_TIMEOUT_S)


class Beat(_Threaded):
    """The clock of the periodic tasks; it keeps no state that would have to survive."""

    name = "celery-beat"

    def __init__(self) -> None:
        super().__init__()
        self._service = BeatService(celery_app, max_interval=1, scheduler_cls=Scheduler)

    def _run(self) -> None:
        self._ready.set()
        self._service.start(embedded_process=False)

    def stop(self) -> None:
        """Stop within a second."""
        self._service.stop(wait=False)
        self._thread.join(STOP_TIMEOUT_S)


class Stream(_Threaded):
    """The stream worker."""

    name = "stream-worker"

    def __init__(self) -> None:
        super().__init__()
        self._worker = StreamWorker()
        self._ready = self._worker.ready

    def _run(self) -> None:
        self._worker.run()

    def stop(self) -> None:
        """Stop consuming."""
        self._worker.stop()
        self._thread.join(STOP_TIMEOUT_S)
