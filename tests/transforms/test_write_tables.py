"""Rows as Parquet files: where they stand, how they are packed, and that writing twice is writing once."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.config.settings import OutputSettings
from cardbeam.model.part import WrittenFile
from cardbeam.run_state.layout import LEDGER
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.read_parquet import schema_fingerprint
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.files.table_writer import TableWriter
from cardbeam.tables.parsing.parse import parse_responses
from cardbeam.tables.parts.parsed_rows import ParsedRows
from cardbeam.tables.parts.read_part import ledger_table
from schemas.document_tables import schema_of
from tests.canned import CANNED
from tests.records import answered
from tests.servers import success
from transforms.parsed_rows_coder import ParsedRowsCoder, register_coders
from transforms.write_tables import WriteTables

TABLE = "documents/type=passport"
PATH = f"{TABLE}/run_id=run-1/part-1.parquet"


def rows(count: int = 3) -> TableRows:
    body = success(("passport", CANNED["passport"])).body
    parsed = parse_responses(ledger_table([answered(number, response=body) for number in range(count)]), "passport", {})
    return TableRows(TABLE, "run-1", "part-1", parsed.documents[TABLE])


def test_a_file_stands_in_its_table_s_and_run_s_folder(tmp_path: Path) -> None:
    """The file's name follows from table, run and part; what is said of it is what is there."""
    folder = LocalFolder(str(tmp_path))
    written = write_parquet(folder, rows())
    (file,) = folder.list("")
    assert written == WrittenFile("run-1", TABLE, PATH, 3, file.size_bytes, schema_fingerprint(schema_of("passport")))
    assert file.path == PATH


def test_a_file_has_its_type_s_schema_and_is_packed(tmp_path: Path) -> None:
    """Columns, types and documentation come back from the file, which is packed with zstd in one row group."""
    write_parquet(LocalFolder(str(tmp_path)), rows())
    file = pq.ParquetFile(tmp_path / PATH)
    assert file.schema_arrow.equals(schema_of("passport"))
    assert {field.name: field.metadata for field in file.schema_arrow} == {
        field.name: field.metadata for field in schema_of("passport")
    }
    assert file.read().to_pylist() == rows().rows.to_pylist()
    group = file.metadata.row_group(0)
    assert {group.column(number).compression for number in range(group.num_columns)} == {"ZSTD"}
    assert file.metadata.num_row_groups == 1


def test_writing_twice_is_writing_once(tmp_path: Path) -> None:
    """A part that is written again makes the same bytes in the same place, and leaves nothing beside them."""
    folder = LocalFolder(str(tmp_path))
    write_parquet(folder, rows())
    first = (tmp_path / PATH).read_bytes()
    write_parquet(folder, rows())
    assert [(file.path, folder.read(file.path)) for file in folder.list("")] == [(PATH, first)]


def test_the_stage_writes_and_merges_each_table(tmp_path: Path) -> None:
    """Two parts of a table become one file; the ledger's parts stay two; an empty table gives none."""
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    ledger = ledger_table([answered(1)])
    passports = [ParsedRows(TABLE, "run-1", part, number, rows(1).rows) for part, number in PIECES]
    kept = [ParsedRows(LEDGER, "run-1", part, 0, ledger) for part in ("part-1", "part-2")]
    register_coders()
    with beam.Pipeline(options=options) as pipeline:
        inputs = {name: pipeline | name >> beam.Create(some) for name, some in (("p", passports), ("l", kept))}
        empty = pipeline | "empty" >> beam.Create([]).with_output_types(ParsedRows)
        written = ({"passport": inputs["p"]}, empty, inputs["l"]) | WriteTables(OutputSettings(str(tmp_path)))
        assert_that(written | beam.Map(lambda one: (one.table, one.rows)), equal_to(WRITTEN))
    files = {file.path.rpartition("/")[2] for file in LocalFolder(str(tmp_path)).list(LEDGER)}
    assert files == {"part-1.parquet", "part-2.parquet"}
    (merged,) = (tmp_path / TABLE).rglob("*.parquet")
    assert pq.read_table(merged, partitioning=None).num_rows == 3


PIECES = [("part-1", 0), ("part-1", 1), ("part-2", 0)]
WRITTEN = [(TABLE, 3), (LEDGER, 1), (LEDGER, 1)]


@given(st.text(), st.integers(0, 2**40), st.integers(0, 4))
def test_rows_come_back_from_their_coder(part: str, number: int, count: int) -> None:
    """Whatever is encoded is decoded, and its size is known without encoding it."""
    some = ParsedRows(TABLE, "run-1", part, number, rows(count).rows if count else schema_of("passport").empty_table())
    coder = ParsedRowsCoder()
    assert coder.decode(coder.encode(some)) == some
    assert coder.estimate_size(some) == some.rows.nbytes


def test_a_part_in_two_bundles_makes_two_files(tmp_path: Path) -> None:
    """A file is named after the first rows that it holds; one that is abandoned leaves nothing."""
    folder = LocalFolder(str(tmp_path))
    written = []
    for number in (0, 2):
        writer = TableWriter(folder)
        few = [ParsedRows(TABLE, "run-1", "part-1", number + more, rows(1).rows) for more in (0, 1)]
        written += [file for some in few for file in writer.write(some)] + list(writer.end())
    left = TableWriter(folder)
    assert list(left.write(ParsedRows(TABLE, "run-1", "part-1", 4, rows(1).rows))) == []
    left.abandon()
    assert [(file.path, file.rows) for file in written] == [
        (f"{TABLE}/run_id=run-1/_part-1.arrow", 2),
        (f"{TABLE}/run_id=run-1/_part-1-2.arrow", 2),
    ]
    assert sorted(file.path for file in folder.list("")) == sorted(file.path for file in written)
