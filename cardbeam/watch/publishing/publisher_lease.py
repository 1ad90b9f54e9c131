"""The right to publish the run of a watch whose job outlives its launching process: one publisher at a time.

The publisher shows life by a heartbeat, which keeps the output's lock for the run (see
`cardbeam.run_state.liveness.run_lock`). A runner that takes a worker for dead starts another publisher; the one that
began last has the right, and an earlier one that lives on writes nothing more.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from cardbeam.errors import CardbeamError
from cardbeam.ratelimit.background_tasks import BackgroundTasks
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.liveness.run_lock import CONFIRMED_FOR_S, TakenOver, is_taken_over
from cardbeam.run_state.liveness.worker_heartbeat import Heartbeat
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state

PUBLISHER_FILE = "publisher.json"
_HEARTBEAT_INTERVAL_S = 1.0
_IDLE_S = 60.0
"""So long after the last step of a publisher it is taken that no other follows in this process."""


class PublisherSuperseded(CardbeamError):
    """Another publisher of the run has begun: this one must write nothing more."""


class PublishingRight(Protocol):
    """Whether this publisher is the run's."""

    def begin(self) -> None:
        """Become the run's publisher."""

    def __enter__(self) -> None:
        """Show life until the block ends, and for some time after it."""

    def __exit__(self, *_: object) -> None: ...

    def confirm(self) -> None:
        """Come back if it is.

        Raises:
            PublisherSuperseded: another has begun.
            TakenOver: another launch has the output's lock, or closed the run.
        """

    def end(self) -> None:
        """Give it up: the run has ended."""


class OfTheProcess:
    """The right of a publisher in the launching process, which holds the output's lock for as long as it lives."""

    def begin(self) -> None:
        """Nobody else can have it."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def confirm(self) -> None:
        """It has it."""

    def end(self) -> None:
        """The process gives up its lock."""


@dataclass(frozen=True, slots=True)
class _Publisher:
    token: str


class PublisherLease:
    """The right of a publisher in a worker of a cluster."""

    def __init__(self, folder: Folder, run_id: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._folder, self._run_id, self._sleep = folder, run_id, sleep
        self._path, self._own = run_file(run_id, PUBLISHER_FILE), _Publisher(uuid.uuid4().hex)
        self._heartbeat, self._has_ended = Heartbeat(folder, run_id, self._own.token), False
        self._background = BackgroundTasks(
            [self._heartbeat_once], self._heartbeat.stop, _HEARTBEAT_INTERVAL_S, self._idle_s
        )

    def begin(self) -> None:
        """Become the run's publisher; one before it has written its last when this comes back."""
        has_earlier = read_state(self._folder, self._path, _Publisher) is not None
        write_state(self._folder, self._path, self._own)
        if has_earlier:
            self._sleep(CONFIRMED_FOR_S)
        self.confirm()

    def __enter__(self) -> None:
        self._background.__enter__()

    def __exit__(self, *_: object) -> None:
        self._background.__exit__()

    def confirm(self) -> None:
        """Read whose the lock and the run are."""
        with suppress(ValueError):  # the lock is being written
            if is_taken_over(self._folder, self._run_id):
                raise TakenOver(f"another launch took over run {self._run_id}")
        if read_state(self._folder, self._path, _Publisher) != self._own:
            raise PublisherSuperseded(f"another publisher of run {self._run_id} has begun")

    def end(self) -> None:
        """Show no life any more."""
        self._has_ended = True
        with suppress(OSError):  # it is taken for lost once it shows no life
            self._heartbeat.stop()

    def _heartbeat_once(self) -> None:
        if not self._has_ended:
            self._heartbeat.beat()

    def _idle_s(self) -> float:
        return 0.0 if self._has_ended else _IDLE_S
