"""``python -m microservice``: settings that are wrong, and a clean life and death."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from microservice.settings import Settings, SettingsError, from_environment
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
GOOD = {"INTERNAL_SHARED_SECRET": "s", "AMQP_URL": "memory://"}


def run(arguments: list[str], environment: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if name not in GOOD}
    return subprocess.run(
        [sys.executable, "-m", "microservice", *arguments],
        cwd=cwd, env={**clean, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, timeout=20,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        ([], {"AMQP_URL": "memory://"}, "INTERNAL_SHARED_SECRET"),
        ([], {"INTERNAL_SHARED_SECRET": "s"}, "AMQP_URL"),
        ([], {**GOOD, "AMQP_URL": "http://broker"}, "AMQP_URL"),
        (["--port", "99999"], GOOD, "port"),
        (["--port", "many"], GOOD, "--port"),
        (["--state", "/dev/null/state"], GOOD, "/dev/null"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], named: str
) -> None:
    ended = run(arguments, environment, tmp_path)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_taken_port_and_a_state_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(["--port", port], GOOD, tmp_path)
        assert (ended.returncode, port in ended.stderr) == (2, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"INTERNAL_SHARED_SECRET": ""},
        {"INTERNAL_SHARED_SECRET": "with space"},
        {"INTERNAL_SHARED_SECRET": "ümlaut"},
        {"AMQP_URL": "amqp://"},
        {"AMQP_URL": "amqp://host:port"},
        {"AMQP_URL": "nonsense"},
        {"AMQP_ROUTING": "both"},
    ],
)
def test_malformed_settings(changes: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(changes))) as caught:
        from_environment({**GOOD, **changes})
    assert "\n" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    settings = Settings(secret="hush", amqp_url="amqp://user:hush@host//")
    assert "hush" not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        Settings(secret="s", amqp_url="http://user:hush@host")
    assert "hush" not in str(caught.value)


def test_help_names_what_is_needed(tmp_path: Path) -> None:
    ended = run(["--help"], {}, tmp_path)
    assert ended.returncode == 0
    for name in ("INTERNAL_SHARED_SECRET", "AMQP_URL", "--port", "--state", "--seed", "--speed"):
        assert name in ended.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_serves_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "microservice", "--port", str(port), "--state", str(tmp_path / "s.sqlite3")],
        cwd=ROOT, env={**os.environ, **GOOD}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"microservice ready http://127.0.0.1:{port}\n"
        headers = {"Authorization": "Bearer s"}
        connect = {"account_id": "1", "internal_account_id": "u"}
        base = f"http://127.0.0.1:{port}"
        assert requests.post(f"{base}/connect", json=connect, headers=headers, timeout=5).status_code == 200
        second = run(["--port", "0", "--state", str(tmp_path / "s.sqlite3")], GOOD, tmp_path)
        assert (second.returncode, "in use" in second.stderr) == (2, True)
        process.send_signal(number)
        _, errors = process.communicate(timeout=15)
        assert process.returncode == 0, errors
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
