"""Ends what a killed test run leaves behind.

Runs as a process of its own, in its own session. It reads lines from standard input, which only the test run
holds open: `watch PGID`, `forget PGID`, `folder PATH`. When the input ends, the test run is gone, in whatever
way (SIGKILL included): every process group still watched is killed and every folder removed.
"""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable


def serve(lines: Iterable[str]) -> None:
    """Follow the lines to their end, then clean up."""
    groups: set[int] = set()
    folders: set[str] = set()
    for line in lines:
        verb, _, argument = line.rstrip("\n").partition(" ")
        if verb == "watch":
            groups.add(int(argument))
        elif verb == "forget":
            groups.discard(int(argument))
        elif verb == "folder":
            folders.add(argument)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    # The terminal's Ctrl-C is for the test run; this process ends when its input does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve(sys.stdin)
