"""Hooks: the socket guard around every test, and the logs of child processes in the report of a failed one."""

from collections.abc import Generator, Iterator

import pytest

from tests.support.network import SocketGuard
from tests.support.processes import started_processes


@pytest.fixture(scope="session")
def socket_guard() -> Iterator[SocketGuard]:
    """The guard that keeps this process on loopback."""
    guard = SocketGuard()
    with pytest.MonkeyPatch.context() as patch:
        guard.install(patch)
        yield guard


@pytest.fixture(autouse=True)
def _loopback_only(socket_guard: SocketGuard) -> Iterator[None]:
    """Fail the test during which something tried to leave loopback, whoever caught the exception."""
    socket_guard.take_attempts()
    yield
    attempts = socket_guard.take_attempts()
    if attempts:
        pytest.fail(f"this test tried to reach {', '.join(attempts)}", pytrace=False)


_LOG_SIZES = pytest.StashKey[dict[str, int]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember how long each log is, so that a failure shows only what was written during the test."""
    item.stash[_LOG_SIZES] = {str(process.log_path): process.log_size for process in started_processes()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the end of every child process's log into the report of a failure."""
    report = yield
    if report.failed:
        sizes = item.stash.get(_LOG_SIZES, {})
        for process in started_processes():
            tail = process.log_tail(start=sizes.get(str(process.log_path), 0))
            if tail:
                state = "running" if process.running else f"ended with status {process.returncode}"
                report.sections.append((f"log of {process.name} ({state})", tail))
    return report
