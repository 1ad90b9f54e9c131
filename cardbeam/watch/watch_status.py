"""What a watch tells of itself: its backlog, its last success and listing, what failed lately, what is tried next.

The graph writes it into the run's folder every few seconds where something changed, for `status` to show from anywhere.
Times are seconds since 1970, for people; nothing is decided by them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from cardbeam.journal.follower import RecordKey
from cardbeam.model.record import LEFT, RecordStatus
from cardbeam.run_state.layout import run_file
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state

STATUS_FILE = "watch_status.json"
RECENT_S = 600.0
_WRITE_EVERY_S = 5.0
_MAX_RECENT = 10_000
Uris = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """What watch_status.json holds."""

    waiting: int = 0
    """Listed, and not yet dispatched to the workers."""
    in_flight: int = 0
    """Dispatched, and without a record: about to be sent, or sent."""
    unpaired: int = 0
    """Sides of cards that wait for the other."""
    oldest_at_s: float | None = None
    """When the image was found that has waited longest."""
    listed_at_s: float | None = None
    succeeded_at_s: float | None = None
    failing_inputs: tuple[str, ...] = ()
    errors: dict[str, int] = field(default_factory=dict)
    """Images that failed in the last `RECENT_S`, by code."""
    next_retry_at_s: float | None = None
    paused_since_s: float | None = None
    """Since when the endpoint answers nobody."""
    deferred: int = 0
    """Of those that wait, how many failed or were deferred, and are sent again."""


class StatusWriter:
    """Keeps what is to be told, and writes it; for one thread."""

    def __init__(self, folder: Folder, run_id: str, clock: Callable[[], float], now_s: Callable[[], float]) -> None:
        self._folder, self._path, self._clock, self._now_s = folder, run_file(run_id, STATUS_FILE), clock, now_s
        self._found_at_s: dict[Uris, float] = {}
        self._failed: deque[tuple[float, str]] = deque(maxlen=_MAX_RECENT)
        self._listed_at_s: float | None = None
        self._succeeded_at_s: float | None = None
        self._written: WatchStatus | None = None
        self._write_at_s = clock()

    def note_record(self, known: RecordKey) -> None:
        """An image has its result, or failed for now."""
        if known.outcome not in LEFT:
            self._found_at_s.pop(known.uris, None)
        if known.may_be_old:
            return
        if known.outcome == RecordStatus.SUCCEEDED.value:
            self._succeeded_at_s = self._now_s()
        elif known.outcome == RecordStatus.FAILED.value or (known.outcome in LEFT and known.code):
            self._failed.append((self._clock(), known.code or "unknown"))

    def note_found(self, uris: Iterable[Uris]) -> None:
        """Images that have none yet."""
        now_s = self._now_s()
        for one in uris:
            self._found_at_s.setdefault(one, now_s)

    def note_listing(self, pending: Iterable[Uris]) -> None:
        """A listing has ended; what is pending no longer is gone."""
        self._listed_at_s = self._now_s()
        known = self._found_at_s
        self._found_at_s = {one: known[one] for one in pending if one in known}

    def write(
        self,
        *,
        waiting: int,
        in_flight: int,
        unpaired: int,
        failing_inputs: Iterable[str] = (),
        next_retry_at_s: float | None = None,
        paused_since_s: float | None = None,
        deferred: int = 0,
    ) -> None:
        """Write it if it changed and the last time is long enough ago. A store that is away is tried the next time."""
        if self._clock() < self._write_at_s:
            return
        self._write_at_s = self._clock() + _WRITE_EVERY_S
        status = WatchStatus(
            waiting,
            in_flight,
            unpaired,
            min(self._found_at_s.values(), default=None),
            self._listed_at_s,
            self._succeeded_at_s,
            tuple(failing_inputs),
            self._recent(),
            next_retry_at_s,
            paused_since_s,
            deferred,
        )
        if status == self._written:
            return
        with suppress(OSError):
            write_state(self._folder, self._path, status)
            self._written = status

    def _recent(self) -> dict[str, int]:
        while self._failed and self._clock() - self._failed[0][0] > RECENT_S:
            self._failed.popleft()
        return dict(Counter(code for _, code in self._failed).most_common())


def read_watch_status(folder: Folder, run_id: str) -> WatchStatus:
    """What the graph told last; nothing where it told nothing yet.

    Raises:
        OSError: the folder cannot be used.
    """
    found = read_state(folder, run_file(run_id, STATUS_FILE), WatchStatus) or WatchStatus()
    return replace(found, failing_inputs=tuple(found.failing_inputs))
