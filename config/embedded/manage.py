"""``python -m config.embedded.manage``: a management command beside a running embedded system, with its settings."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from config.embedded.state import State, StateError

DESCRIPTION = """Run a manage.py command with the settings of the embedded system that script/server has started: its
database, its keys, its microservice. Without a command: a Python shell."""


def _environment(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise StateError(f"there is no state in {folder}: start script/server first")
    return State(folder).running_environment()


def main() -> NoReturn:
    """Does not return: the process becomes manage.py, or exits with 2."""
    parser = argparse.ArgumentParser(prog="script/manage", description=DESCRIPTION)
    parser.add_argument("--state", type=Path, default=Path(".state"), metavar="DIR", help="its state folder")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command and its arguments (default: shell)")
    arguments = parser.parse_args()
    try:
        environment = _environment(arguments.state)
    except StateError as error:
        sys.stderr.write(f"cannot start: {error}\n")
        sys.exit(2)
    command = [sys.executable, "manage.py", *(arguments.command or ["shell"])]
    os.execve(sys.executable, command, {"DJANGO_LOG_LEVEL": "WARNING", **os.environ, **environment})  # noqa: S606


if __name__ == "__main__":
    main()
