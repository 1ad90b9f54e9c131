"""A watch that runs, in words: its backlog, its last success and listing, recent errors, the next retry."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

from cardbeam.run_state.liveness.heartbeat import HEARTBEAT_TIMEOUT_S, read_watch_heartbeat
from cardbeam.storage.folder import Folder
from cardbeam.watch.watch_status import RECENT_S, WatchStatus, read_watch_status

_LOG = logging.getLogger("cardbeam")


def watch_lines(folder: Folder, run_id: str, now_s: float) -> Iterator[str]:
    """Some five lines under the receipt of a watch.

    Raises:
        OSError: the folder cannot be used.
    """
    control = read_watch_heartbeat(folder, run_id)
    is_ending = control is not None and control.is_ending
    yield f"  watching   {'it finishes the calls in flight, then ends' if is_ending else 'new images are processed'}"
    if control is not None and now_s - control.at_s > HEARTBEAT_TIMEOUT_S:
        yield f"  heartbeat  none for {_ago(control.at_s, now_s)}"
    yield from _lines(read_watch_status(folder, run_id), now_s)


def log_watch(folder: Folder, run_id: str, now_s: float) -> None:
    """Log the backlog, the lag and the last success.

    Raises:
        OSError: the folder cannot be used.
    """
    status = read_watch_status(folder, run_id)
    lag_s = None if status.oldest_at_s is None else round(max(0.0, now_s - status.oldest_at_s), 1)
    facts = {"waiting": status.waiting, "in_flight": status.in_flight, "unpaired": status.unpaired, "lag_s": lag_s}
    facts |= {"succeeded_at_s": status.succeeded_at_s, "failed": sum(status.errors.values())}
    message = "run %s  %d waiting, %d in flight, oldest for %s s, last success %s"
    values = (run_id, status.waiting, status.in_flight, lag_s or 0, _when(status.succeeded_at_s, now_s))
    _LOG.info(message, *values, extra={"event": "progress", "facts": facts})


def _lines(status: WatchStatus, now_s: float) -> Iterator[str]:
    backlog = f"{status.waiting:,} waiting, {status.in_flight:,} in flight"
    unpaired = f", {status.unpaired:,} sides wait for the other" if status.unpaired else ""
    oldest = f"; the oldest for {_ago(status.oldest_at_s, now_s)}" if status.oldest_at_s is not None else ""
    yield f"  backlog    {backlog}{unpaired}{oldest}"
    yield f"  last       success {_when(status.succeeded_at_s, now_s)}, listing {_when(status.listed_at_s, now_s)}"
    for source in status.failing_inputs:
        yield f"  input      cannot be listed: {source}"
    if status.paused_since_s is not None:
        yield f"  paused     the endpoint has not answered for {_ago(status.paused_since_s, now_s)}"
    if status.errors:
        counts = ", ".join(f"{count:,} {code}" for code, count in status.errors.items())
        yield f"  errors     {counts} in the last {round(RECENT_S / 60)} minutes"
    if status.next_retry_at_s is not None:
        yield f"  retry      next in {timedelta(seconds=max(0, round(status.next_retry_at_s - now_s)))}"


def _when(at_s: float | None, now_s: float) -> str:
    return "never" if at_s is None else f"{_ago(at_s, now_s)} ago"


def _ago(at_s: float, now_s: float) -> timedelta:
    return timedelta(seconds=max(0, round(now_s - at_s)))
