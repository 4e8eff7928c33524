"""Fixtures of the write path: the bundled microservice over a real socket, accounts, a Celery worker in a thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery.worker.state import reserved_requests
from kombu import Queue
from pytest_django import Settings

from config.celery import app as celery_app
from config.embedded.parts import CeleryWorker
from ctrader_app.connector import close_shared_clients
from ctrader_app.models import TradingAccount
from microservice.server import BundledMicroservice
from tests.support.operations import Venue, make_account, start_microservice
from tests.support.waiting import wait_until


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BundledMicroservice]:
    """One bundled microservice; its market stands still, so that prices move only when a test says so."""
    service = start_microservice(Path(tmp_path_factory.mktemp("venue")) / "venue.sqlite3")
    yield service
    service.stop()


@pytest.fixture
def venue(bundled: BundledMicroservice, settings: Settings) -> Iterator[Venue]:
    """The venue as a test sees it, with no fault armed and the settings pointing at it."""
    settings.CTRADER_API_BASE_URL = bundled.base_url
    settings.CTRADER_CONNECT_TIMEOUT_SECONDS = 1.0
    settings.CTRADER_READ_TIMEOUT_SECONDS = 2.0
    handle = Venue(bundled.base_url)
    handle.disarm()
    yield handle
    handle.disarm()
    close_shared_clients()


@pytest.fixture
def account(transactional_db: None) -> TradingAccount:
    """A fresh account; the paper venue makes it when it is first asked."""
    return make_account()


class _LazyWorker:
    """The embedded system's own Celery worker, started by the first test that has a database for it to work with."""

    def __init__(self) -> None:
        self._worker: CeleryWorker | None = None

    def started(self) -> CeleryWorker:
        if self._worker is None:
            self._worker = CeleryWorker()
            self._worker.start()
        return self._worker

    def stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()


@pytest.fixture(scope="session")
def _celery_worker() -> Iterator[_LazyWorker]:
    worker = _LazyWorker()
    yield worker
    worker.stop()


@pytest.fixture
def celery_thread(_celery_worker: _LazyWorker, transactional_db: None) -> Iterator[CeleryWorker]:
    """A Celery worker in a thread, on the in-memory broker of this process.

    A test leaves nothing behind for it: a task that ran between two tests would find the database closed, and a
    Celery that cannot store a result warns, which here is an error, so that its message would never be acknowledged.
    """
    with _queue() as queue:
        queue.purge()  # what tests without a worker left for it
    yield _celery_worker.started()
    wait_until(_is_idle, 30, "the Celery worker has done all that was queued")


@contextmanager
def _queue() -> Iterator[Queue]:
    with celery_app.connection_for_read() as connection:
        queue = Queue(celery_app.conf.task_default_queue, channel=connection.default_channel)
        queue.declare()
        yield queue


def _is_idle() -> bool:
    with _queue() as queue:
        declared: Any = queue.queue_declare(passive=True)
    return declared.message_count == 0 and not reserved_requests
