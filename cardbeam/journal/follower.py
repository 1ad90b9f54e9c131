"""Journal and ledger of a run -> what was processed since the last look, by any worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from cardbeam.journal.reader import list_segments, read_stored
from cardbeam.journal.record_format import HEADER_BYTES
from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import JOURNAL, LEDGER, of_run
from cardbeam.storage.damaged_file import OnDamage, refuse
from cardbeam.storage.folder import Folder, StoredFile
from cardbeam.storage.read_parquet import read_ledger

_NAMES = ("item_id", "source_id", "outcome", "retriable", "uris", "code", "completed_at")


@dataclass(frozen=True, slots=True)
class RecordKey:
    """What a record says about which request was processed, and how."""

    item_id: str
    source_id: str | None
    outcome: str
    retriable: bool
    uris: tuple[str, ...]
    may_be_old: bool = False
    """Whether it comes from the ledger, which repeats what the journal said, and again where its files are merged."""
    code: str | None = None
    input_id: str | None = None
    """Set where the source id does not identify the input (see `input_id_of`)."""
    completed_at: int = 0
    """When it was made, µs since 1970."""


class JournalFollower:
    """Reads each byte of a run's journal and each file of its ledger once, however often it is asked.

    A record may be given twice: from the journal, and from the ledger that takes it over.
    """

    def __init__(self, folder: Folder, run_id: str, on_damage: OnDamage = refuse) -> None:
        self._folder, self._run_id, self._on_damage = folder, run_id, on_damage
        self._read_up_to: dict[str, int] = {}

    def skip_ledger(self) -> None:
        """Leave out the ledger files that are there now."""
        self._read_up_to.update(
            {file.path: file.size_bytes for file in self._folder.list(of_run(LEDGER, self._run_id))}
        )

    def read(self) -> Iterator[RecordKey]:
        """What came since the last time. The journal goes first: what leaves it meanwhile is in the ledger by then."""
        for file in list(list_segments(self._folder, of_run(JOURNAL, self._run_id))):
            if file.size_bytes > self._read_up_to.get(file.path, HEADER_BYTES):
                yield from self._read_segment(file)
        for file in list(self._folder.list(of_run(LEDGER, self._run_id))):
            if file.path.endswith(".parquet") and file.path not in self._read_up_to:
                yield from self._read_ledger(file.path)
                self._read_up_to[file.path] = file.size_bytes

    def _read_segment(self, file: StoredFile) -> Iterator[RecordKey]:
        start = self._read_up_to.get(file.path, 0)
        try:
            for record, end in read_stored(self._folder, file.path, start, file.size_bytes, on_damage=self._on_damage):
                yield _key_of(record)
                self._read_up_to[file.path] = end
        except FileNotFoundError:
            return  # taken over by the ledger since it was listed

    def _read_ledger(self, path: str) -> Iterator[RecordKey]:
        try:
            table = read_ledger(self._folder, path, [*_NAMES, "input_id"])
        except FileNotFoundError:
            return  # merged into another since it was listed; that one comes with the next look
        table = table.set_column(_NAMES.index("completed_at"), "completed_at", table["completed_at"].cast(pa.int64()))
        columns = table.to_pydict()
        for row in zip(*(columns[name] for name in (*_NAMES, "input_id")), strict=True):
            item_id, source_id, outcome, retriable, uris, code, completed_at, input_id = row
            yield RecordKey(item_id, source_id, outcome, retriable, tuple(uris), True, code, input_id, completed_at)


def _key_of(record: JournalRecord) -> RecordKey:
    return RecordKey(
        record.item_id,
        record.source_id,
        record.outcome,
        record.retriable,
        record.uris,
        code=record.code,
        input_id=record.input_id,
        completed_at=record.completed_at,
    )
