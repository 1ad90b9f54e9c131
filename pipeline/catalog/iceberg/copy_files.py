"""Parquet files of a run -> data files that an Iceberg table owns.

Iceberg's maintenance deletes files: expiring a snapshot deletes the files that no newer snapshot uses. So a table must
never refer to a file of the output. Each copy gets a path that no file had before, and its name tells by a hash what it
was copied from: files that are unchanged are not copied again. Columns carry their field ids, and `run_id` is a column
of the copy, so that engines need neither a name mapping nor the partition's values to read it.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from cardbeam.errors import CardbeamError
from cardbeam.storage.folder import Folder
from cardbeam.tables.files.parquet_options import GROUP_BYTES, ROW_GROUP_ROWS, batched, writer_options
from pipeline.catalog.table_ddl import RUN_ID

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table.metadata import TableMetadata

NOT_COPIED = frozenset({"response"})
"""Responses as received stay in the ledger alone: no view reads them, and each copy would have to be erased too."""
_FORMAT = b"1"
"""Of the copies. Raise it when copies of the same file come out differently: all are then made again."""
_BATCH_ROWS = 4096
_HASHED_BYTES = 1024 * 1024
_NAME = re.compile(r"(?P<digest>[0-9a-f]{64})-[0-9a-f]{32}\.parquet")


class UnreadableFile(CardbeamError):
    """A file that a receipt names cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Rows that a table shows of a run, and a hash that is another one where the rows are others."""

    digest: str
    schema: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]


def file_source(folder: Folder, path: str) -> Source:
    """The rows of one Parquet file of the output.

    Raises:
        UnreadableFile: it is gone, or not a whole Parquet file.
    """
    try:
        with folder.open(path) as file:
            digest = _digest(file)
            schema = pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    copied = pa.schema([field for field in schema if field.name not in NOT_COPIED])
    return Source(digest, copied, lambda: _batches(folder, path, copied.names))


def row_source(rows: pa.Table) -> Source:
    """Rows that are in memory."""
    digest = hashlib.sha256(_FORMAT + str(rows.to_pylist()).encode())
    return Source(digest.hexdigest(), rows.schema, lambda: iter(rows.to_batches()))


def digest_in(path: str) -> str:
    """The hash of what a data file was copied from; empty where another program wrote it."""
    found = _NAME.fullmatch(PurePosixPath(path).name)
    return found["digest"] if found else ""


def copy(io: FileIO, new_location: Callable[[str], str], metadata: TableMetadata, run_id: str, of: Source) -> DataFile:
    """Write the rows as a new data file of the table, a batch in memory at a time.

    Raises:
        UnreadableFile: the source cannot be read to its end.
    """
    from pyiceberg.io.pyarrow import schema_to_pyarrow  # noqa: PLC0415  # an extra

    target = schema_to_pyarrow(metadata.schema())
    output = io.new_output(new_location(f"{RUN_ID.name}={run_id}/{of.digest}-{uuid.uuid4().hex}.parquet"))
    footers: list[pq.FileMetaData] = []
    options = writer_options(target, ROW_GROUP_ROWS)
    with (
        output.create() as sink,
        pq.ParquetWriter(sink, target, store_schema=False, metadata_collector=footers, **options) as writer,
    ):
        for group in batched(_conformed(of, run_id, target), ROW_GROUP_ROWS, GROUP_BYTES):
            writer.write_table(group)
    return _described(output.location, len(output), footers[0], metadata, run_id)


def _digest(file: BinaryIO) -> str:
    hasher = hashlib.sha256(_FORMAT)
    while piece := file.read(_HASHED_BYTES):
        hasher.update(piece)
    file.seek(0)
    return hasher.hexdigest()


def _unreadable(path: str, error: Exception) -> UnreadableFile:
    """In the system's words, or by the error's kind: other libraries quote values in their messages."""
    return UnreadableFile(f"{path}: {error if isinstance(error, OSError) else type(error).__name__}")


def _batches(folder: Folder, path: str, names: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        with folder.open(path) as file:
            yield from pq.ParquetFile(file, page_checksum_verification=True).iter_batches(_BATCH_ROWS, columns=names)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _conformed(source: Source, run_id: str, target: pa.Schema) -> Iterator[pa.Table]:
    """The rows under the table's columns: null where the source has none, the run in its own."""
    for batch in source.batches():
        columns = []
        for field in target:
            if field.name == RUN_ID.name:
                columns.append(pa.repeat(run_id, len(batch)).cast(field.type))
            elif field.name in batch.schema.names:
                columns.append(batch[field.name].cast(field.type))
            else:
                columns.append(pa.nulls(len(batch), field.type))
        yield pa.Table.from_arrays(columns, schema=target)


def _described(path: str, size_bytes: int, footer: pq.FileMetaData, metadata: TableMetadata, run_id: str) -> DataFile:
    """What Iceberg notes of a data file: its size, its partition, and column statistics from its footer."""
    from pyiceberg.io import pyarrow as statistics  # noqa: PLC0415  # an extra
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat  # noqa: PLC0415
    from pyiceberg.typedef import Record  # noqa: PLC0415

    ids = statistics.parquet_path_to_id_mapping(metadata.schema())
    without_bounds = {ids[column] for column in _without_statistics(footer)}
    nothing = statistics.MetricsMode(statistics.MetricModeTypes.NONE)
    plan = statistics.compute_statistics_plan(metadata.schema(), metadata.properties)
    found = statistics.data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns={key: replace(one, mode=nothing) if key in without_bounds else one for key, one in plan.items()},
        parquet_column_mapping=ids,
    )
    described: Any = found.to_serialized_dict()
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(run_id),
        file_size_in_bytes=size_bytes,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **described,
    )


def _without_statistics(footer: pq.FileMetaData) -> Iterator[str]:
    """Columns that were written without bounds (boxes, images): pyiceberg would warn of each."""
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    return (column.path_in_schema for column in columns if not column.is_stats_set)
