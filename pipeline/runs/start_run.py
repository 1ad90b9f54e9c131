"""The order in which a command takes an output over: lock, close what others left, begin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timezone

from cardbeam.config.settings import KEEP_REPLACED_S, Settings
from cardbeam.erasure.apply_plan import finish_erasures
from cardbeam.index.on_disk.update import keep_index
from cardbeam.run_state.receipt import Receipt
from cardbeam.run_state.replaced_files import sweep_replaced
from cardbeam.storage.folder import Folder
from cardbeam.tables.check_output import check_ledger, check_output
from pipeline.runs.detached import refuse_detached_jobs
from pipeline.runs.lock import refuse_living_workers, run_lock
from pipeline.runs.recovery import close_unfinished_runs
from pipeline.runs.registry import Run, RunExists, begin, check_runs, new_run
from pipeline.runs.turns import in_turn


@contextmanager
def locked_output(
    folder: Folder,
    run_id: str = "",
    *,
    what: str = "publish",
    keep_replaced_s: float = KEEP_REPLACED_S,
    when_orphaned: Callable[[Folder], None] = refuse_living_workers,
    wait_s: float = 0.0,
) -> Iterator[list[Receipt]]:
    """Hold the output's lock for a run, or for a command (`what`) that is none, with every run closed that did not end
    and every erasure finished that was begun; the receipts of the runs that were closed.

    `when_orphaned` deals with workers of an earlier launch that live on; `wait_s` is how long to wait for the lock.

    Raises:
        UsageError: another process holds the lock, or an earlier launch lives on: its workers, or its detached job.
        NotClosed: a run cannot be closed.
        DamagedFile: a file that tells what is paid for is damaged or missing.
    """

    def refuse_or_end_others(found: Folder) -> None:
        refuse_detached_jobs(found)
        when_orphaned(found)

    def lock() -> AbstractContextManager[None]:
        return run_lock(folder, run_id, what="" if run_id else what, when_orphaned=refuse_or_end_others)

    with in_turn(folder, lock, wait_s):
        check_runs(folder)
        (check_output if run_id else check_ledger)(folder)  # `publish` publishes what is whole of a damaged journal
        closed = close_unfinished_runs(folder)
        finish_erasures(folder, datetime.now(timezone.utc))
        sweep_replaced(folder, time.time(), keep_replaced_s)
        if run_id:
            keep_index(folder)
        yield closed


@contextmanager
def started_run(
    folder: Folder,
    settings: Settings,
    command: str,
    *,
    when_orphaned: Callable[[Folder], None] = refuse_living_workers,
    wait_s: float = 0.0,
) -> Iterator[Run]:
    """A run that has begun, with the output's lock held until the block ends. Raises as `locked_output` does.

    Raises:
        RunExists: there is a run of the name that was asked for.
    """
    has_begun = False
    while not has_begun:
        run = new_run(folder, settings, command, datetime.now(timezone.utc))
        keep_s = settings.output.keep_replaced_s
        locked = locked_output(folder, run.run_id, keep_replaced_s=keep_s, when_orphaned=when_orphaned, wait_s=wait_s)
        with locked:
            try:
                begin(folder, run)
                has_begun = True
            except RunExists:  # it has begun, and ended, while we waited for the lock
                if settings.output.run_id:
                    raise
            if has_begun:
                yield run
