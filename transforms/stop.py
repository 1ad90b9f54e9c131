"""One switch that ends the sending: what is not under way by then is deferred, not dead.

Pulled once; the reason stands in the run's folder, so that the receipt, the other workers
and the exit status agree on it.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

import orjson

from schemas.outcomes import Action, Outcome
from transforms.layout import run_file
from transforms.storage import Folder

STOP_FILE = "stop.json"


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a run stopped before its end. `status` is the receipt's."""

    status: str
    code: str
    message: str


_STATUS_OF_ACTION = {
    Action.STOP_OUT_OF_REQUESTS: "out_of_requests",
    Action.STOP_REFUSED: "refused",
    Action.STOP_AT_FAULT: "at_fault",
}
BUDGET = StopReason("budget", "max_calls", "The run has made as many calls as --max_calls allows")
UNREACHABLE = StopReason("unreachable", "connection", "The endpoint cannot be reached")


def reason_of(outcome: Outcome) -> StopReason:
    """The reason that a stopping outcome gives."""
    return StopReason(_STATUS_OF_ACTION[outcome.action], outcome.code, outcome.message)


class StopSwitch:
    """Shared by the threads of a process; the first reason stays."""

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._folder, self._path = folder, run_file(run_id, STOP_FILE)
        self._lock = threading.Lock()
        self.is_pulled = False

    def pull(self, reason: StopReason) -> None:
        """Stop sending, in this process at once."""
        with self._lock:
            if self.is_pulled:
                return
            self.is_pulled = True
            self._folder.write(self._path, orjson.dumps(asdict(reason)))

    def look(self) -> None:
        """Learn of a switch that another worker pulled."""
        self.is_pulled = self.is_pulled or read_stop(self._folder, self._path) is not None


def read_stop(folder: Folder, path: str) -> StopReason | None:
    """Why the run stopped early; None where it did not."""
    try:
        return StopReason(**orjson.loads(folder.read(path)))
    except FileNotFoundError:
        return None
