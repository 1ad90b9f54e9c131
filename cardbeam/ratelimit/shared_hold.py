"""What the endpoint says to one worker of a run, that it is too fast or has used up its quota, slows all of them.

The worker that hears it writes the seconds into the run's folder; the others read them every second. No two clocks are
compared: each holds for so many seconds from when it reads.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cardbeam.ratelimit.throttle import Throttle
from cardbeam.run_state.layout import HOLD_FILE, run_file
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state

_WRITE_EVERY_S = 1.0
"""What comes within a second is about the same overload."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What hold.json holds."""

    hold_id: str
    seconds: float
    is_overload: bool
    """Whether the endpoint said that it is too fast, so that the pace goes down too."""


class SharedHold:
    """Slows the throttle of this process, and with `is_shared` those of the run's other workers."""

    def __init__(
        self,
        folder: Folder,
        run_id: str,
        throttle: Throttle,
        *,
        is_shared: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._path, self._throttle = folder, run_file(run_id, HOLD_FILE), throttle
        self._is_shared, self._clock = is_shared, clock
        self._lock = threading.Lock()
        self._seen = ""
        self._write_at_s = clock()

    def tell(self, seconds: float, *, is_overload: bool) -> None:
        """The endpoint said so to this process."""
        self._apply(seconds, is_overload)
        if not self._is_shared:
            return
        with self._lock:
            if self._clock() < self._write_at_s:
                return
            self._write_at_s = self._clock() + _WRITE_EVERY_S
            self._seen = uuid.uuid4().hex
            with suppress(OSError):  # this process holds in any case, and the others will hear it themselves
                write_state(self._folder, self._path, Hold(self._seen, seconds, is_overload))

    def poll(self) -> None:
        """Learn what another worker heard.

        Raises:
            OSError: the folder cannot be used.
        """
        hold = read_state(self._folder, self._path, Hold)
        with self._lock:
            if hold is None or hold.hold_id == self._seen:
                return
            self._seen = hold.hold_id
        self._apply(hold.seconds, hold.is_overload)

    def _apply(self, seconds: float, is_overload: bool) -> None:
        if is_overload:
            self._throttle.slow_down(seconds)
        else:
            self._throttle.hold(seconds)
