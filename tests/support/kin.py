"""Looking at processes through /proc: who lives, who descends from whom."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

_STATE, _START_TIME = 0, 19  # fields of /proc/PID/stat, counted after the command's closing parenthesis


@dataclass(frozen=True, slots=True)
class Kin:
    """A process that is not mistaken for a later one with the same number."""

    pid: int
    started: str
    """The kernel's start time, in clock ticks since boot."""

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        stat = _stat(self.pid)
        return stat is not None and stat[_STATE] != "Z" and stat[_START_TIME] == self.started

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie waiting to be collected."""
    stat = _stat(pid)
    return stat is not None and stat[_STATE] != "Z"


def children_of(pid: int) -> list[int]:
    """The direct child processes of a process; empty when it is gone."""
    children: list[int] = []
    # The process may be gone before its folder is listed, and a thread before its file is read.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children += [int(child) for child in (thread / "children").read_text().split()]
    return sorted(children)


def descendants_of(pid: int) -> list[Kin]:
    """The living children, their children and so on, in whatever process group or session they have put themselves."""
    found: list[Kin] = []
    for child in children_of(pid):
        stat = _stat(child)
        if stat is not None and stat[_STATE] != "Z":
            found += [Kin(child, stat[_START_TIME]), *descendants_of(child)]
    return found
