"""The run of a watch -> its tables every few seconds, a step of some seconds at a time; at its end, its receipt.

The run ends once its calls have (`cardbeam.run_state.drained`). Whoever publishes after a crash finds everything in the
output folder.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone

from cardbeam.config.settings import Settings
from cardbeam.periodic import RETRY_S, safe_message
from cardbeam.run_state.drained import is_drained
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.liveness.run_lock import TakenOver
from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.run_state.stop_signal import STOP_FILE, read_stop
from cardbeam.storage.folder import Folder
from cardbeam.tables.publisher import Publisher
from cardbeam.watch.publishing.publisher_lease import OfTheProcess, PublisherSuperseded, PublishingRight
from cardbeam.watch.publishing.unprocessed import pending_requests, unprocessed
from cardbeam.watch.watch_status import read_watch_status

_LOG = logging.getLogger("cardbeam")
_POLL_S = 1.0
_HOLD_S = 4.0
"""How long a step lasts: a runner's checkpoints wait for its end."""


class RunPublisher:
    """Publishes the run of one launch, and ends it; for one thread."""

    def __init__(
        self,
        folder: Folder,
        settings: Settings,
        session: str,
        started_at: datetime,
        interval_s: float,
        *,
        right: PublishingRight | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._run_id, self._session = folder, settings.output.run_id, session
        self._interval_s, self._clock, self._now_s, self._sleep = interval_s, clock, now_s, sleep
        self._right: PublishingRight = right or OfTheProcess()
        self._publisher = Publisher(folder, settings, started_at, confirm=self._right.confirm)
        self._has_begun = self._is_whole = False
        self._due_s = clock()
        self._new_since_s: float | None = None
        self._lags_s: list[float] = []

    def step(self) -> Receipt | None:
        """Publish what is new for some seconds; the receipt, once the run has ended.

        Raises:
            PublisherSuperseded: another publisher of the run has begun.
            TakenOver: another launch has the output, and closes the run.
            OSError: the run could not be ended. The next step, or the next publisher, ends it.
        """
        if (ended := self._ended()) is not None:
            return ended
        with self._right:
            began_s = self._clock()
            while not self._is_drained():
                self._publish_if_due()
                if self._clock() - began_s >= _HOLD_S:
                    return None
                self._sleep(_POLL_S)
            receipt = self._end()
        self._right.end()
        return receipt

    def take_lags_s(self) -> list[float]:
        """How long responses waited for each publication since this was asked last, the first of each, in seconds."""
        lags_s, self._lags_s = self._lags_s, []
        return lags_s

    def _ended(self) -> Receipt | None:
        """The receipt of a run that has ended before: in order, or because another launch took its job for lost."""
        receipt = read_receipt(self._folder, self._run_id)
        if receipt is None or not receipt.has_ended:
            return None
        if not self._is_drained():
            raise TakenOver(f"another launch closed run {self._run_id}")
        return receipt

    def _is_drained(self) -> bool:
        try:
            return is_drained(self._folder, self._run_id, self._session)
        except OSError:  # the next look may be in time still
            return False

    def _publish_if_due(self) -> None:
        try:
            self._begin()
            has_new = self._has_new()
            if self._clock() >= self._due_s or (has_new and not pending_requests(self._folder, self._run_id)):
                self._publish()  # early where nothing is in progress that would come a moment later
        except (PublisherSuperseded, TakenOver):
            raise
        except Exception as error:  # a store's client may raise anything, and the next time may be better
            _LOG.warning("retrying publish after error: %s", safe_message(error))
            self._is_whole, self._due_s = False, self._clock() + RETRY_S

    def _begin(self) -> None:
        if not self._has_begun:
            self._right.begin()
            self._has_begun = True

    def _has_new(self) -> bool:
        has_new = self._is_whole and self._publisher.has_new()
        if has_new and self._new_since_s is None:
            self._new_since_s = self._clock()
        return has_new

    def _publish(self) -> None:
        self._right.confirm()
        if not self._is_whole:
            self._publisher.publish_all()
            self._is_whole = True
        self._publisher.publish_new()
        deferred = read_watch_status(self._folder, self._run_id).deferred
        self._publisher.write_receipt(len(pending_requests(self._folder, self._run_id)) + deferred, self._now())
        self._due_s = self._clock() + self._interval_s
        if self._new_since_s is not None:
            self._lags_s.append(self._clock() - self._new_since_s)
            self._new_since_s = None

    def _end(self) -> Receipt:
        self._begin()
        stop = read_stop(self._folder, run_file(self._run_id, STOP_FILE))
        left = unprocessed(self._folder, self._run_id)
        return self._publisher.finish(left.in_flight, self._now(), is_stopped=stop is not None, deferred=left.deferred)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._now_s(), timezone.utc)
