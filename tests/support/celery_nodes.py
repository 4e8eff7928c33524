"""pytest-celery's nodes, clusters and setup over local processes.

pytest-celery thinks in containers. What it asks of one is little: an id, a name, a status, logs, a way to kill and
restart it, and the part of Celery's configuration that it provides. The classes here answer that for processes on
this machine. Of its interface, `CeleryTestSetup.ready(ping=True)` and `get_running_processes_info` need real
containers: do without them.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Protocol

from celery import Celery
from celery.result import allow_join_result
from kombu import pools
from pytest_celery import CeleryTestBackend, CeleryTestBroker, CeleryTestSetup, CeleryTestWorker

from tests.support.processes import ManagedProcess, base_environment, make_folder
from tests.support.rabbitmq import RabbitMQServer
from tests.support.redis_server import RedisServer

WORKER_READY_TIMEOUT_S = 30.0


class Server(Protocol):
    """A server helper, such as RabbitMQServer: what a node needs of it."""

    process: ManagedProcess

    def start(self) -> object:
        """Start and wait until it answers."""

    def stop(self) -> None:
        """Stop in order."""

    def answers(self) -> bool:
        """Whether it answers."""


class ProcessContainer:
    """What pytest-celery takes for a container: one process (or server) and the configuration it stands for."""

    def __init__(self, process: ManagedProcess, celeryconfig: Mapping[str, str]) -> None:
        self.process = process
        self._celeryconfig = dict(celeryconfig)

    @property
    def id(self) -> str:
        """Unique; pytest-celery makes host names of its first twelve characters."""
        return f"{self.process.pid:012d}"

    @property
    def name(self) -> str:
        """The name of the process, for messages."""
        return self.process.name

    @property
    def status(self) -> str:
        """`running` or `exited`, in Docker's words."""
        return "running" if self.process.running else "exited"

    @property
    def celeryconfig(self) -> dict[str, str]:
        """A copy: `url` as workers see it and `host_url` as the test sees it are the same here."""
        return dict(self._celeryconfig)

    def reload(self) -> None:
        """Nothing is cached, so nothing is stale."""

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Send a signal, by name or number: SIGKILL to the whole group, any other to the first process."""
        number = _signal(signal)
        if number == _signal("SIGKILL"):
            self.process.kill()
        else:
            self.process.send_signal(number)
            self.process.wait_for_exit(60.0)

    def restart(self, timeout: int = 60) -> None:
        """Stop it if it runs, start it, and wait until it is ready."""
        self.process.stop()
        self.start()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.process.start()
        self.ready()

    def logs(self) -> str:
        """All it has written since its last start."""
        return self.process.log()

    def ready(self) -> bool:
        """Wait until it is ready; raises when it never is."""
        return self.process.running

    def teardown(self) -> None:
        """Stop it."""
        self.process.stop()


def _signal(value: str | int) -> signal.Signals:
    return signal.Signals[value] if isinstance(value, str) else signal.Signals(value)


class ServerContainer(ProcessContainer):
    """A broker or backend server that outlives the test: teardown leaves it running."""

    def __init__(self, server: Server, url: str) -> None:
        super().__init__(server.process, {"url": url, "host_url": url})
        self._server = server

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._server.start()

    def restart(self, timeout: int = 60) -> None:
        """Restart the server on its port and wait until it answers."""
        self._server.stop()
        self._server.start()

    def ready(self) -> bool:
        """Whether it answers."""
        return self._server.answers()

    def teardown(self) -> None:
        """Bring it back when the test left it stopped: other tests use it too."""
        if not self._server.answers():
            self.restart()


class DatabaseContainer(ProcessContainer):
    """The result backend that needs no server of its own: Django's database, through django-celery-results."""

    def __init__(self, worker_database: ManagedProcess) -> None:
        super().__init__(worker_database, {"url": "django-db", "host_url": "django-db"})

    def teardown(self) -> None:
        """The database belongs to its own fixture."""


