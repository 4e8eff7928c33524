"""A recording layer, accounts, and stream workers that end with the test."""

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pytest_django import Settings

from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.consumers.worker import StreamFailedError, StreamWorker
from ctrader_app.models import TradingAccount
from ctrader_app.tasks.queue import QueueUnavailable
from tests.broadcast.recording import RecordingLayer, recording_layer
from tests.support.operations import make_account


@pytest.fixture(autouse=True)
def nothing_is_stale(settings: Settings) -> None:
    """The events of these tests are of one day long ago; what is about stale prices says how old one may be."""
    settings.CTRADER_STALE_AFTER_SECONDS = 1e9


@pytest.fixture
def layer() -> Iterator[RecordingLayer]:
    """What is sent to the groups."""
    with recording_layer() as recording:
        yield recording


@pytest.fixture
def account(sqlite_db: str) -> TradingAccount:
    """An account with a login at the broker, in a database that any thread can use."""
    return make_account(broker_login="1000001")


class TaskQueue:
    """Stands for the broker of tasks: notes what is enqueued, and can be away."""

    def __init__(self) -> None:
        self.runs: list[uuid.UUID] = []
        self.failures = 0

    def enqueue(self, run_id: uuid.UUID) -> None:
        """Take a reconciliation's task."""
        if self.failures:
            self.failures -= 1
            raise QueueUnavailable("the broker is away")
        self.runs.append(run_id)


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> TaskQueue:
    """The reconciliations that were enqueued."""
    queue = TaskQueue()
    monkeypatch.setattr("ctrader_app.consumers.stream.state.enqueue_sync", queue.enqueue)
    return queue


def options_for(url: str) -> StreamOptions:
    """Options of a queue set of its own, with times for tests."""
    stem = f"test-{uuid.uuid4().hex[:12]}"
    return StreamOptions(
        url=url, exchange=f"{stem}.events", stem=stem, quorum=False,
        beat_s=0.1, accounts_s=0.2, first_pause_s=0.05, longest_pause_s=0.3,
    )  # fmt: skip


@pytest.fixture(params=["memory", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The same tests on kombu's in-memory broker and on RabbitMQ, so that the one stays honest."""
    if request.param == "memory":
        return "memory://"
    url: str = request.getfixturevalue("amqp_url")
    return url


@pytest.fixture
def options(broker_url: str) -> StreamOptions:
    """Options of a worker on that broker."""
    return options_for(broker_url)


class RunningWorker:
    """A stream worker in a thread; ``failure`` is what it gave up with."""

    def __init__(self, options: StreamOptions) -> None:
        self.options = options
        self.worker = StreamWorker(options)
        self.failure: StreamFailedError | None = None
        self.thread = threading.Thread(target=self._run, name="test-stream-worker")
        self.thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except StreamFailedError as error:
            self.failure = error

    def counts(self, name: str) -> int:
        """One counter."""
        return self.worker.counters().get(name, 0)

    def stop(self) -> None:
        """Stop it and wait."""
        self.worker.stop()
        self.thread.join(20)
        assert not self.thread.is_alive(), "the stream worker does not stop"


@pytest.fixture
def start_worker(layer: RecordingLayer, options: StreamOptions) -> Iterator[Callable[..., RunningWorker]]:
    """Starts workers with changed options, and waits until they consume."""
    running: list[RunningWorker] = []

    def start(*, wait: bool = True, **changes: object) -> RunningWorker:
        each = RunningWorker(replace(options, **changes))  # type: ignore[arg-type]
        running.append(each)
        if wait:
            assert each.worker.ready.wait(15), "the stream worker does not become ready"
        return each

    yield start
    for each in running:
        each.stop()
