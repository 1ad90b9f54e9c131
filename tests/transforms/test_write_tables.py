"""Rows as Parquet files: where they stand, how they are packed, and that writing twice is writing once."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from cardbeam.config.settings import OutputSettings
from cardbeam.model.part import WrittenFile
from cardbeam.run_state.layout import LEDGER
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.parse import parse_responses
from cardbeam.tables.read_part import ledger_table
from cardbeam.tables.table_file import TableRows, open_staging, write_parquet
from schemas.document_tables import schema_of
from tests.canned import CANNED
from tests.records import answered
from tests.servers import success
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
    assert written == WrittenFile("run-1", TABLE, PATH, 3, file.size_bytes)
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


def test_the_stage_merges_each_table(tmp_path: Path) -> None:
    """In a pipeline each table's files become one, and the stage says which; the ledger's stay as they are."""
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    folder = LocalFolder(str(tmp_path))
    with open_staging(folder, rows()) as file:
        file.write(rows().rows)
    ledger = WrittenFile("run-1", LEDGER, "part-1.parquet", 3, 300)
    with beam.Pipeline(options=options) as pipeline:
        written = pipeline | beam.Create([file.written, ledger]) | WriteTables(OutputSettings(str(tmp_path)))
        assert_that(written | beam.Map(lambda one: (one.path, one.rows)), equal_to([(PATH, 3), ("part-1.parquet", 3)]))
    assert pq.read_table(tmp_path / PATH, partitioning=None).equals(rows().rows)
