"""``python -m config.embedded``: prepare the state folder and the environment, then become the system."""

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from config.embedded.state import State, StateError

DESCRIPTION = """Run the whole of django-ctrader in one process, with nothing else installed: the bundled
microservice with its paper venue, the Celery worker and beat, the stream worker, and the web server with the desk.
When a trade would work it prints one line: ready URL account UUID user demo password PASSWORD token TOKEN.
Ctrl-C or SIGTERM stops everything."""


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 65_536:
        raise ValueError
    return port


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/server", description=DESCRIPTION)
    parser.add_argument("--port", type=_port, default=8000, help="port of the desk and its API (default 8000, 0: any)")
    parser.add_argument(
        "--state", type=Path, default=Path(".state"), metavar="DIR", help="where all state is kept (default .state/)"
    )
    return parser.parse_args()


def _free_port(wanted: int) -> int:
    """``wanted`` if it can be bound, any free one for 0. Raises OSError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", wanted))
        return int(probe.getsockname()[1])


def _environment(arguments: argparse.Namespace) -> tuple[int, dict[str, str]]:
    try:
        port = _free_port(arguments.port)
        return port, State(arguments.state).environment(microservice_port=_free_port(0))
    except StateError as error:
        sys.stderr.write(f"cannot start: {error}\n")
    except OSError as error:
        sys.stderr.write(f"cannot start: port {arguments.port} is not free ({error.strerror}); choose another --port\n")
    sys.exit(2)


def main() -> NoReturn:
    """Does not return: the process becomes the system, or exits with 2."""
    arguments = _arguments()
    port, environment = _environment(arguments)
    # The settings are read when Django is imported, so the environment has to be there before: a new image of this
    # process, same pid, is the plain way to have that.
    command = [sys.executable, "-m", "config.embedded.run", str(port), str(arguments.state.resolve())]
    os.execve(sys.executable, command, {"DJANGO_LOG_LEVEL": "WARNING", **os.environ, **environment})  # noqa: S606


if __name__ == "__main__":
    main()
