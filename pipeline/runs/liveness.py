"""Whether the process that runs a run still lives, or the job that it left on a cluster.

On a local output the operating system's lock tells: it goes with its process. In a bucket, and on a disk that another
machine has mounted, a heartbeat does, and for a job on a cluster the heartbeats of its workers. They are judged by
change on the observer's own clock, so that no two clocks are compared.
"""

from __future__ import annotations

import fcntl
import socket
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from cardbeam.run_state.detached_job import running_job
from cardbeam.run_state.liveness.heartbeat import HEARTBEAT_INTERVAL_S, read_watch_heartbeat
from cardbeam.run_state.liveness.run_lock import LOCK_FILE
from cardbeam.run_state.liveness.worker_heartbeat import counts_of, list_heartbeats
from cardbeam.storage.folder import Folder

HEARTBEAT_TIMEOUT_S = 3 * HEARTBEAT_INTERVAL_S
_POLL_S = 0.5


class Observer:
    """Watches the owner of a run; for one thread."""

    def __init__(self, folder: Folder, run_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._run_id, self._clock = folder, run_id, clock
        self._seen: object = None
        self._changed_s = clock()

    def poll(self) -> bool | None:
        """Whether the owner lives; None where that is not known yet: no heartbeat came since the first look.

        A run that nobody waits for is its job's, which is taken for alive until the run has ended or was told to.
        """
        if running_job(self._folder, self._run_id) is not None:
            return True
        held = _read_lock(self._folder)
        if held is None or held.get("run_id", self._run_id) != self._run_id:
            return False
        if self._folder.is_local and _is_locked(Path(self._folder.root, LOCK_FILE)):
            return True
        workers = counts_of(list_heartbeats(self._folder, self._run_id))
        if self._folder.is_local and held.get("host") == socket.gethostname() and not workers:
            return False
        return self._judge((held.get("beat"), read_watch_heartbeat(self._folder, self._run_id), workers))

    def _judge(self, shown: object) -> bool | None:
        is_first, before, self._seen = self._seen is None, self._seen, shown
        if is_first or before != shown:
            self._changed_s = self._clock()
            return None if is_first else True
        return False if self._clock() - self._changed_s > HEARTBEAT_TIMEOUT_S else None


def is_alive(observer: Observer, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether the owner lives; where heartbeats tell, this waits for the next one, or until three were due."""
    while (lives := observer.poll()) is None:
        sleep(_POLL_S)
    return lives


def _read_lock(folder: Folder) -> dict[str, object] | None:
    """What the owner wrote; None where there is none, and nothing of it where it is being written."""
    try:
        content = orjson.loads(folder.read(LOCK_FILE))
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _is_locked(path: Path) -> bool:
    """Whether a process holds the lock. To look takes a shared one for an instant, for which a new owner waits."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
