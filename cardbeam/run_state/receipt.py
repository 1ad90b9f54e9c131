"""The receipt of a run: what was found and what came of it, held against the files.

A run is complete only with its receipt, which is written last. The names are a contract.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

from cardbeam.config.settings import Settings
from cardbeam.model.moment import parse_moment
from cardbeam.model.part import PartCounts, WrittenFile
from cardbeam.model.result import FOUND, THROTTLED_US, Counts, RequestOutcome
from cardbeam.run_state.layout import DOCUMENT_TABLES, TABLES, of_run, run_file
from cardbeam.run_state.stop_signal import StopReason
from cardbeam.storage.damaged_file import DamagedFile, OnDamage, lost_records, refuse
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import decode_state, encode_state
from cardbeam.storage.uris import redact

RECEIPT_FILE = "receipt.json"
WATCHING = "watching"
"""The status of a run that watches: its receipt tells what is published so far, and is written again and again."""
INTERRUPTED = "interrupted"
"""The status of a run that was killed: the next launch closes it."""
_REQUESTS = (FOUND, *(outcome.value for outcome in RequestOutcome), "called")
_CALLS = ("sent", "retried", "answered")
_RATE = ("allowed_per_s", "achieved_per_s", "busy_s", "throttled_s")
_FILE = {"path": str, "rows": int, "bytes": int}
"""Fields of each file; older versions wrote no `schema`."""
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
    cost: float
    started_at: str
    finished_at: str
    settings: dict[str, Any]
    reconciled: bool
    discrepancies: list[str] = field(default_factory=list)
    stopped_by: str = ""
    message: str = ""
    damaged: list[dict[str, Any]] = field(default_factory=list)
    """Segments of the journal that are damaged, and how many of their records are lost, at least."""

    checks: list[dict[str, Any]] = field(default_factory=list)
    """The result of each check, once the run has ended."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of the run."""
        return self.status != WATCHING


def make_receipt(
    settings: Settings,
    counts: Counts,
    parts: Iterable[PartCounts],
    files: Iterable[WrittenFile],
    stop: StopReason | None,
    *,
    started_at: datetime,
    finished_at: datetime,
) -> Receipt:
    """Everything that is known of a run, and whether it adds up."""
    parts, files = list(parts), list(files)
    requests = _requests(counts, parts)
    discrepancies = list(_gaps(requests, parts))
    answered = sum(part.answered for part in parts)
    calls_sent = sum(part.calls_sent for part in parts)
    return Receipt(
        run_id=settings.output.run_id,
        status="failed" if discrepancies else stop.status if stop and requests["deferred"] else "complete",
        requests=requests,
        calls={"sent": calls_sent, "retried": sum(part.calls_retried for part in parts), "answered": answered},
        documents=_documents(files),
        dead_letters=_summed(part.dead_letters for part in parts),
        files=_files(files),
        rate=_rate(settings, counts, parts),
        cost=round(answered * settings.rate.price_per_call, 6),
        started_at=_text(started_at),
        finished_at=_text(finished_at),
        settings=_plain(settings),
        reconciled=not discrepancies,
        discrepancies=discrepancies,
        stopped_by=stop.code if stop else "",
        message=stop.message if stop else "",
        damaged=_damaged(parts),
    )


