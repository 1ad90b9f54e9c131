"""One switch that ends the sending: what is not in progress by then is deferred, not failed.

Pulled once; the reason stands in the run's folder, so that the receipt, the other workers
and the exit status agree on it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakSet

from cardbeam.run_state.layout import RUNS, run_file
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state
from schemas.outcomes import Action, Outcome, Signal

_LOG = logging.getLogger("cardbeam")
STOP_FILE = "stop.json"
_RUNS_LOOKED_AT = 10
_TOLD_WITHIN_S = 1.0
"""For so long calls go on where the folder does not take the reason to stop."""


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a run stopped before its end: the receipt's status, the exit status, and what to do."""

    status: str
    exit_status: int
    code: str
    message: str
    images: tuple[str, ...] = ()
    """Item ids of the images whose failures stopped it."""


BUDGET = StopReason("budget", 3, "max_calls", "The run made as many calls as --max_calls allows; resume it to go on")
COST = StopReason("budget", 3, "max_cost", "The run paid as much as --max_cost allows; rerun the command to go on")
TIME_WINDOW = StopReason(
    "time_window", 3, "until", "The time window of --until has ended; rerun the same command to process the rest"
)
STOPPED = StopReason("interrupted", 130, "stopped", "The run was stopped by runs --stop; rerun the same command")
WATCH_STOPPED = replace(STOPPED, exit_status=0)
"""A watch that is told to end has done what it was told."""
TAKEN_OVER = StopReason("failed", 4, "taken_over", "The watch was begun again; its calls are left to the new one")
WORKER_LOST = StopReason("failed", 4, "worker_lost", "A worker process was killed; rerun the same command to resume")
_OF_ONE_WORKER = frozenset({BUDGET.code, COST.code})
"""A worker that finds no budget stops itself alone: others may hold some."""
STORAGE_REFUSED = StopReason(
    "refused", 5, "storage_refused", "The images' storage refuses our credentials; renew them, then resume"
)

_OUT_OF_REQUESTS = ("out_of_requests", 3, "the account has no requests left; rerun the same command when it has")
_UNAVAILABLE = ("unavailable", 4, "the endpoint is unavailable; check --endpoint_url, then rerun the same command")
_REASONS = {
    Signal.REFUSED: ("refused", 5, "the credentials were refused; check CARD_API_KEY and CARD_API_SECRET"),
    Signal.BAD_REQUEST: ("failed", 2, "the endpoint rejects these calls; check --endpoint_url and --transfer"),
}


def reason_of(outcome: Outcome, images: Iterable[str] = ()) -> StopReason:
    """The reason that an outcome gives which stops the run, met by these images."""
    known = _OUT_OF_REQUESTS if outcome.action is Action.STOP else _REASONS.get(outcome.signal, _UNAVAILABLE)
    status, exit_status, advice = known
    return StopReason(status, exit_status, outcome.code, f"{outcome.message}: {advice}", tuple(images))


def interrupted(name: str, exit_status: int) -> StopReason:
    """The reason that a signal of the operating system gives."""
    return StopReason("interrupted", exit_status, name, f"{name} ended the run; rerun the same command to resume")


class StopSignal:
    """Shared by the threads of a process; the first reason stays."""

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._folder, self._path = folder, run_file(run_id, STOP_FILE)
        self._lock = threading.Lock()
        self._pulled = threading.Event()
        with _here_lock:
            _here.add(self)

    def is_of(self, folder: Folder, run_id: str) -> bool:
        """Whether it is about this run."""
        return (self._folder.root, self._path) == (folder.root, run_file(run_id, STOP_FILE))

    @property
    def is_set(self) -> bool:
        """Whether nothing more may be sent."""
        return self._pulled.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Sleep, but not longer than until it is pulled; whether it is."""
        return self._pulled.wait(timeout_s)

    def set(self, reason: StopReason) -> None:
        """Stop sending, in this process at once.

        Raises:
            OSError: the reason was not written. It goes on then, and who meets the reason next pulls again: a process
                that stopped without a word would leave a run that nobody can end.
        """
        with self._lock:
            if self.is_set:
                return
            self._pulled.set()
            try:
                write_state(self._folder, self._path, reason)
            except OSError:
                self._pulled.clear()
                raise

    def abandon(self) -> None:
        """Send nothing more in this process, and tell nobody: the run is another's now, with its reasons."""
        self._pulled.set()

    def poll(self) -> None:
        """Learn of a switch that another worker pulled; one that ran out of budget stops itself alone."""
        reason = None if self.is_set else read_stop(self._folder, self._path)
        if reason is not None and reason.code not in _OF_ONE_WORKER:
            self._pulled.set()


_here: WeakSet[StopSignal] = WeakSet()
"""All of this process."""
_here_lock = threading.Lock()


def stop_run(folder: Folder, run_id: str, reason: StopReason) -> None:
    """Stop a run from outside of its workers: those of this process at once, others when they look the next time.

    The reason is written first, for a run that stopped without one has failed. Where it cannot be written soon, the
    workers of this process stop all the same.
    """

    def write() -> None:
        try:
            if read_stop(folder, run_file(run_id, STOP_FILE)) is None:
                StopSignal(folder, run_id).set(reason)
        except OSError as error:
            _LOG.warning("run %s: cannot write why it stops: %s", run_id, error)

    writer = threading.Thread(target=write, name="stop", daemon=True)
    writer.start()
    writer.join(_TOLD_WITHIN_S)
    with _here_lock:
        known = [one for one in _here if one.is_of(folder, run_id)]
    for one in known:
        one.abandon()


def read_stop(folder: Folder, path: str) -> StopReason | None:
    """Why the run stopped early; None where it did not.

    Raises:
        DamagedFile: the reason cannot be read.
    """
    reason = read_state(folder, path, StopReason)
    return None if reason is None else replace(reason, images=tuple(reason.images))


def suspects(folder: Folder, run_id: str) -> frozenset[str]:
    """The images whose failures stopped the latest other runs.

    Raises:
        OSError: the folder cannot be used.
    """
    ends, own = f"/{STOP_FILE}", run_file(run_id, STOP_FILE)
    paths = sorted(file.path for file in folder.list(RUNS) if file.path.endswith(ends) and file.path != own)
    found: set[str] = set()
    for path in paths[-_RUNS_LOOKED_AT:]:
        with suppress(DamagedFile):  # nothing that a run depends on
            reason = read_stop(folder, path)
            found.update(() if reason is None else reason.images)
    return frozenset(found)
