"""What a signal does to a run: no new call, the calls in flight end and are kept, and the run ends in order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from cardbeam.config.settings import Settings
from cardbeam.run_state.stop_signal import interrupted, stop_run
from cardbeam.storage.folder import Folder
from pipeline.cli.signals import Shutdown, ending_in_order, exit_status_of_signal

_PUBLISHES_WITHIN_S = 30.0
"""So long the tables and the receipt may take, once the last call has ended. The next launch makes what is missing."""


def ends_within_s(settings: Settings) -> float:
    """How long after a signal the process ends at the latest: a call in flight takes its timeout at the most."""
    return settings.endpoint.timeout_s + _PUBLISHES_WITHIN_S


@contextmanager
def stopped_by_signals(folder: Folder, run_id: str, within_s: float = 0.0) -> Iterator[Shutdown]:
    """Have the first signal stop the run, which then ends as one that ran out of its quota does."""

    def stop(number: int) -> None:
        stop_run(folder, run_id, interrupted(signal.Signals(number).name, exit_status_of_signal(number)))

    with ending_in_order(stop, within_s) as ending:
        yield ending
