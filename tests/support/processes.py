"""Child processes of the test run: started, watched, killed, restarted, and never left behind."""

import atexit
import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.kin import Kin, descendants_of
from tests.support.ports import is_listening
from tests.support.waiting import WaitTimeoutError, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
TAIL_LINES = 40


class ProcessFailedError(AssertionError):
    """A process ended, or never became ready; the message carries the end of its log."""


class _Reaper:
    """The connection to `tests/support/reaper.py`, started with the first child process or folder."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def tell(self, line: str) -> None:
        if self._process is None:
            script = Path(__file__).with_name("reaper.py")
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(script)],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(timeout=30)
            self._process = None


_reaper = _Reaper()
_started: set["ManagedProcess"] = set()
_owner_pid = os.getpid()


def started_processes() -> list["ManagedProcess"]:
    """The managed processes that were started and not stopped; one that ended by itself is among them."""
    return sorted(_started, key=lambda process: process.name)


@atexit.register
def _end_everything() -> None:
    """The last net, for what no fixture stopped."""
    if os.getpid() != _owner_pid:
        return  # a forked copy of the test run: the processes are not its own
    for process in started_processes():
        process.stop()
    _reaper.close()


def service_user(*candidates: str) -> str | None:
    """The first of these users that exists, else `nobody`; None when this process is not root and cannot change."""
    if os.geteuid() != 0:
        return None
    for candidate in candidates:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(candidate).pw_name
    return "nobody"


def group_of(user: str | None) -> int | None:
    """The main group of a user; None stays None."""
    return None if user is None else pwd.getpwnam(user).pw_gid


def make_folder(prefix: str, user: str | None = None) -> Path:
    """A new temporary folder that belongs to `user`; it goes at the end of the run even if that is a SIGKILL."""
    folder = Path(tempfile.mkdtemp(prefix=f"ctrader-test-{prefix}-"))
    _reaper.tell(f"folder {folder}")
    if user is not None:
        give_to(folder, user)
    return folder


def give_to(path: Path, user: str | None) -> None:
    """Make `user` (None: leave as it is) the owner of this file or folder."""
    if user is not None:
        os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)


def base_environment() -> dict[str, str]:
    """The few variables every child needs; nothing of the developer's own configuration passes."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "HOME": "/nonexistent",
        "PYTHONUNBUFFERED": "1",
        # Nor does the `.env` of the developer's working copy.
        "PYTHON_DOTENV_DISABLED": "1",
        **kept,
    }


class ManagedProcess:
    """One child process in a process group of its own, with its log in a file.

    `command[0]` is a path or is found in PATH. `env` is the whole environment. `user` drops privileges (root only).
    `stop_signal` asks for an orderly end; with `stop_group` every process of the group gets it, not only the first.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_group: bool = False,
        stop_timeout_s: float = 20.0,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.env = dict(base_environment() if env is None else env)
        self.log_path = log_path
        self._cwd = cwd or REPOSITORY
        self._user = user
        self._stop_signal = stop_signal
        self._stop_group = stop_group
        self._stop_timeout_s = stop_timeout_s
        self._popen: subprocess.Popen[bytes] | None = None
        self._swept = False
        self._log_start = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the running (or last) process; AssertionError before the first start."""
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the process runs; an ended one is collected here."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs or before it started."""
        return None if self._popen is None else self._popen.poll()

    def start(self) -> Self:
        """Start it; returns at once, so wait for what says that it is ready."""
        assert not self.running, f"{self.name} runs already"
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self._cwd,
                start_new_session=True,
                user=self._user,
                group=group_of(self._user),
                extra_groups=None if self._user is None else [],
            )
        self._swept = False
        _started.add(self)
        _reaper.tell(f"watch {self._popen.pid}")
        return self

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process only, not to its children."""
        if self.running:
            os.kill(self.pid, number)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the whole group, wait until the first process has ended, and kill all that is left."""
        if self._popen is None or self._swept:
            return
        family = descendants_of(self.pid)
        self._signal_group(number)
        self._popen.wait(timeout=self._stop_timeout_s)
        self._sweep(family)

    def stop(self) -> None:
        """Ask it to end, wait, and kill all that is left. Harmless when it does not run."""
        if self._popen is not None and not self._swept:
            family = descendants_of(self.pid)
            if self.running:
                if self._stop_group:
                    self._signal_group(self._stop_signal)
                else:
                    self.send_signal(self._stop_signal)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._popen.wait(timeout=self._stop_timeout_s)
            self._sweep(family)
        _started.discard(self)

    def end(self) -> None:
        """Kill it for good, group and all: for the end of a test, when an orderly stop would only take time."""
        self.kill()
        _started.discard(self)

    def restart(self) -> Self:
        """Stop it in order and start it again; the log goes on in the same file."""
        self.stop()
        return self.start()

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _sweep(self, family: list[Kin]) -> None:
        """Kill the rest of the group, and the descendants that left it; return when all of them are gone."""
        assert self._popen is not None
        self._signal_group(signal.SIGKILL)
        for kin in family:
            kin.kill()
        self._popen.wait(timeout=self._stop_timeout_s)
        wait_until(lambda: not any(kin.alive for kin in family), 10.0, f"all children of {self.name} are gone")
        # The number of the group may now become somebody else's.
        self._swept = True
        _reaper.tell(f"forget {self.pid}")

    # Logs -----------------------------------------------------------------------------------------------------------

    def log(self) -> str:
        """What it has written since its last start."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", errors="replace")

    @property
    def log_size(self) -> int:
        """How many bytes its log has now."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def log_tail(self, lines: int = TAIL_LINES, start: int = 0) -> str:
        """The last lines of its log, of what stands after `start` bytes."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(start)
            return "\n".join(log.read().decode("utf-8", errors="replace").splitlines()[-lines:])

    # Waiting --------------------------------------------------------------------------------------------------------

    def wait_for(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for a condition while it runs; ProcessFailedError when it ends first or time is over."""

        def ready_or_dead() -> bool:
            return condition() or not self.running

        try:
            wait_until(ready_or_dead, timeout_s)
        except WaitTimeoutError:
            raise ProcessFailedError(f"{self.name}: no {what} within {timeout_s:g} s\n{self.log_tail()}") from None
        if not condition():
            raise ProcessFailedError(
                f"{self.name}: ended with status {self.returncode} before {what}\n{self.log_tail()}"
            )

    def wait_for_port(self, port: int, timeout_s: float = 20.0) -> None:
        """Wait until it accepts connections on this port of loopback."""
        self.wait_for(lambda: is_listening(port), timeout_s, f"listener on port {port}")

    def wait_for_log(self, pattern: str, timeout_s: float = 20.0) -> re.Match[str]:
        """Wait until a regular expression matches its log since its last start; returns the match."""
        compiled = re.compile(pattern)
        self.wait_for(lambda: compiled.search(self.log()) is not None, timeout_s, f"log line {pattern!r}")
        match = compiled.search(self.log())
        assert match is not None
        return match

    def wait_for_exit(self, timeout_s: float = 20.0) -> int:
        """Wait until it has ended by itself; returns the exit status."""
        wait_until(lambda: not self.running, timeout_s, lambda: f"{self.name} still runs\n{self.log_tail()}")
        assert self.returncode is not None
        return self.returncode
