"""A receipt in words, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from cardbeam.model.result import FOUND, RequestOutcome
from cardbeam.run_state.receipt import Receipt

_MIN_BUSY_S = 1.0
"""Calls over less than a second are no rate."""
COUNTS = {
    FOUND: "found",
    RequestOutcome.SKIPPED.value: "skipped",
    RequestOutcome.DUPLICATE.value: "duplicates",
    RequestOutcome.SUCCEEDED.value: "succeeded",
    RequestOutcome.DEAD_LETTERED.value: "dead-lettered",
    RequestOutcome.DEFERRED.value: "deferred",
}
"""The receipt's counts of requests, and what they are called."""

_ERASED = {RequestOutcome.ERASED.value: "erased"}
"""Told where there is any."""


def summarize(receipt: Receipt, output: str) -> str:
    """Some ten lines: what came of the images, rows by type, dead letters by code, rate, where it all is."""
    return "\n".join(_lines(receipt, output))


def _lines(receipt: Receipt, output: str) -> Iterator[str]:
    yield f"run {receipt.run_id}: {receipt.status}" + (f" ({receipt.message})" if receipt.message else "")
    words = COUNTS if receipt.has_ended else {**COUNTS, RequestOutcome.DEFERRED.value: "in progress"}
    words = {**words, **_ERASED} if receipt.requests[RequestOutcome.ERASED.value] else words
    yield "  images     " + ", ".join(f"{receipt.requests[name]:,} {word}" for name, word in words.items())
    yield (
        "  calls      "
        + ", ".join(f"{count:,} {name}" for name, count in receipt.calls.items())
        + (f", cost {receipt.cost:,}" if receipt.cost else "")
    )
    yield from _table("rows", receipt.documents)
    yield from _table("failed", receipt.dead_letters)
    rate, allowed = receipt.rate["achieved_per_s"], receipt.rate["allowed_per_s"]
    if receipt.rate["busy_s"] >= _MIN_BUSY_S:
        yield f"  rate       {rate:,} calls/s" + (f" of {allowed:g} allowed" if allowed else ", no limit")
    yield f"  tables     {output}"
    for check in receipt.checks:
        if check["status"] != "passed":
            result = check["message"] or f"{check['rows']:,} " + ("row" if check["rows"] == 1 else "rows")
            yield f"  check      {check['name']}: {check['status']} ({result})"
    for gap in receipt.discrepancies:
        yield f"  NOT RECONCILED: {gap}"


def _table(title: str, counts: dict[str, int]) -> Iterator[str]:
    for number, (name, count) in enumerate(counts.items()):
        yield f"  {'' if number else title:<10} {count:>7,}  {name}"
