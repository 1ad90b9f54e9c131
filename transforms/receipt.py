"""The receipt of a run: what was found and what came of it, held against the files.

A run is complete only with its receipt, which is written last. The names are a contract.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import orjson

from transforms.elements import FOUND, Fate, PartCounts, WrittenFile
from transforms.layout import DOCUMENT_TABLES, run_file
from transforms.settings import Settings
from transforms.stop import StopReason
from transforms.storage import Folder
from transforms.tally import THROTTLED_US, Counts

RECEIPT_FILE = "receipt.json"
WATCHING = "watching"
"""The status of a run that watches: its receipt tells what is published so far, and is written again and again."""
INTERRUPTED = "interrupted"
"""The status of a run that was killed: the next launch closes it."""
_LONGEST_PAUSE_S = 60
"""A longer silence between two answers is not time in which the run was busy."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What receipt.json holds."""

    run_id: str
    status: str
    requests: dict[str, int]
    calls: dict[str, int]
    documents: dict[str, int]
    dead_letters: dict[str, int]
    files: list[dict[str, Any]]
    rate: dict[str, float]
    spend: float
    started_at: str
    finished_at: str
    settings: dict[str, Any]
    reconciled: bool
    gaps: list[str] = field(default_factory=list)
    stopped_by: str = ""
    message: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of the run."""
        return self.status != WATCHING


def make_receipt(
    settings: Settings,
    tally: Counts,
    parts: Iterable[PartCounts],
    files: Iterable[WrittenFile],
    stop: StopReason | None,
    *,
    started_at: datetime,
    finished_at: datetime,
) -> Receipt:
    """Everything that is known of a run, and whether it adds up."""
    parts, files = list(parts), list(files)
    requests = _requests(tally, parts)
    gaps = list(_gaps(requests, parts))
    answered = sum(part.answered for part in parts)
    calls_sent = sum(part.calls_sent for part in parts)
    return Receipt(
        run_id=settings.output.run_id,
        status="failed" if gaps else stop.status if stop and requests["deferred"] else "complete",
        requests=requests,
        calls={"sent": calls_sent, "retried": sum(part.calls_retried for part in parts), "answered": answered},
        documents=_documents(files),
        dead_letters=_summed(part.dead_letters for part in parts),
        files=_files(files),
        rate=_rate(settings, tally, parts),
        spend=round(answered * settings.rate.price_per_call, 6),
        started_at=_text(started_at),
        finished_at=_text(finished_at),
        settings=_plain(settings),
        reconciled=not gaps,
        gaps=gaps,
        stopped_by=stop.code if stop else "",
        message=stop.message if stop else "",
    )


def with_tables(receipt: Receipt, parts: list[PartCounts], files: list[WrittenFile]) -> Receipt:
    """The receipt of a run whose tables were made again: what was asked stays, what was read may not."""
    requests = {**receipt.requests, **_held(parts)}
    return replace(
        receipt,
        requests=requests,
        documents=_documents(files),
        dead_letters=_summed(part.dead_letters for part in parts),
        files=_files(files),
    )


def _documents(files: Iterable[WrittenFile]) -> dict[str, int]:
    rows = Counter[str]()
    for file in files:
        rows[file.table] += file.rows
    return {name: rows[table] for table, name in DOCUMENT_TABLES.items() if rows[table]}


def _files(files: Iterable[WrittenFile]) -> list[dict[str, Any]]:
    ordered = sorted(files, key=lambda file: file.path)
    return [{"path": file.path, "rows": file.rows, "bytes": file.size_bytes} for file in ordered]


def _held(parts: Iterable[PartCounts]) -> dict[str, int]:
    """Requests by fate, as the ledger tells them."""
    parts = list(parts)
    return {
        Fate.ANSWERED.value: sum(part.answered - part.without_row for part in parts),
        Fate.DEAD.value: sum(part.dead + part.without_row for part in parts),
    }


def _requests(tally: Counts, parts: list[PartCounts]) -> dict[str, int]:
    """The requests by fate; an answer that gave no row is a death that was seen late."""
    late = sum(part.without_row for part in parts)
    requests = {FOUND: tally.get(FOUND, 0), **{fate.value: tally.get(fate.value, 0) for fate in Fate}}
    requests[Fate.ANSWERED.value] -= late
    requests[Fate.DEAD.value] += late
    return {**requests, "called": sum(part.calls_sent - part.calls_retried for part in parts)}


def _gaps(requests: Mapping[str, int], parts: list[PartCounts]) -> Iterable[str]:
    """Counts that do not agree, each with by how much."""
    ended = sum(requests[fate.value] for fate in Fate)
    if ended != requests[FOUND]:
        yield f"{requests[FOUND]} found, but {ended} ended: {requests[FOUND] - ended:+d}"
    for fate, held in _held(parts).items():
        if held < requests[fate]:
            yield f"{requests[fate]} {fate}, but the ledger holds {held}: {held - requests[fate]:+d}"


def _summed(counted: Iterable[Iterable[tuple[Any, int]]]) -> dict[Any, int]:
    total = Counter[Any]()
    for counts in counted:
        total.update(dict(counts))
    return dict(sorted(total.items()))


def _rate(settings: Settings, tally: Counts, parts: list[PartCounts]) -> dict[str, float]:
    """Calls a second over the time in which the run was busy, and the worker seconds spent waiting for the quota."""
    calls_by_second = _summed(part.calls_by_second for part in parts)
    first_s = min((part.first_call_s for part in parts if part.first_call_s is not None), default=0.0)
    last_s = max((part.last_call_s for part in parts if part.last_call_s is not None), default=0.0)
    pauses_s = [later - earlier for earlier, later in pairwise(calls_by_second)]
    busy_s = last_s - first_s - sum(pause_s for pause_s in pauses_s if pause_s > _LONGEST_PAUSE_S)
    achieved_per_s = sum(part.calls_sent for part in parts) / busy_s if busy_s > 0 else 0.0
    return {
        "allowed_per_s": settings.rate.max_requests_per_second,
        "achieved_per_s": round(achieved_per_s, 3),
        "busy_s": round(busy_s, 3),
        "throttled_s": round(tally.get(THROTTLED_US, 0) / 1_000_000, 3),
    }


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings by option name. They hold no secret by construction."""
    groups = (settings.input, settings.endpoint, settings.rate, settings.output)
    return {name: value for group in groups for name, value in asdict(group).items()}


def write_receipt(folder: Folder, receipt: Receipt) -> Receipt:
    """Put it in place: from now on the run has ended."""
    folder.write(run_file(receipt.run_id, RECEIPT_FILE), _encode(receipt))
    return receipt


def create_receipt(folder: Folder, receipt: Receipt) -> bool:
    """Put it in place if the run has none; whether it was put."""
    return folder.create(run_file(receipt.run_id, RECEIPT_FILE), _encode(receipt))


def _encode(receipt: Receipt) -> bytes:
    return orjson.dumps(asdict(receipt), option=orjson.OPT_INDENT_2)


def read_receipt(folder: Folder, run_id: str) -> Receipt | None:
    """The receipt of a run; None where it has not ended."""
    try:
        return Receipt(**orjson.loads(folder.read(run_file(run_id, RECEIPT_FILE))))
    except FileNotFoundError:
        return None
