"""One switch that ends the sending: what is not under way by then is deferred, not dead.

Pulled once; the reason stands in the run's folder, so that the receipt, the other workers
and the exit status agree on it.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

import orjson

from schemas.outcomes import Outcome, Signal
from transforms.layout import run_file
from transforms.storage import Folder

STOP_FILE = "stop.json"


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a run stopped before its end: the receipt's status, the exit status, and what to do."""

    status: str
    exit_status: int
    code: str
    message: str


BUDGET = StopReason("budget", 3, "max_calls", "The run made as many calls as --max_calls allows; resume it to go on")
UNREACHABLE = StopReason("failed", 4, "connection", "The endpoint cannot be reached; check --endpoint_url, then resume")
STORAGE_REFUSED = StopReason(
    "failed", 5, "storage_refused", "The pictures' storage refuses our credentials; renew them, then resume"
)

_REASONS = {
    Signal.OWN: ("out_of_requests", 3, "the account has no requests left; resume when it has"),
    Signal.REFUSED: ("failed", 5, "the credentials were refused; check CARD_API_KEY and CARD_API_SECRET"),
    Signal.BAD_REQUEST: ("failed", 2, "the endpoint takes no such call; check --endpoint_url and --transfer"),
}


def reason_of(outcome: Outcome) -> StopReason:
    """The reason that a stopping outcome gives."""
    status, exit_status, advice = _REASONS[outcome.signal]
    return StopReason(status, exit_status, outcome.code, f"{outcome.message}: {advice}")


class StopSwitch:
    """Shared by the threads of a process; the first reason stays."""

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._folder, self._path = folder, run_file(run_id, STOP_FILE)
        self._lock = threading.Lock()
        self.is_pulled = False

    def pull(self, reason: StopReason) -> None:
        """Stop sending, in this process at once.

        Raises:
            OSError: the reason was not written. It goes on then, and who meets the reason next pulls again: a process
                that stopped without a word would leave a run that nobody can end.
        """
        with self._lock:
            if self.is_pulled:
                return
            self.is_pulled = True
            try:
                self._folder.write(self._path, orjson.dumps(asdict(reason)))
            except OSError:
                self.is_pulled = False
                raise

    def look(self) -> None:
        """Learn of a switch that another worker pulled; one that ran out of budget stops itself alone."""
        if not self.is_pulled and (reason := read_stop(self._folder, self._path)) is not None:
            self.is_pulled = self.is_pulled or reason.code != BUDGET.code


def read_stop(folder: Folder, path: str) -> StopReason | None:
    """Why the run stopped early; None where it did not."""
    try:
        return StopReason(**orjson.loads(folder.read(path)))
    except FileNotFoundError:
        return None
