"""The embedded system itself. Started by ``python -m config.embedded``, which has set the environment."""

import asyncio
import faulthandler
import fcntl
import json
import logging
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from config.asgi import application
from config.embedded.demo import USERNAME, ensure_demo, password, prove_tradable, token
from config.embedded.parts import Beat, CeleryWorker, Microservice, Part, Stream
from config.embedded.state import State
from ctrader_app.broadcast.broadcaster import get_broadcaster
from ctrader_app.models import TradingAccount
from ctrader_app.operations.sweep import doubt_all_sending

logger = logging.getLogger("embedded")

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
"""A part that does not end by then shows where it stands, and the process exits 1."""

WATCH_EVERY_S = 0.5


class _Web(uvicorn.Server):
    """Uvicorn without signal handlers of its own: this process has more than a web server to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def _web(port: int) -> _Web:
    return _Web(
        uvicorn.Config(
            application,
            host="127.0.0.1",
            port=port,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            ws="websockets-sansio",
            ws_per_message_deflate=False,  # each socket would compress each frame anew
            ws_max_size=64 * 1024,
            server_header=False,
            timeout_graceful_shutdown=3,
        )
    )


class System:
    """All parts, started in order, watched, and stopped in the reverse order."""

    def __init__(self, port: int, state: Path) -> None:
        self.port = port
        self.state = state
        self.web = _web(port)
        self.running: list[Part] = []
        self.failure: str | None = None

    async def run(self) -> int:
        """Until a signal (0) or the death of a part (1)."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        # In-memory channel layers belong to the loop of the web server: that is the one to send on.
        get_broadcaster().use_loop(loop)
        account = await asyncio.to_thread(self._prepare)
        serving = asyncio.create_task(self.web.serve())
        starting = asyncio.create_task(self._start(account))
        await serving
        await starting
        await asyncio.to_thread(self._stop_parts)
        if self.failure:
            sys.stderr.write(f"stopped: {self.failure}\n")
        return 1 if self.failure else 0

    def _stop(self) -> None:
        # A second signal does not wait for open requests; and whatever hangs, the process ends.
        self.web.force_exit = self.web.should_exit
        self.web.should_exit = True
        faulthandler.dump_traceback_later(STOP_TIMEOUT_S, exit=True)

    def _prepare(self) -> TradingAccount:
        call_command("migrate", verbosity=0, interactive=False)
        account = ensure_demo()
        doubt_all_sending()
        connections.close_all()
        return account

    async def _start(self, account: TradingAccount) -> None:
        """Start the parts, say that the system is ready, then watch them."""
        try:
            for make in self._makers():
                if self.web.should_exit:
                    return
                await asyncio.to_thread(self._start_part, make)
            await asyncio.to_thread(self._wait_ready, account)
        except Exception as error:
            logger.exception("the system could not start")
            self.failure = f"it could not start: {error}"
            self._stop()
            return
        if not self.web.should_exit:
            self._say_ready(account)
        await self._watch()

    def _makers(self) -> tuple[Callable[[], Part], ...]:
        return (lambda: Microservice(self.state), Stream, CeleryWorker, Beat)

    def _start_part(self, make: Callable[[], Part]) -> None:
        part = make()
        part.start()
        self.running.append(part)

    def _wait_ready(self, account: TradingAccount) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        prove_tradable(account)
        connections.close_all()
        while not self.web.should_exit:
            missing = self._not_ready()
            if not missing:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {START_TIMEOUT_S:g} s: {missing}")
            time.sleep(0.05)

    def _not_ready(self) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return ""
        except urllib.error.HTTPError as error:
            return json.dumps(json.loads(error.read()))
        except OSError as error:
            return str(error)

    def _say_ready(self, account: TradingAccount) -> None:
        line = f"ready http://127.0.0.1:{self.port}/ account {account.pk} user {USERNAME}"
        sys.stdout.write(f"{line} password {password()} token {token()}\n")
        sys.stdout.flush()

    async def _watch(self) -> None:
        while not self.web.should_exit:
            dead = next((part.name for part in self.running if not part.is_alive()), None)
            if dead:
                self.failure = f"{dead} has ended; the log says why"
                self._stop()
            await asyncio.sleep(WATCH_EVERY_S)

    def _stop_parts(self) -> None:
        for part in reversed(self.running):
            part.stop()
        connections.close_all()


@contextmanager
def _only_one(state: Path) -> Iterator[bool]:
    """Hold the state folder: two systems on one would trade behind each other's back."""
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def main() -> int:
    """Returns the exit code."""
    port, state = int(sys.argv[1]), Path(sys.argv[2])
    with _only_one(state) as alone:
        if not alone:
            sys.stderr.write(f"cannot start: another server uses the state folder {state}\n")
            return 2
        State(state).note_running(settings.CTRADER_API_BASE_URL)
        return asyncio.run(System(port, state).run())


if __name__ == "__main__":
    sys.exit(main())
