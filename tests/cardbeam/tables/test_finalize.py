"""The last stage: it leaves the output in order, and nothing goes before what replaces it is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.model.part import PartCounts, WrittenFile
from cardbeam.run_state.liveness.run_lock import LOCK_FILE, TakenOver
from cardbeam.run_state.receipt import INTERRUPTED, Receipt, read_receipt, write_receipt
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.read_parquet import schema_fingerprint
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.finalize import finalize_run
from cardbeam.tables.parts.part_plan import plan_parts
from schemas.document_tables import schema_of
from schemas.documents import DOCUMENT_TYPES
from schemas.run_tables import DEAD_LETTERS_SCHEMA, LEDGER_SCHEMA
from tests.parts import read_part
from tests.records import answered, failed_record, read_segment, write_segment
from transforms.finalize_run import _end

RUN = "r1"
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
JOURNAL = f"journal/run_id={RUN}/1.journal"
COUNTS = {"found": 3, "succeeded": 2, "dead_lettered": 1}
TYPES = [f"documents/type={name}" for name in DOCUMENT_TYPES]


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """An output with the journal of a run: two answers and a failure."""
    output = LocalFolder(str(tmp_path))
    records = [answered(1, completed_at=1), answered(2, completed_at=2), failed_record(3, completed_at=3)]
    write_segment(output, JOURNAL, records)
    return output


def publish(folder: LocalFolder) -> tuple[list[PartCounts], list[WrittenFile]]:
    parts, files = [], []
    for part in plan_parts(folder, RUN):
        tables, counts = read_part(folder, part)
        parts.append(counts)
        files += [write_parquet(folder, TableRows(table, RUN, part.name, rows)) for table, rows in tables.items()]
    return parts, files


def end(folder: LocalFolder, counts: dict[str, int] = COUNTS) -> Receipt:
    """Publish and end the run."""
    settings = Settings(
        InputSettings(), EndpointSettings(), RateSettings(), OutputSettings(output=folder.root, run_id=RUN)
    )
    parts, files = publish(folder)
    return finalize_run(folder, settings, counts, parts, files, started_at=NOW, finished_at=NOW)


def paths(folder: LocalFolder) -> list[str]:
    return [file.path for file in folder.list("")]


def test_every_night_has_every_table(folder: LocalFolder) -> None:
    """A table without a row has an empty file with its schema, so that each run can be queried for each type."""
    end(folder)
    schemas = {table: schema_of(name) for table, name in zip(TYPES, DOCUMENT_TYPES, strict=True)}
    for table, schema in {**schemas, "dead_letters": DEAD_LETTERS_SCHEMA, "ledger": LEDGER_SCHEMA}.items():
        (path,) = (path for path in paths(folder) if path.startswith(f"{table}/run_id={RUN}/"))
        assert pq.ParquetFile(Path(folder.root, path)).schema_arrow.equals(schema)
        assert path.endswith("/empty.parquet") == (table not in ("documents/type=passport", "dead_letters", "ledger"))


def test_the_receipt_names_the_files_that_are_there(folder: LocalFolder) -> None:
    """The receipt lists each file with its rows and bytes, is what `finalize_run` returns, and the journal is gone."""
    receipt = end(folder)
    there = [
        {
            "path": file.path,
            "rows": pq.ParquetFile(Path(folder.root, file.path)).metadata.num_rows,
            "bytes": file.size_bytes,
            "schema": schema_fingerprint(pq.read_schema(Path(folder.root, file.path))),
        }
        for file in folder.list("")
        if file.path.endswith(".parquet")
    ]
    assert receipt.files == there
    assert (receipt.status, receipt.reconciled, receipt.documents) == ("complete", True, {"passport": 2})
    written = read_receipt(folder, RUN)
    assert written is not None and written.files == receipt.files
    assert sorted(set(paths(folder)) - {file["path"] for file in there}) == [f"runs/{RUN}/receipt.json"]


def test_what_an_earlier_attempt_left_is_cleared(folder: LocalFolder) -> None:
    """Files of an earlier attempt, half-written ones and empty ones that have rows now go; other runs' stay."""
    strays = [
        f"documents/type=passport/run_id={RUN}/part-of-a-crash.parquet",
        f"documents/type=passport/run_id={RUN}/.part.0123.tmp",
        f"documents/type=passport/run_id={RUN}/empty.parquet",
        f"dead_letters/run_id={RUN}/empty.parquet",
    ]
    others = ["documents/type=passport/run_id=r0/part.parquet", "journal/run_id=r0/1.journal", "notes.txt"]
    for path in strays + others:
        folder.write(path, b"")
    end(folder)
    assert set(strays) & set(paths(folder)) == set()
    assert set(others) <= set(paths(folder))


