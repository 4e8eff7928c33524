"""compose.yaml: complete, without a secret of its own, and its commands and health checks really run."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.docs.compose_file import ComposeError, interpolated, load
from tests.docs.markdown import ROOT, table_rows
from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ManagedProcess, make_folder
from tests.support.system import STREAM_READY, system_environment

FILE = load(ROOT / "compose.yaml")
SERVICES: Mapping[str, Any] = FILE["services"]
PROCESSES = {"web", "worker", "beat", "stream", "microservice"}
SERVERS = {"postgres", "rabbitmq", "redis"}
SECRET = re.compile(r"SECRET|PASSWORD|_KEY")
GIVEN = {
    "INTERNAL_SHARED_SECRET": "compose-shared-secret",
    "DJANGO_SECRET_KEY": "compose-secret-key",
    "CTRADER_ENCRYPTION_KEY": "dGVzdC1vbmx5LWZlcm5ldC1rZXktMzItYnl0ZXMhISE=",
    "POSTGRES_PASSWORD": "pg",
    "RABBITMQ_PASSWORD": "rabbit",
    "REDIS_PASSWORD": "red",
    "DJANGO_ALLOWED_HOSTS": "trade.example.com",
}
SETTINGS = {row[0].strip("`"): row[2] for row in table_rows(ROOT / "docs" / "configuration.md") if len(row) == 4}


def _environment(service: str) -> dict[str, str]:
    found: dict[str, str] = interpolated(SERVICES[service], GIVEN)["environment"]
    return found


# -- what the file says ----------------------------------------------------------------------------------------------


def test_all_parts_are_there_and_come_back() -> None:
    assert set(SERVICES) == PROCESSES | SERVERS | {"migrate"}
    assert {name: SERVICES[name]["restart"] for name in PROCESSES | SERVERS} == dict.fromkeys(
        PROCESSES | SERVERS, "unless-stopped"
    )
    assert SERVICES["migrate"]["restart"] == "no"
    # Beat has nothing to ask; the file says so.
    assert {name for name in SERVICES if "healthcheck" not in SERVICES[name]} == {"beat", "migrate"}


def test_nothing_starts_before_the_migration() -> None:
    for name in PROCESSES - {"microservice"}:
        waits = SERVICES[name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}
        assert {waits[server]["condition"] for server in SERVERS} == {"service_healthy"}


@pytest.mark.parametrize("missing", GIVEN)
def test_a_missing_secret_stops_it_with_a_line_that_names_it(missing: str) -> None:
    with pytest.raises(ComposeError, match=rf"^{missing}: \w"):
        interpolated(FILE, {name: value for name, value in GIVEN.items() if name != missing})


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "compose.yaml").read_text()
    uses = re.findall(r"\$\{(\w+)(:[?-]|\})", text)
    assert {name for name, _ in uses if SECRET.search(name)} == {name for name in GIVEN if SECRET.search(name)}
    assert [name for name, kind in uses if SECRET.search(name) and kind != ":?"] == []
    assert not re.search(r"^(?!.*\$\{).*(PASS|SECRET|_KEY)\w*:", text, re.MULTILINE)


def test_every_setting_exists_and_has_the_documented_default() -> None:
    environment = _environment("web")
    assert set(environment) - set(SETTINGS) == set()
    # The file's own servers, and what is better kept open there.
    ours = {"DATABASE_URL", "AMQP_URL", "CHANNELS_REDIS_URL", "CTRADER_API_BASE_URL", "DATABASE_CONN_MAX_AGE", *GIVEN}
    for name in set(environment) - ours:
        assert SETTINGS[name].strip("`") == (environment[name] or "empty"), name
    # Debugging has no place there; the rest follows from what is set.
    assert set(SETTINGS) - set(environment) == {
        "DJANGO_DEBUG",
        "DJANGO_STATIC_ROOT",
        "CELERY_BROKER_URL",
        "AMQP_ROUTING",
    }


def test_passwords_reach_both_ends() -> None:
    environment = _environment("web")
    servers = interpolated({name: SERVICES[name] for name in SERVERS}, GIVEN)
    assert environment["DATABASE_URL"] == "postgres://ctrader:pg@postgres:5432/ctrader"
    assert servers["postgres"]["environment"]["POSTGRES_PASSWORD"] == "pg"
    assert environment["AMQP_URL"] == "amqp://ctrader:rabbit@rabbitmq:5672//"
    assert servers["rabbitmq"]["environment"]["RABBITMQ_DEFAULT_PASS"] == "rabbit"
    assert environment["CHANNELS_REDIS_URL"] == "redis://:red@redis:6379/0"
    assert servers["redis"]["command"][-2:] == ["--requirepass", "red"]


def test_its_broker_can_share_the_market_data() -> None:
    mounted = "./rabbitmq_plugins:/etc/rabbitmq/enabled_plugins:ro"
    assert mounted in SERVICES["rabbitmq"]["volumes"]
    plugins = (ROOT / "rabbitmq_plugins").read_text()
    assert re.fullmatch(r"\[(\w+,)*\w+\]\.\n", plugins)
    assert "rabbitmq_consistent_hash_exchange" in plugins


def test_the_image_holds_what_the_commands_need() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert {"config", "connectors", "ctrader_app", "microservice", "celeryconfig.py", "manage.py"} <= kept
    assert [name for name in kept if not (ROOT / name).exists()] == []
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^FROM python:3\.11-slim$", dockerfile, re.MULTILINE)
    assert re.search(r"^USER (?!root)\w+$", dockerfile, re.MULTILINE)
    assert "collectstatic" in dockerfile


@pytest.mark.parametrize("text", ["a: 'b'", "a: {b: c}", "a: >\n  b", "a:\n\t- b", "a: 1\na: 2", "a: !x b"])
def test_the_reader_refuses_what_it_does_not_know(text: str, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(text)
    with pytest.raises(ComposeError):
        load(path)


# -- what the file does ----------------------------------------------------------------------------------------------


class Stack:
    """The commands of compose.yaml as processes of this machine: other addresses, all else as it stands there."""

    def __init__(self, *, database_url: str, amqp_url: str, redis_url: str) -> None:
        self.folder = make_folder("compose")
        self._ports = {"8000": str(free_port()), "7999": str(free_port())}
        own = _environment("web")
        for name in ("DATABASE_URL", "AMQP_URL", "CHANNELS_REDIS_URL", "CTRADER_API_BASE_URL"):
            del own[name]
        self.environment = system_environment(
            database_url=database_url,
            amqp_url=amqp_url,
            redis_url=redis_url,
            api_base_url=f"http://{LOOPBACK}:{self._ports['7999']}",
            extra={**own, "HOSTNAME": socket.gethostname()},
        )
        self.environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self.processes: dict[str, ManagedProcess] = {}

    def _here(self, text: str) -> str:
        text = text.replace("0.0.0.0", LOOPBACK).replace("/state/", f"{self.folder}/")
        for port, free in self._ports.items():
            text = re.sub(rf"\b{port}\b", free, text)
        return text

    def start(self, service: str) -> ManagedProcess:
        """Start one service's command."""
        command = [self._here(word) for word in interpolated(SERVICES[service]["command"], GIVEN)]
        log = self.folder / f"{service}.log"
        process = ManagedProcess(service, command, log_path=log, env=self.environment)
        self.processes[service] = process
        return process.start()

    def check(self, service: str) -> subprocess.CompletedProcess[str]:
        """Run one service's health check."""
        kind, *words = interpolated(SERVICES[service]["healthcheck"]["test"], GIVEN)
        command = ["/bin/sh", "-c", words[0]] if kind == "CMD-SHELL" else words
        return subprocess.run(
            [self._here(word) for word in command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def close(self) -> None:
        """End all of it."""
        for process in self.processes.values():
            process.end()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def stack(postgres_url: str, amqp_url: str, redis_url: str) -> Iterator[Stack]:
    """Nothing started yet."""
    made = Stack(database_url=postgres_url, amqp_url=amqp_url, redis_url=redis_url)
    yield made
    made.close()


def test_the_commands_and_their_health_checks_run(stack: Stack) -> None:
    migration = stack.start("migrate")
    assert migration.wait_for_exit(60) == 0, migration.log_tail()
    checked = sorted(PROCESSES - {"beat"})
    assert [name for name in ("web", "microservice", "stream") if stack.check(name).returncode == 0] == []
    for name in sorted(PROCESSES):
        stack.start(name)
    stack.processes["worker"].wait_for_log(r"ready\.", 60)
    stack.processes["beat"].wait_for_log(r"beat: Starting", 60)
    stack.processes["stream"].wait_for_log(STREAM_READY, 60)
    stack.processes["microservice"].wait_for_log(r"microservice ready", 60)
    stack.processes["web"].wait_for_log(r"Uvicorn running", 60)
    results = {name: stack.check(name) for name in checked}
    assert {name: result.stderr for name, result in results.items() if result.returncode} == {}
    assert {name for name, process in stack.processes.items() if not process.running} == {"migrate"}
