"""Kill real processes at each step of an update of the index, and hold what the next process knows against all runs.

python -m tests.cardbeam.index.killed_updates [EVERY]

SIGKILL comes before a file of the index is opened to be written, renamed into place or removed. Each update, and each
read what is known then, is a process of its own, forked from one that does neither.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from cardbeam.run_state.layout import INDEX
from cardbeam.storage.folder import LocalFolder
from tests.cardbeam.index.on_disk.test_update import RUNS, entries, keep, keep_run, known, update
from tests.records import answered

_STEPS = {"open": 0, "os.rename": 1, "os.remove": 0, "os.rmdir": 0}
"""Events of the interpreter, and which of their arguments is the path."""
_WRITES = os.O_WRONLY | os.O_RDWR


def main(every: int = 1) -> int:
    """Try every step, or every so many; 0 if nothing was lost at any."""
    status, kills = -signal.SIGKILL, -1
    with tempfile.TemporaryDirectory() as scratch:
        for step in count(step=every):
            if status != -signal.SIGKILL:
                break
            folder = LocalFolder(str(Path(scratch, str(step))))
            in_process(partial(prepare, folder))
            status = in_process(partial(killed_at, step, folder))
            kills += 1
            if in_process(partial(check, folder)):
                print(f"lost at step {step}")
                return 1
    print(f"{kills} kills: nothing lost")
    return int(status != 0 or not kills)


def in_process(do: Callable[[], object]) -> int:
    """Do something in a process of its own: its exit status, negative for a signal."""
    if (pid := os.fork()) == 0:
        status = 1
        try:
            do()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def prepare(folder: LocalFolder) -> None:
    """An output whose next update adds a run, drops an entry whose ledger has changed, and merges others."""
    for number in range(3):
        keep_run(folder, number)
        update(folder)
    keep_run(folder, 3)
    keep(folder, RUNS[1], [answered(item, source=100 + item) for item in range(3, 7)])


def killed_at(step: int, folder: LocalFolder) -> None:
    """Update the index, and be killed at a step of it."""
    kill_at(step, f"{folder.root}/{INDEX}")
    update(folder)


def kill_at(step: int, under: str) -> None:
    """Have this process be killed as it writes, renames or removes the file of this number under a path."""
    steps = count()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event not in _STEPS or not str(arguments[_STEPS[event]]).startswith(under):
            return
        is_read = event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES)
        if not is_read and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def check(folder: LocalFolder) -> None:
    """All images are known, before and after the next update, which has every run."""
    assert known(folder, 12)
    update(folder)
    assert known(folder, 12)
    assert [run for one in entries(folder) for run in one] == RUNS[:4]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
