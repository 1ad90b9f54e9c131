"""Workers show that they live by files whose names change; who looks judges by change, on its own clock.

A worker that shares a rate shows life by its lease (see `leases`), which is renewed anyway.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable

from cardbeam.run_state.layout import HEARTBEATS, LEASES, RUNS, run_file
from cardbeam.storage.folder import Folder

_NAME = re.compile(r"(?P<worker>[0-9a-f]+)-(?P<count>[0-9]+)\.(lease|heartbeat)")


class Heartbeat:
    """One worker's: its own file, under another name each time."""

    def __init__(self, folder: Folder, run_id: str, worker: str) -> None:
        self._folder, self._path = folder, run_file(run_id, f"{HEARTBEATS}/{worker}")
        self._lock = threading.Lock()
        self._count = 0

    def beat(self) -> None:
        """Write the next file, then remove the one before.

        Raises:
            OSError: the store did not take it.
        """
        with self._lock:
            self._count += 1
            self._folder.write(self._name(self._count), b"")
            if self._count > 1:
                self._folder.delete([self._name(self._count - 1)])

    def stop(self) -> None:
        """Leave no file behind.

        Raises:
            OSError: the store did not remove it; this worker will be taken for lost.
        """
        with self._lock:
            self._folder.delete([self._name(self._count)])

    def _name(self, count: int) -> str:
        return f"{self._path}-{count:09d}.heartbeat"


def counts_of(paths: Iterable[str]) -> dict[str, int]:
    """The highest count of each worker among paths; other files are passed over."""
    counts: dict[str, int] = {}
    for path in paths:
        if (found := _NAME.fullmatch(path.rpartition("/")[2])) is not None:
            counts[found["worker"]] = max(int(found["count"]), counts.get(found["worker"], 0))
    return counts


def list_heartbeats(folder: Folder, run_id: str = "") -> list[str]:
    """The files by which workers of a run, or of any run, show that they live."""
    found = (file.path for file in folder.list(f"{RUNS}/{run_id}" if run_id else RUNS))
    return [path for path in found if {LEASES, HEARTBEATS}.intersection(path.split("/"))]


def await_silence(
    folder: Folder, silent_s: float, within_s: float, sleep: Callable[[float], None], run_id: str = ""
) -> bool:
    """Whether no worker shows life for `silent_s`, watched for so long and polled once at least.

    What lost workers left is removed, so that nobody waits for it again.
    """
    waited_s, seen = 0.0, list_heartbeats(folder, run_id)
    while seen:
        sleep(silent_s)
        waited_s, before, seen = waited_s + silent_s, counts_of(seen), list_heartbeats(folder, run_id)
        if all(before.get(worker) == count for worker, count in counts_of(seen).items()):
            folder.delete(seen)
            return True
        if waited_s >= within_s:
            return False
    return True
