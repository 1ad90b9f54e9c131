"""Parquet files of the ledger: damage anywhere is told by the file's name, errors of the store stay what they are."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.read_parquet import opened_ledger, read_ledger, schema_fingerprint
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.parts.read_part import ledger_table
from pipeline.catalog.table_ddl import TABLES, Table
from schemas.run_tables import LEDGER_SCHEMA
from tests.records import answered, failed_record

RECORDS = [answered(number, source=number, labels=(("branch", "north"),)) for number in range(40)] + [failed_record(99)]
NAMES = LEDGER_SCHEMA.names


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalFolder, str]:
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    return folder, write_parquet(folder, TableRows("ledger", "r1", "part", ledger_table(RECORDS))).path


def test_columns_are_read_in_the_order_that_was_asked_for(written: tuple[LocalFolder, str]) -> None:
    folder, path = written
    read = read_ledger(folder, path, ["outcome", "item_id"])
    assert read.equals(ledger_table(RECORDS).select(["outcome", "item_id"]))


def test_pages_have_checksums(written: tuple[LocalFolder, str]) -> None:
    """A value that changed in place, which no other check would see, is damage."""
    folder, path = written
    content = bytearray(folder.read(path))
    with pq.ParquetFile(BytesIO(content)) as file:
        column = file.metadata.row_group(0).column(NAMES.index("completed_at"))
    end = column.data_page_offset + column.total_compressed_size
    content[end - 3] ^= 1
    folder.write("ledger/changed.parquet", bytes(content))
    with pytest.raises(DamagedFile, match=r"^ledger/changed\.parquet is no whole file of its table"):
        read_ledger(folder, "ledger/changed.parquet", NAMES)


@given(st.data())
def test_any_damage_is_told_or_harmless(written: tuple[LocalFolder, str], data: st.DataObject) -> None:
    """Bytes that are changed, cut out or put in anywhere: the rows are read as they were, or the file is named."""
    folder, path = written
    content = folder.read(path)
    at = data.draw(st.integers(0, len(content)))
    until = data.draw(st.integers(at, min(len(content), at + 60)))
    changed = content[:at] + data.draw(st.binary(max_size=60)) + content[until:]
    folder.write("ledger/damaged.parquet", changed)
    try:
        read = read_ledger(folder, "ledger/damaged.parquet", NAMES)
    except DamagedFile as error:
        assert str(error).startswith("ledger/damaged.parquet ")
    else:
        assert read.equals(ledger_table(RECORDS))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000])
def test_what_is_no_parquet_is_named(written: tuple[LocalFolder, str], content: bytes) -> None:
    folder, _ = written
    folder.write("ledger/foreign.parquet", content)
    with pytest.raises(DamagedFile, match=r"^ledger/foreign\.parquet is no whole file of its table"):
        read_ledger(folder, "ledger/foreign.parquet", ["item_id"])


def test_another_table_is_named(written: tuple[LocalFolder, str]) -> None:
    """A column that is missing, and one of another type."""
    folder, _ = written
    for column, table in (("item_id", {"id": ["1"]}), ("attempts", {"item_id": ["1"], "attempts": ["1"]})):
        pq.write_table(pa.table(table), Path(folder.root, "ledger", "other.parquet"))
        with pytest.raises(DamagedFile, match=f"^ledger/other.parquet has no column '{column}' of the type"):
            read_ledger(folder, "ledger/other.parquet", ["item_id", "attempts"])


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), OSError(5, "Input/output error"), PermissionError("no")])
def test_errors_of_the_store_are_no_damage(written: tuple[LocalFolder, str], error: OSError) -> None:
    """While it is opened and while it is read."""

    class Failing(LocalFolder):
        def open(self, path: str) -> BinaryIO:
            raise error

    class FailingLate(LocalFolder):
        def open(self, path: str) -> BinaryIO:
            return _FailingFile(self.read(path), error)

    folder, path = written
    opening, reading = Failing(folder.root), FailingLate(folder.root)
    for failing in (opening, reading):
        with (
            pytest.raises(type(error), match=str(error.args[-1])) as raised,
            opened_ledger(failing, path) as file,
        ):
            file.read()
        assert not isinstance(raised.value, DamagedFile)


class _FailingFile(BytesIO):
    """Gives the end of a file and fails where its columns are asked for."""

    def __init__(self, content: bytes, error: OSError) -> None:
        super().__init__(content)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() < 100:
            raise self._error
        return super().read(size)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_fingerprint(table: Table, tmp_path: Path) -> None:
    """A file has the fingerprint of the schema that it was written with; other columns have another."""
    written = write_parquet(LocalFolder(str(tmp_path)), TableRows(table.folder, "r1", "a", table.schema.empty_table()))
    schema = pq.read_schema(tmp_path / written.path)
    others = (schema.remove(0), schema.append(pa.field("new", pa.string())), pa.schema(list(schema)[::-1]))
    others = (*others, schema.set(0, pa.field(schema.names[0], pa.int64())))
    assert written.schema == schema_fingerprint(schema) == schema_fingerprint(table.schema)
    assert schema_fingerprint(schema) not in {schema_fingerprint(other) for other in others}
