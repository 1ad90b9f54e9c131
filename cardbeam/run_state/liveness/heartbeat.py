"""What the launching process tells the watching graph through the run's folder: go on, or end.

The launching process writes a beat every few seconds. A graph whose workers live in that process and that sees no new
one for `HEARTBEAT_TIMEOUT_S` on its own clock, or another's, dispatches nothing more and comes to its end by itself. On
a cluster it goes on: it ends where it is told to, or another launch takes the run over. A graph that no process waits
for has no session, and ends by the run's stop file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cardbeam.run_state.layout import run_file
from cardbeam.run_state.stop_signal import STOP_FILE, read_stop
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state

HEARTBEAT_FILE = "heartbeat.json"
HEARTBEAT_INTERVAL_S = 5.0
HEARTBEAT_TIMEOUT_S = 60.0
NO_SESSION = ""
"""Of a graph that no process waits for."""


@dataclass(frozen=True, slots=True)
class WatchHeartbeat:
    """What heartbeat.json holds."""

    session: str
    at_s: int
    """When it was written, seconds since 1970 on the clock of the launching process; for people."""
    is_ending: bool
    number: int = 0


def write_watch_heartbeat(folder: Folder, run_id: str, control: WatchHeartbeat) -> None:
    """Tell the graph."""
    write_state(folder, run_file(run_id, HEARTBEAT_FILE), control)


def read_watch_heartbeat(folder: Folder, run_id: str) -> WatchHeartbeat | None:
    """What the launching process told last; None where nothing is told.

    Raises:
        OSError: the folder cannot be used.
    """
    return read_state(folder, run_file(run_id, HEARTBEAT_FILE), WatchHeartbeat)


class HeartbeatMonitor:
    """The graph's side: whether its session goes on."""

    def __init__(
        self,
        folder: Folder,
        run_id: str,
        session: str,
        clock: Callable[[], float],
        timeout_s: float = HEARTBEAT_TIMEOUT_S,
    ) -> None:
        self._folder, self._run_id, self._session, self._clock = folder, run_id, session, clock
        self._timeout_s = timeout_s
        self._last: WatchHeartbeat | None = None
        self._changed_s = clock()

    def should_stop(self) -> bool:
        """Whether nothing more may be dispatched: told to end, stopped, silent, or another has taken over."""
        if read_stop(self._folder, run_file(self._run_id, STOP_FILE)) is not None:
            return True
        if self._session == NO_SESSION:
            return False
        try:
            control = read_watch_heartbeat(self._folder, self._run_id)
        except OSError:
            return self._is_silent()
        if control is None or control.session != self._session or control.is_ending:
            return True
        if control != self._last:
            self._last, self._changed_s = control, self._clock()
        return self._is_silent()

    def _is_silent(self) -> bool:
        return self._clock() - self._changed_s > self._timeout_s
