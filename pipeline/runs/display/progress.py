"""While a run is in progress: a bar on a terminal, a line every 30 s elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tqdm import tqdm

from cardbeam import telemetry
from cardbeam.periodic import repeated
from cardbeam.storage.folder import Folder
from pipeline.cli.terminal.logs import in_run
from pipeline.cli.terminal.plain_text import unfiltered
from pipeline.runs.display.run_metrics import observe_status
from pipeline.runs.display.status import RecordCounter, Status, line
from pipeline.runs.registry import Run

_LOG = logging.getLogger("cardbeam")
_BAR_EVERY_S = 1.0
_LINE_EVERY_S = 30.0


@contextmanager
def show_progress(folder: Folder, run: Run, observe: Callable[[Status], None] = lambda status: None) -> Iterator[None]:
    """Show how the run stands until the block ends, and hand it to `observe`; nothing before the first interval."""
    is_terminal = sys.stderr.isatty()
    counter = RecordCounter(folder, run.run_id)
    bar = tqdm(unit="image", file=unfiltered(sys.stderr), disable=not is_terminal, leave=False)
    show = _bar(bar) if is_terminal else partial(_log_status, run)
    every_s = _BAR_EVERY_S if is_terminal else _LINE_EVERY_S

    def step() -> float:
        status = counter.poll(time.time())
        show(status)
        observe(status)
        observe_status(run, status, time.time())
        return every_s

    in_run(run.run_id)
    _LOG.info("run %s: started", run.run_id, extra={"event": "started"})
    if telemetry.is_on():  # at once: most runs end before the first interval
        observe_status(run, RecordCounter(folder, run.run_id).poll(time.time()), time.time())
    try:
        with repeated("progress", step, first_s=every_s):
            yield
    finally:
        bar.close()


def _log_status(run: Run, status: Status) -> None:
    facts = {
        "found": status.found,
        "skipped": status.answered_before,
        **{name: count for name, count in status.completed.items() if count},
        "calls": status.calls,
        "rate_per_s": round(status.rate_per_s, 3),
        "cost": round(status.completed["succeeded"] * run.price_per_call, 6) if run.price_per_call else None,
    }
    extra = {"event": "progress", "facts": facts}
    _LOG.info("run %s  %s", run.run_id, line(run, status), extra=extra)


def _bar(bar: tqdm) -> Callable[[Status], None]:  # type: ignore[type-arg]  # generic only in its stubs
    def show(status: Status) -> None:
        bar.total = status.found
        bar.n = status.answered_before + sum(status.completed.values())
        bar.set_postfix_str(f"{status.rate_per_s:.1f} calls/s, {status.completed['failed']:,} failed")

    return show
