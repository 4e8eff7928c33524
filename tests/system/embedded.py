"""The embedded system from outside, and through the back door of its process."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.kin import descendants_of
from tests.support.processes import REPOSITORY
from tests.support.system import EmbeddedSystem
from tests.system.client import Api
from tests.system.venue import SystemVenue


def api_of(system: EmbeddedSystem) -> Api:
    """The JSON API as the demonstration user."""
    return Api(system.ready.url.rstrip("/"), system.ready.token, system.ready.account)


def environment_of(system: EmbeddedSystem) -> dict[str, str]:
    """The environment that the system gave itself: its secret and the addresses of its parts."""
    raw = Path(f"/proc/{system.process.pid}/environ").read_bytes()
    pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
    return {name.decode(): value.decode() for name, _, value in pairs}


class EmbeddedVenue(SystemVenue):
    """The control endpoints of the system's own paper venue."""

    def __init__(self, system: EmbeddedSystem) -> None:
        environment = environment_of(system)
        super().__init__(environment["CTRADER_API_BASE_URL"])
        self._session.headers["Authorization"] = f"Bearer {environment['INTERNAL_SHARED_SECRET']}"

    def __enter__(self) -> "EmbeddedVenue":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def run_inside(system: EmbeddedSystem, code: str) -> str:
    """Run Python with Django set up on the system's database, in a process of its own; its output."""
    environment = {**os.environ, **environment_of(system), "DJANGO_SETTINGS_MODULE": "config.settings"}
    program = f"import django; django.setup()\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def resident_mb(system: EmbeddedSystem) -> float:
    """The resident memory of the process and all its descendants, in MB."""
    pids = [system.process.pid, *(kin.pid for kin in descendants_of(system.process.pid))]
    return sum(_resident_kb(pid) for pid in pids) / 1024


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