def test_a_journal_that_has_grown_stays(folder: LocalFolder) -> None:
    """A segment that was written to after it was read is kept, and so is one that was not read at all."""
    parts, files = publish(folder)
    write_segment(folder, JOURNAL, [*read_segment(folder, JOURNAL), answered(4, completed_at=4)])
    write_segment(folder, f"journal/run_id={RUN}/2.journal", [answered(5, completed_at=5)])
    settings = Settings(InputSettings(), EndpointSettings(), RateSettings(), OutputSettings(folder.root, RUN))
    finalize_run(folder, settings, COUNTS, parts, files, started_at=NOW, finished_at=NOW)
    assert [path for path in paths(folder) if path.startswith("journal")] == [
        JOURNAL,
        f"journal/run_id={RUN}/2.journal",
    ]
    again = end(folder, {"found": 5, "succeeded": 4, "dead_lettered": 1})
    assert (again.reconciled, again.documents) == (True, {"passport": 4})
    assert [path for path in paths(folder) if path.startswith("journal")] == []


def test_a_run_that_does_not_add_up_keeps_everything(folder: LocalFolder) -> None:
    """Where an answer is missing nothing is removed, neither journal nor strays; the receipt says what is missing."""
    stray = f"documents/type=passport/run_id={RUN}/part-of-a-crash.parquet"
    folder.write(stray, b"")
    receipt = end(folder, {"found": 4, "succeeded": 3, "dead_lettered": 1})
    assert (receipt.status, receipt.discrepancies) == ("failed", ["3 succeeded, but the ledger holds 2: -1"])
    assert {JOURNAL, stray} <= set(paths(folder))


def test_ending_again_changes_nothing(folder: LocalFolder) -> None:
    """A run that is published and ended again, from its ledger alone, has the same files of the same rows."""
    first = end(folder)
    again = end(folder)
    assert (again.files, again.requests, again.documents) == (first.files, first.requests, first.documents)


def test_a_later_session_adds_to_the_ledger(folder: LocalFolder) -> None:
    """A resumed run has the ledger files of all its sessions, and its tables show the answers of all."""
    end(folder)
    write_segment(folder, JOURNAL, [answered(4, completed_at=4)])
    receipt = end(folder, {"found": 4, "succeeded": 3, "dead_lettered": 1})
    assert receipt.documents == {"passport": 3}
    assert sum(file["rows"] for file in receipt.files if file["path"].startswith("ledger")) == 4
    assert paths(folder).count(f"runs/{RUN}/receipt.json") == 1


def test_a_job_that_was_taken_for_dead_ends_no_run_that_was_closed(folder: LocalFolder) -> None:
    """It sees the lock with another run, or the receipt of a run that another launch closed."""
    settings = Settings(InputSettings(), EndpointSettings(), RateSettings(), OutputSettings(folder.root, RUN))
    parts, files = publish(folder)
    folder.write(LOCK_FILE, b'{"run_id": "r1"}')
    receipt = _end(COUNTS, settings, NOW, parts, files)
    assert _end(COUNTS, settings, NOW, parts, files).files == receipt.files  # the bundle runs again
    folder.write(LOCK_FILE, b'{"run_id": "another"}')
    with pytest.raises(TakenOver):
        _end(COUNTS, settings, NOW, parts, files)
    write_receipt(folder, replace(receipt, status=INTERRUPTED))
    closed = folder.read(f"runs/{RUN}/receipt.json")
    for held in (b'{"run_id": "r1"}', None):
        folder.write(LOCK_FILE, held) if held else folder.delete([LOCK_FILE])
        with pytest.raises(TakenOver):
            _end(COUNTS, settings, NOW, parts, files)
    assert folder.read(f"runs/{RUN}/receipt.json") == closed