def with_tables(receipt: Receipt, parts: list[PartCounts], files: list[WrittenFile]) -> Receipt:
    """The receipt of a run whose tables were made again: what was asked stays, what was read may not."""
    held = _held(parts)
    before = {outcome: receipt.requests[outcome] for outcome in held}
    lost = sum(before.values()) - sum(held.values())
    discrepancies = [*_unbalanced(receipt.requests), *_losses(parts)]
    if lost > 0:
        discrepancies.append(f"{sum(before.values())} answered or failed, but the ledger holds {lost} fewer")
    is_mended = not receipt.reconciled and not discrepancies and not receipt.stopped_by
    return replace(
        receipt,
        status="failed" if discrepancies else "complete" if is_mended else receipt.status,
        reconciled=not discrepancies,
        discrepancies=discrepancies,
        damaged=_damaged(parts),
        requests={**receipt.requests, **held},
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
    return [describe_file(file) for file in sorted(files, key=lambda file: file.path)]


def describe_file(file: WrittenFile) -> dict[str, Any]:
    """What a receipt says of a file."""
    return {"path": file.path, "rows": file.rows, "bytes": file.size_bytes, "schema": file.schema}


def _held(parts: Iterable[PartCounts]) -> dict[str, int]:
    """Requests by fate, as the ledger tells them."""
    parts = list(parts)
    return {
        RequestOutcome.SUCCEEDED.value: sum(part.answered - part.without_row for part in parts),
        RequestOutcome.DEAD_LETTERED.value: sum(part.failed + part.without_row for part in parts),
    }


def _requests(counts: Counts, parts: list[PartCounts]) -> dict[str, int]:
    """The requests by fate; an answer that gave no row is a failure that was seen late."""
    late = sum(part.without_row for part in parts)
    requests = {
        FOUND: counts.get(FOUND, 0),
        **{outcome.value: counts.get(outcome.value, 0) for outcome in RequestOutcome},
    }
    requests[RequestOutcome.SUCCEEDED.value] -= late
    requests[RequestOutcome.DEAD_LETTERED.value] += late
    return {**requests, "called": sum(part.calls_sent - part.calls_retried for part in parts)}


def _gaps(requests: Mapping[str, int], parts: list[PartCounts]) -> Iterable[str]:
    """Counts that do not agree, each with by how much."""
    yield from _unbalanced(requests)
    for outcome, held in _held(parts).items():
        if held < requests[outcome]:
            yield f"{requests[outcome]} {outcome}, but the ledger holds {held}: {held - requests[outcome]:+d}"
    yield from _losses(parts)


def _unbalanced(requests: Mapping[str, int]) -> Iterator[str]:
    ended = sum(requests[outcome.value] for outcome in RequestOutcome)
    if ended != requests[FOUND]:
        yield f"{requests[FOUND]} found, but {ended} ended: {requests[FOUND] - ended:+d}"


def _losses(parts: Iterable[PartCounts]) -> Iterator[str]:
    for segment in _damaged(parts):
        yield f"{segment['path']} is damaged, {lost_records(segment['records'])}"


def _damaged(parts: Iterable[PartCounts]) -> list[dict[str, Any]]:
    records = _summed(part.damaged for part in parts)
    return [{"path": path, "records": lost} for path, lost in records.items()]


def _summed(counted: Iterable[Iterable[tuple[Any, int]]]) -> dict[Any, int]:
    total = Counter[Any]()
    for counts in counted:
        total.update(dict(counts))
    return dict(sorted(total.items()))


def _rate(settings: Settings, counts: Counts, parts: list[PartCounts]) -> dict[str, float]:
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
        "throttled_s": round(counts.get(THROTTLED_US, 0) / 1_000_000, 3),
    }


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings by option name. They hold no secret by construction, but for URIs, which may be signed."""
    groups = (settings.input, settings.endpoint, settings.rate, settings.output)
    return {name: redacted(value) for group in groups for name, value in asdict(group).items()}


def redacted(value: Any) -> Any:
    """The value of an option, with its URIs as they may be shown."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(redacted, value))
    return redact(value) if isinstance(value, str) else value


def write_receipt(folder: Folder, receipt: Receipt) -> Receipt:
    """Put it in place: from now on the run has ended."""
    folder.write(run_file(receipt.run_id, RECEIPT_FILE), encode_state(receipt))
    return receipt


def create_receipt(folder: Folder, receipt: Receipt) -> bool:
    """Put it in place if the run has none; whether it was put."""
    return folder.create(run_file(receipt.run_id, RECEIPT_FILE), encode_state(receipt))


def read_receipt(folder: Folder, run_id: str, on_damage: OnDamage = refuse) -> Receipt | None:
    """The receipt of a run; None where it has not ended, or where `on_damage` goes on.

    Raises:
        DamagedFile: it is damaged, of another format or of another run, and `on_damage` raises this.
    """
    path = run_file(run_id, RECEIPT_FILE)
    try:
        return decode_receipt(run_id, folder.read(path))
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        on_damage(error)
        return None


def decode_receipt(run_id: str, content: bytes) -> Receipt:
    """The receipt of a run from the bytes of its file.

    Raises:
        DamagedFile: it is damaged, of another format or of another run.
    """
    path = run_file(run_id, RECEIPT_FILE)
    receipt = decode_state(path, content, Receipt)
    if fault := next(_faults(receipt, run_id), ""):
        raise DamagedFile.of(path, fault)
    return receipt


def _faults(receipt: Receipt, run_id: str) -> Iterator[str]:
    """What a receipt that has all of its fields says that none of this run can say."""
    if receipt.run_id != run_id:
        yield "is the receipt of another run"
    for name, expected in (("requests", _REQUESTS), ("calls", _CALLS), ("rate", _RATE)):
        if missing := [one for one in expected if one not in getattr(receipt, name)]:
            yield f"has no {name}.{missing[0]}"
    folders = tuple(f"{of_run(table, run_id)}/" for table in TABLES)
    for file in receipt.files:
        if not _is_file(file):
            yield "has a field 'files' of another type"
        elif not file["path"].startswith(folders) or ".." in file["path"].split("/"):
            yield "names a file that is none of its run's tables"
    for moment in (receipt.started_at, receipt.finished_at):
        try:
            parse_moment(moment)
        except ValueError:
            yield "has a time that is none"


def _is_file(file: dict[str, Any]) -> bool:
    """There are many files in all receipts of an output, so no general check of types is used."""
    return all(type(file.get(name)) is kind for name, kind in _FILE.items()) and type(file.get("schema", "")) is str
