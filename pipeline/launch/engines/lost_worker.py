"""A worker process that Beam's local runner has lost ends the run, which would wait for it for ever.

FnApiRunner with `--direct_running_mode=multi_processing` waits for each worker in a thread of its own, which raises
when the process was killed; nothing in Beam hears of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cardbeam.ratelimit.membership import DEAD_AFTER_S
from cardbeam.run_state.liveness.worker_heartbeat import await_silence
from cardbeam.run_state.stop_signal import WORKER_LOST, stop_run
from cardbeam.storage.folder import Folder
from pipeline.cli.exit_codes import EXIT_FAILED
from pipeline.cli.signals import end_at_once

_THREAD = "run_worker"
"""As `apache_beam.runners.portability.fn_api_runner.worker_handlers` names it."""
_WITHIN_S = 60.0
"""So long the other workers may take for their calls in flight."""


@contextmanager
def ending_with_lost_worker(folder: Folder, run_id: str, tell: Callable[[str], object]) -> Iterator[None]:
    """End the process, once the other workers have stopped, where one of its workers is lost in the block.

    `tell` is called with what happened before that.
    """
    before = threading.excepthook

    def end(raised: threading.ExceptHookArgs) -> None:
        is_worker_thread = raised.thread is not None and raised.thread.name == _THREAD
        if not (is_worker_thread and isinstance(raised.exc_value, RuntimeError)):
            before(raised)
            return
        try:
            stop_run(folder, run_id, WORKER_LOST)
            await_silence(folder, DEAD_AFTER_S, _WITHIN_S, time.sleep, run_id)
            tell(f"failed: {raised.exc_value}")
        finally:  # also where the store fails: nobody else ends this process
            end_at_once(f"run {run_id} failed: {raised.exc_value}. Rerun the same command to resume", EXIT_FAILED)

    threading.excepthook = end
    try:
        yield
    finally:
        threading.excepthook = before
