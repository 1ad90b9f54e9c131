"""A run in progress is told from its files, each processed image once, also while its tables are being written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cardbeam.storage.folder import LocalFolder, StoredFile
from pipeline.runs.display.status import RecordCounter, Status
from tests.pipeline.nights import SECOND, ledger_record, write_tables

NOW_S = 1_800_000_000.0
EMPTY = b'{"errorCode": "0", "data": []}'


class _Tidied(LocalFolder):
    """A folder whose files are gone by the time that they are read: the run ended since they were listed."""

    def list(self, prefix: str) -> Iterator[StoredFile]:
        found = list(super().list(prefix))
        self.delete([file.path for file in found])
        return iter(found)


def _counts(status: Status) -> tuple[int, int]:
    return status.completed["succeeded"], status.calls


def test_while_tables_are_written(tmp_path: Path) -> None:
    """The ledger holds what the journal still holds: both who watched all along and who comes now count it once."""
    folder = LocalFolder(str(tmp_path))
    earlier = [ledger_record(SECOND, number, (f"{number}.jpg",), attempts=1, response=EMPTY) for number in range(5)]
    write_tables(folder, SECOND, earlier)
    folder.delete([file.path for file in folder.list("journal")])
    watching = RecordCounter(folder, SECOND)
    seen = [_counts(watching.poll(NOW_S))]
    later = [
        ledger_record(SECOND, number, (f"{number}.jpg",), attempts=2, response=EMPTY) for number in range(100, 107)
    ]
    write_tables(folder, SECOND, later)
    seen += [_counts(watching.poll(NOW_S)), _counts(RecordCounter(folder, SECOND).poll(NOW_S))]
    folder.delete([file.path for file in folder.list("journal")])
    seen += [_counts(watching.poll(NOW_S)), _counts(RecordCounter(folder, SECOND).poll(NOW_S))]
    assert seen == [(5, 5), *[(12, 19)] * 4]


def test_a_run_that_ends_meanwhile(tmp_path: Path) -> None:
    """Files that were listed and are gone are no error: the journal goes once the ledger holds it."""
    write_tables(LocalFolder(str(tmp_path)), SECOND, [ledger_record(SECOND, 0, ("0.jpg",), response=EMPTY)])
    assert _counts(RecordCounter(_Tidied(str(tmp_path)), SECOND).poll(NOW_S)) == (0, 0)
