"""The small helpers: waiting, ports, child processes, the guard that keeps tests on loopback."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.kin import children_of, descendants_of, is_alive
from tests.support.network import ForeignConnectionError, SocketGuard
from tests.support.ports import LOOPBACK, free_port, is_listening
from tests.support.processes import (
    REPOSITORY,
    ManagedProcess,
    ProcessFailedError,
    make_folder,
    started_processes,
)
from tests.support.waiting import WaitTimeoutError, wait_until, wait_until_async

# An address of the block set aside for documentation (RFC 5737): nobody can be there.
NOWHERE = "192.0.2.1"


# -- waiting -------------------------------------------------------------------------------------------------------


def test_wait_until_returns_what_the_condition_returned() -> None:
    answers = iter([None, 0, "yes"])
    assert wait_until(lambda: next(answers), 5.0) == "yes"


def test_wait_until_says_what_it_waited_for() -> None:
    with pytest.raises(WaitTimeoutError, match=r"not within 0\.05 s: the moon is 3 high"):
        wait_until(lambda: False, 0.05, lambda: f"the moon is {1 + 2} high")


def test_wait_until_does_not_hide_an_exception() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, 5.0)


async def test_wait_until_async_lets_the_loop_run() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, done.set)

    async def look() -> bool:
        return done.is_set()

    assert await wait_until_async(done.is_set, 5.0)
    assert await wait_until_async(look, 5.0)
    with pytest.raises(WaitTimeoutError, match="never"):
        await wait_until_async(lambda: False, 0.05, "never")


# -- ports ---------------------------------------------------------------------------------------------------------


def test_free_ports_are_free_and_differ() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == len(ports)
    with socket.create_server((LOOPBACK, ports[0])):
        assert is_listening(ports[0])
    assert not is_listening(ports[0])


# -- child processes -----------------------------------------------------------------------------------------------

TALKER = "import time; print('hello', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time;"
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print('child', p.pid, flush=True);"
    "time.sleep(60)"
)


def python(name: str, program: str, folder: Path) -> ManagedProcess:
    return ManagedProcess(name, [sys.executable, "-c", program], log_path=folder / f"{name}.log")


def test_a_process_is_started_watched_and_restarted(tmp_path: Path) -> None:
    with python("talker", TALKER, tmp_path) as process:
        assert process.wait_for_log("hel+o").group() == "hello"
        assert process in started_processes()
        first = process.pid
        process.restart()
        assert process.pid != first
        assert not is_alive(first)
        process.wait_for_log("hello")
        assert process.log().count("hello") == 1
        assert process.log_tail().count("hello") == 2
        process.kill()
        assert process.returncode == -signal.SIGKILL
    assert process not in started_processes()


def test_stopping_a_process_ends_its_children_too(tmp_path: Path) -> None:
    with python("parent", PARENT, tmp_path) as process:
        child = int(process.wait_for_log(r"child (\d+)").group(1))
        assert children_of(process.pid) == [child]
    wait_until(lambda: not is_alive(child), 5.0, "the child died with its parent")


DESERTER = (
    "import subprocess, sys, time;"
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True);"
    "print('child', p.pid, flush=True); time.sleep(60)"
)


def test_killing_a_process_takes_along_a_child_that_left_its_group(tmp_path: Path) -> None:
    with python("deserter", DESERTER, tmp_path) as process:
        child = int(process.wait_for_log(r"child (\d+)").group(1))
        assert [kin.pid for kin in descendants_of(process.pid)] == [child]
        process.kill()
        assert not is_alive(child)


def test_a_process_that_dies_early_shows_its_log(tmp_path: Path) -> None:
    with (
        python("broken", "raise SystemExit('no such setting')", tmp_path) as process,
        pytest.raises(ProcessFailedError, match=r"(?s)ended with status 1 before .*no such setting"),
    ):
        process.wait_for_log("ready", timeout_s=20.0)


def test_a_child_gets_no_variable_of_the_developer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://somewhere.else/")
    with python("env", "import os; print(sorted(os.environ), 'end')", tmp_path) as process:
        assert "AMQP_URL" not in process.wait_for_log(".*end").group()


def test_a_killed_test_run_leaves_no_process_and_no_folder() -> None:
    program = (
        "import sys, time; from tests.support.processes import *;"
        "folder = make_folder('orphan');"
        "child = ManagedProcess('child', [sys.executable, '-c', 'import time; time.sleep(60)'],"
        " log_path=folder / 'log').start();"
        "print(child.pid, folder, flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert run.stdout is not None
        pid, folder = run.stdout.readline().split()
        assert is_alive(int(pid))
        assert Path(folder).exists()
    finally:
        run.kill()
        run.communicate()
    wait_until(lambda: not is_alive(int(pid)) and not Path(folder).exists(), 10.0, f"{pid} and {folder} are gone")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_process_can_run_as_somebody_else() -> None:
    folder = make_folder("nobody", "nobody")
    who = ManagedProcess("who", ["/usr/bin/id", "-un"], log_path=folder / "who.log", cwd=folder, user="nobody")
    with who:
        assert who.wait_for_log(r"\w+").group() == "nobody"


# -- the guard -----------------------------------------------------------------------------------------------------


def test_a_connection_to_another_machine_is_stopped(socket_guard: SocketGuard) -> None:
    with socket_guard.expecting(), pytest.raises(ForeignConnectionError, match=NOWHERE):
        socket.create_connection((NOWHERE, 80), timeout=1)
    with socket_guard.expecting(), pytest.raises(ForeignConnectionError, match=NOWHERE):
        requests.get(f"http://{NOWHERE}/", timeout=1)
    with socket_guard.expecting(), pytest.raises(ForeignConnectionError, match=r"example\.org"):
        requests.get("http://example.org/", timeout=1)
    with (
        socket_guard.expecting(),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        pytest.raises(ForeignConnectionError),
    ):
        datagram.sendto(b"x", (NOWHERE, 53))


async def test_the_guard_covers_asyncio(socket_guard: SocketGuard) -> None:
    with socket_guard.expecting(), pytest.raises(ForeignConnectionError):
        await asyncio.open_connection(NOWHERE, 80)


def test_an_attempt_is_remembered_although_the_code_swallows_it(socket_guard: SocketGuard) -> None:
    with contextlib.suppress(RuntimeError):
        socket.create_connection((NOWHERE, 80), timeout=1)
    assert socket_guard.take_attempts() == [f"{NOWHERE}:80"]


def test_loopback_is_free_and_unknown_names_fail_as_from_a_resolver() -> None:
    port = free_port()
    with socket.create_server((LOOPBACK, port)):
        socket.create_connection(("localhost", port), timeout=2).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port), timeout=2)
    with pytest.raises(socket.gaierror):
        socket.create_connection(("nowhere.invalid", 80), timeout=2)


QUIET_TEST = """
import contextlib, socket

def test_quiet():
    with contextlib.suppress(Exception):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
"""


def test_a_swallowed_attempt_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_quiet.py").write_text(QUIET_TEST)
    plain = ["-c", "/dev/null", "--rootdir", str(tmp_path), "-p", "no:django", "-p", "no:celery"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *plain, "-p", "tests.support.reporting", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "this test tried to reach 192.0.2.1:80" in run.stdout