class WorkerContainer(ProcessContainer):
    """A Celery worker: `python -m celery -A APP worker` in a process group of its own."""

    def __init__(
        self,
        app: str,
        env: Mapping[str, str],
        *,
        name: str = "worker",
        queue: str = "celery",
        concurrency: int = 2,
        pool: str = "prefork",
        arguments: Sequence[str] = (),
    ) -> None:
        self._queue = queue
        self._node = f"{name}-{os.getpid()}"
        self.folder = make_folder("worker")
        command = [
            sys.executable, "-m", "celery", "-A", app, "worker", "--loglevel", self.log_level(),
            "--hostname", f"{self._node}@localhost", "--pool", pool, "--concurrency", str(concurrency),
            "--queues", queue, "--without-gossip", "--without-mingle", *arguments,
        ]  # fmt: skip
        process = ManagedProcess(name, command, log_path=self.folder / f"{name}.log", env={**base_environment(), **env})
        super().__init__(process, {})

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The worker, ready, until the block ends; then it is killed: its orderly end takes 3 s."""
        try:
            self.start()
            yield
        finally:
            self.process.end()
            shutil.rmtree(self.folder, ignore_errors=True)

    def ready(self) -> bool:
        """Wait until the worker says that it is ready."""
        self.process.wait_for_log(r"@localhost ready\.", WORKER_READY_TIMEOUT_S)
        return True

    def version(self) -> str:
        """The version of Celery."""
        return version("celery")

    def log_level(self) -> str:
        """The log level the worker runs with."""
        return "INFO"

    def worker_name(self) -> str:
        """The part of the node name before the @."""
        return self._node

    def worker_queue(self) -> str:
        """The queue it consumes."""
        return self._queue


# pytest-celery has no types; to mypy its classes are Any.
class RabbitMQNode(CeleryTestBroker):  # type: ignore[misc]
    """The broker node of a setup: RabbitMQ, in a virtual host of the test's own."""

    def __init__(self, server: RabbitMQServer, url: str) -> None:
        super().__init__(ServerContainer(server, url))


class RedisNode(CeleryTestBackend):  # type: ignore[misc]
    """A backend node on Redis."""

    def __init__(self, server: RedisServer, url: str) -> None:
        super().__init__(ServerContainer(server, url))


class DatabaseNode(CeleryTestBackend):  # type: ignore[misc]
    """A backend node in Django's database; `server` is the process of that database's server."""

    def __init__(self, server: ManagedProcess) -> None:
        super().__init__(DatabaseContainer(server))


class WorkerNode(CeleryTestWorker):  # type: ignore[misc]
    """A worker node. `kill()` is SIGKILL to the worker and its children, `restart()` starts it again."""

    def __init__(self, container: WorkerContainer, app: Celery) -> None:
        super().__init__(container, app)

    @property
    def process(self) -> ManagedProcess:
        """The worker's process."""
        process: ManagedProcess = self.container.process
        return process


class LocalSetup(CeleryTestSetup):  # type: ignore[misc]
    """A setup whose app is the one the product uses, pointed at the test's broker and backend meanwhile.

    Subclasses say which in `project_app`.
    """

    project_app: Celery

    @classmethod
    def create_setup_app(
        cls,
        celery_setup_config: dict[str, Any],  # noqa: ARG003 - pytest-celery passes both
        celery_setup_app_name: str,  # noqa: ARG003
    ) -> Celery:
        """The app itself; `pointed_at` has configured it already."""
        return cls.project_app


@contextlib.contextmanager
def pointed_at(app: Celery, changes: Mapping[str, Any]) -> Iterator[Celery]:
    """Within the block these settings of the app hold in this process, `broker_url` and `result_backend` among them.

    Afterwards they are what they were, and no connection to the test's broker is left open.
    """
    before = {name: app.conf[name] for name in changes}
    forget_connections(app)
    app.conf.update(changes)
    try:
        # A worker that ran in this process before has forbidden it to wait for results, for good.
        with allow_join_result():
            yield app
    finally:
        forget_connections(app)
        app.conf.update(before)


def forget_connections(app: Celery) -> None:
    """Close the app's connections to its broker and drop its result backend, so that the next use makes new ones."""
    # The app keeps its pool, its producers and its backend for ever and offers no public way to replace them.
    pools.reset()
    app.__dict__["_pool"] = None
    app.__dict__["_backend_cache"] = None
    app.__dict__["_local"] = threading.local()
    app.__dict__.pop("control", None)
    app.amqp.__dict__["_producer_pool"] = None
