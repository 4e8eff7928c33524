"""A headless Chromium of the test run's own, driven by Playwright.

The browser is one process for the whole run. Playwright is attached to it for one test at a time: while its
synchronous interface is attached, the thread counts as running an event loop, which would break every
asynchronous test that follows and Django's ORM with it.
"""

import contextlib
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from playwright.sync_api import Browser, sync_playwright

from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ManagedProcess, ProcessFailedError, base_environment, make_folder

START_TIMEOUT_S = 30.0

_FLAGS = (
    "--headless=new",
    # The test run may be root, and in a container without user namespaces.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--no-proxy-server",
    "--password-store=basic",
    # A page that asks for anything outside this machine gets "no such name".
    f"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {LOOPBACK} , EXCLUDE localhost",
    f"--remote-debugging-address={LOOPBACK}",
    "--remote-allow-origins=*",
)
_CANDIDATES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class Chromium:
    """The browser process, in a temporary profile, with its debugging port on loopback."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = make_folder("chromium")
        command = [
            find_chromium(),
            *_FLAGS,
            f"--remote-debugging-port={self.port}",
            f"--user-data-dir={self.folder}",
            "about:blank",
        ]
        environment = base_environment() | {
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder),
        }
        self.process = ManagedProcess(
            "chromium", command, log_path=self.folder / "chromium.log", env=environment, cwd=self.folder
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start it and wait until it can be driven; about 1 s."""
        self.process.start()
        self.process.wait_for(self.answers, START_TIMEOUT_S, "answer on the debugging port")
        return self

    def close(self) -> None:
        """Stop it and remove its profile."""
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def answers(self) -> bool:
        """Whether the debugging port answers."""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/json/version", timeout=1.0) as answer:
                return "webSocketDebuggerUrl" in json.load(answer)
        except (OSError, ValueError):
            return False

    @contextlib.contextmanager
    def attached(self) -> Iterator[Browser]:
        """Playwright's `Browser`, attached to this process until the block ends (0.4 s).

        Within the block Django's ORM is allowed in this thread, although Playwright keeps an event loop in it.
        """
        before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.connect_over_cdp(f"http://{LOOPBACK}:{self.port}")
                try:
                    yield browser
                finally:
                    browser.close()
        finally:
            if before is None:
                del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
            else:
                os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


def find_chromium() -> str:
    """The browser's program: the machine's own, else one that Playwright downloaded."""
    for name in _CANDIDATES:
        found = shutil.which(name)
        if found is not None and not _is_snap_stub(Path(found)):
            return found
    downloads = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    for pattern in ("chromium-*/chrome-linux*/chrome", "chromium_headless_shell-*/*/*headless*shell"):
        for program in sorted(downloads.glob(pattern), reverse=True):
            return str(program)
    raise ProcessFailedError("Chromium is not installed (apt-get install chromium)")


def _is_snap_stub(program: Path) -> bool:
    """Ubuntu's package is a script that asks snap for the browser: useless where snap does not run."""
    with program.open("rb") as file:
        return b"snap" in file.read(4096) and not Path("/snap/bin/chromium").exists()
