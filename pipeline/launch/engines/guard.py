"""Runs a command and kills it when the process that started this one ends: `python guard.py COMMAND …`.

Standard input is a pipe whose other end the starting process holds. However that process ends, SIGKILL included, the
operating system closes the pipe. This works on every Unix; a parent-failure signal exists on Linux alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence


def main(command: Sequence[str]) -> int:
    """Run the command until it ends or standard input is closed; its exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # sent to a whole group: the parent decides
        signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def kill_at_end_of_input() -> None:
        while os.read(0, 4096):
            pass
        child.kill()

    threading.Thread(target=kill_at_end_of_input, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
