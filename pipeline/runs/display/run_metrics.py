"""The gauges of a run, from what its files say: in a backfill from its records, in a watch from its status."""

from __future__ import annotations

from cardbeam import telemetry
from cardbeam.run_state.receipt import Receipt
from cardbeam.watch.watch_status import WatchStatus
from pipeline.runs.display.status import Status
from pipeline.runs.registry import Run


def observe_status(run: Run, status: Status, now_s: float) -> None:
    """Of a backfill in progress: the oldest image without a result was found when the run began."""
    began_s = run.began.timestamp()
    telemetry.observe(
        [
            ("images.found", status.found),
            ("backlog", status.left),
            ("lag", 0.0 if status.left == 0 else now_s - began_s),
            ("oldest_unprocessed", None if status.left == 0 else began_s),
            ("rate.allowed", run.allowed_per_s),
            ("rate.used", status.rate_per_s),
            ("cost", status.completed["succeeded"] * run.price_per_call),
        ]
    )


def observe_watch(run: Run, watch: WatchStatus, receipt: Receipt | None, now_s: float) -> None:
    """Of a watch in progress, whose receipt is written every few seconds."""
    oldest_s = watch.oldest_at_s
    telemetry.observe(
        [
            ("backlog", watch.waiting + watch.in_flight),
            ("lag", 0.0 if oldest_s is None else max(0.0, now_s - oldest_s)),
            ("oldest_unprocessed", oldest_s),
            ("rate.allowed", run.allowed_per_s),
        ]
    )
    if receipt is not None:
        observe_receipt(receipt)


def observe_receipt(receipt: Receipt) -> None:
    """What a receipt says: of a run that has ended, all that there is."""
    left = receipt.requests["deferred"]
    ended = [("backlog", left), ("lag", 0.0 if not left else None)] if receipt.has_ended else []
    telemetry.observe(
        [
            ("images.found", receipt.requests["found"]),
            ("rate.used", receipt.rate["achieved_per_s"]),
            ("cost", receipt.cost),
            *ended,
        ]
    )
