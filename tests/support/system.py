"""The whole system as processes of its own: production's five over real servers, or the embedded one."""

import json
import re
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.settings import TEST_ENVIRONMENT
from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ManagedProcess, ProcessFailedError, base_environment, make_folder

READY_TIMEOUT_S = 60.0
"""For one process to become ready while several others start on two processors."""

_READY_LINE = re.compile(
    r"^ready (?P<url>http://\S+) account (?P<account>\S+) user (?P<user>\S+) "
    r"password (?P<password>\S+) token (?P<token>\S+)\s*$",
    re.MULTILINE,
)


def system_environment(
    *,
    database_url: str,
    amqp_url: str,
    redis_url: str = "",
    api_base_url: str = f"http://{LOOPBACK}:9",
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The whole environment of one of the product's processes; `extra` wins."""
    return {
        **base_environment(),
        **TEST_ENVIRONMENT,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": database_url,
        "AMQP_URL": amqp_url,
        "CHANNELS_REDIS_URL": redis_url,
        "CTRADER_API_BASE_URL": api_base_url,
        **(extra or {}),
    }


def http_answers(url: str) -> bool:
    """Whether an HTTP server answers at this URL, with whatever status."""
    try:
        with urllib.request.urlopen(url, timeout=2.0):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


class ProductionSystem:
    """Microservice, Celery worker, Celery beat, stream worker and web server, as in production.

    They share one environment and the servers given by URL; the database is migrated already. Each is a
    ManagedProcess: `kill()`, `start()` or `restart()` it, and call `wait_ready` to wait for its return.
    """

    def __init__(
        self,
        *,
        database_url: str,
        amqp_url: str,
        redis_url: str,
        api_base_url: str | None = None,
        extra_env: Mapping[str, str] | None = None,
        microservice_arguments: Sequence[str] = (),
        concurrency: int = 2,
    ) -> None:
        self.folder = make_folder("system")
        self.microservice_port = free_port()
        self.web_port = free_port()
        self.env = system_environment(
            database_url=database_url,
            amqp_url=amqp_url,
            redis_url=redis_url,
            api_base_url=api_base_url or f"http://{LOOPBACK}:{self.microservice_port}",
            extra=extra_env,
        )
        self.microservice: ManagedProcess | None = None
        if api_base_url is None:
            state = str(self.folder / "microservice.sqlite3")
            self.microservice = self._process(
                "microservice",
                [
                    "-m",
                    "microservice",
                    "--port",
                    str(self.microservice_port),
                    "--state",
                    state,
                    *microservice_arguments,
                ],
            )
        celery = ["-m", "celery", "-A", "config"]
        self.worker = self._process(
            "worker",
            [
                *celery,
                "worker",
                "--loglevel",
                "INFO",
                "--concurrency",
                str(concurrency),
                "--without-gossip",
                "--without-mingle",
            ],
        )
        self.beat = self._process(
            "beat",
            [*celery, "beat", "--loglevel", "INFO", "--schedule", str(self.folder / "beat-schedule"), "--pidfile", ""],
        )
        self.stream = self._process("stream", ["manage.py", "run_stream_worker"])
        self.web = self._process(
            "web", ["-m", "uvicorn", "config.asgi:application", "--host", LOOPBACK, "--port", str(self.web_port)]
        )

    def _process(self, name: str, arguments: Sequence[str]) -> ManagedProcess:
        return ManagedProcess(name, [sys.executable, *arguments], log_path=self.folder / f"{name}.log", env=self.env)

    @property
    def processes(self) -> list[ManagedProcess]:
        """All of them, in the order of their start."""
        own = [self.worker, self.beat, self.stream, self.web]
        return own if self.microservice is None else [self.microservice, *own]

    @property
    def web_url(self) -> str:
        """The root of the pages and of the JSON API, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.web_port}"

    @property
    def api_base_url(self) -> str:
        """The microservice's URL."""
        return self.env["CTRADER_API_BASE_URL"]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start all of them at once and wait until each is ready."""
        try:
            for process in self.processes:
                process.start()
            for process in self.processes:
                self.wait_ready(process)
        except BaseException:
            self.close()
            raise
        return self

    def wait_ready(self, process: ManagedProcess, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until one of the processes does its work."""
        if process is self.microservice:
            process.wait_for_port(self.microservice_port, timeout_s)
        elif process is self.web:
            process.wait_for(lambda: http_answers(f"{self.web_url}/healthz"), timeout_s, "answer to /healthz")
        elif process is self.worker:
            process.wait_for_log(r"ready\.", timeout_s)
        elif process is self.beat:
            process.wait_for_log(r"beat: Starting", timeout_s)
        else:
            process.wait_for_log(STREAM_READY, timeout_s)

    def stop(self) -> None:
        """SIGTERM to all of them at once, then wait for each to end in order."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.stop()

    def close(self) -> None:
        """Kill all of them and remove their folder."""
        for process in self.processes:
            process.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def manage(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """Run one manage.py command in the system's environment; returns its output, ProcessFailedError if it fails."""
        command = self._process(f"manage-{arguments[0]}", ["manage.py", *arguments])
        with command:
            status = command.wait_for_exit(timeout_s)
        if status != 0:
            raise ProcessFailedError(f"manage.py {' '.join(arguments)} ended with {status}\n{command.log_tail()}")
        return command.log()


STREAM_READY = r"stream worker .* consuming"
"""What the stream worker logs once its queues are bound."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The embedded system's `ready` line."""

    url: str
    """The root of the pages, with a slash at the end."""
    account: str
    user: str
    password: str
    token: str


class EmbeddedSystem:
    """`python -m config.embedded`: the whole system in one process tree, nothing else installed."""

    def __init__(
        self,
        *,
        state: Path | None = None,
        port: int | None = None,
        arguments: Sequence[str] = (),
        extra_env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = make_folder("embedded")
        self.state = state or self.folder / "state"
        self.port = port or free_port()
        command = [
            sys.executable, "-m", "config.embedded", "--port", str(self.port), "--state", str(self.state), *arguments,
        ]  # fmt: skip
        # No setting is given: the point of the embedded system is that it needs none.
        env = {**base_environment(), **(extra_env or {})}
        self.process = ManagedProcess("embedded", command, log_path=self.folder / "embedded.log", env=env)
        self._ready: Ready | None = None

    @property
    def ready(self) -> Ready:
        """What the last start printed; AssertionError before."""
        assert self._ready is not None, "the embedded system was not started"
        return self._ready

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, timeout_s: float = READY_TIMEOUT_S) -> Self:
        """Start it and wait for its `ready` line."""
        self.process.start()
        self.process.wait_for(lambda: _READY_LINE.search(self.process.log()) is not None, timeout_s, "ready line")
        match = _READY_LINE.search(self.process.log())
        assert match is not None
        self._ready = Ready(**match.groupdict())
        return self

    def stop(self) -> int | None:
        """SIGTERM; returns the exit status."""
        self.process.stop()
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL to all of it; `start` goes on from the state that is left."""
        self.process.kill()

    def restart(self) -> Self:
        """Stop and start over the same state."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stop it and remove its folder (a state folder given from outside stays)."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def get(self, path: str) -> tuple[int, object]:
        """GET a path of the JSON API with the token: the status and the decoded body."""
        request = urllib.request.Request(
            self.ready.url + path.lstrip("/"), headers={"Authorization": f"Bearer {self.ready.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10.0) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
