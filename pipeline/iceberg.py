"""The Parquet files of ended runs -> Iceberg tables, by reference: nothing is copied.

A run appears in each table by one commit, and in `runs` by the last of them, so that who reads several tables keeps to
the runs that stand there. `run_id` is not in the files but in their path: the tables are partitioned by it, which is
how Iceberg takes over Hive tables (its specification, column projection). Columns are matched by name, once, and from
then on by field id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ddl import RUN_ID, TABLES, Table
from pipeline.exit import UsageError
from schemas.arrow import TIMESTAMP, column
from transforms.bucket_settings import iceberg_options
from transforms.layout import RUNS
from transforms.receipt import Receipt, read_receipt
from transforms.settings import Problem, option
from transforms.storage import Folder

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable

_RUNS_SCHEMA = pa.schema(
    [
        column("run_id", pa.string(), "Name of the run"),
        column("status", pa.string(), "How it ended"),
        column("finished_at", TIMESTAMP, "When it ended"),
    ]
)


@dataclass(frozen=True, slots=True)
class CatalogSettings:
    """An Iceberg catalog that the tables are registered in."""

    catalog: str = option(
        "",
        help="Register the tables in this Iceberg catalog, as ~/.pyiceberg.yaml or PYICEBERG_CATALOG__NAME__… "
        "configure it. Each run is one commit a table.",
    )
    namespace: str = option("cardbeam", help="Namespace of the tables in the catalog.")

    def problems(self) -> Iterator[Problem]:
        """The catalog itself says what is wrong with its settings."""
        yield from ()


def open_catalog(name: str) -> Catalog:
    """The catalog of that name.

    Raises:
        UsageError: pyiceberg is not installed, or nothing configures the catalog.
    """
    try:
        from pyiceberg.catalog import load_catalog  # noqa: PLC0415  # an extra
        from pyiceberg.utils.config import Config  # noqa: PLC0415
    except ImportError:
        raise UsageError("pyiceberg is not installed; pip install 'cardbeam[iceberg]'") from None
    configured = {key: str(value) for key, value in (Config().get_catalog_config(name) or {}).items()}
    try:
        return load_catalog(name, **{**iceberg_options(), **configured})
    except ValueError as error:
        raise UsageError(f"--catalog {name}: {error}") from None


def register(catalog: Catalog, namespace: str, folder: Folder, run_ids: Sequence[str]) -> list[str]:
    """Make the tables show these runs as their files are now; the runs that have ended, which alone are registered."""
    catalog.create_namespace_if_not_exists(namespace)
    receipts = [receipt for run_id in run_ids if (receipt := read_receipt(folder, run_id)) is not None]
    for receipt in receipts:
        for table in TABLES.values():
            folder_of_run = f"{table.folder}/run_id="
            files = (file for file in receipt.files if file["path"].startswith(folder_of_run))
            paths = [file["path"] for file in files if file["rows"]]
            _show_run(_table(catalog, namespace, table), folder, receipt.run_id, paths)
        _note(catalog, namespace, receipt)
    return [receipt.run_id for receipt in receipts]


def _table(catalog: Catalog, namespace: str, table: Table) -> IcebergTable:
    """The table, made where there is none, with the columns of the installed version."""
    identifier = f"{namespace}.{table.name}"
    schema = pa.schema([*table.schema, RUN_ID])
    if catalog.table_exists(identifier):
        found = catalog.load_table(identifier)
    else:
        found = catalog.create_table(identifier, schema)
        with found.update_spec() as spec:
            spec.add_identity(RUN_ID.name)
    return found


def _show_run(table: IcebergTable, folder: Folder, run_id: str, paths: list[str]) -> None:
    """Replace what the table shows of a run, in one commit; columns that it lacks are added first."""
    schemas = [_schema_of(folder, path) for path in paths]
    with table.update_schema() as update:
        for schema in schemas:
            update.union_by_name(schema)
    with table.transaction() as transaction:
        from pyiceberg.table import TableProperties  # noqa: PLC0415  # an extra

        mapping = transaction.table_metadata.schema().name_mapping.model_dump_json()
        transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: mapping})
        if _shows(table, run_id):
            transaction.delete(_of_run(run_id))
        with transaction.update_snapshot(snapshot_properties={"cardbeam.run_id": run_id}).fast_append() as append:
            for path in paths:
                append.append_data_file(_data_file(table, transaction.table_metadata, _uri(folder, path), run_id))


def _schema_of(folder: Folder, path: str) -> pa.Schema:
    with folder.open(path) as file:
        schema: pa.Schema = pq.read_schema(file)
    return schema


def _uri(folder: Folder, path: str) -> str:
    root = f"file://{Path(folder.root).resolve()}" if folder.is_local else folder.root
    return f"{root}/{path}"


def _data_file(table: IcebergTable, metadata: Any, uri: str, run_id: str) -> DataFile:
    """What Iceberg notes of a file: size and column statistics from its footer, the run from us."""
    from pyiceberg.io import pyarrow as reader  # noqa: PLC0415  # an extra
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat  # noqa: PLC0415
    from pyiceberg.typedef import Record  # noqa: PLC0415

    source = table.io.new_input(uri)
    with source.open() as stream:
        footer = pq.read_metadata(stream)
    ids = reader.parquet_path_to_id_mapping(metadata.schema())
    bare = {ids[path] for path in _without_statistics(footer)}
    nothing = reader.MetricsMode(reader.MetricModeTypes.NONE)
    asked = reader.compute_statistics_plan(metadata.schema(), metadata.properties)
    statistics = reader.data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns={key: replace(one, mode=nothing) if key in bare else one for key, one in asked.items()},
        parquet_column_mapping=ids,
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=uri,
        file_format=FileFormat.PARQUET,
        partition=Record(run_id),
        file_size_in_bytes=len(source),
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _without_statistics(footer: pq.FileMetaData) -> Iterator[str]:
    """Columns that were written without bounds (boxes, say): pyiceberg would warn of each."""
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    return (column.path_in_schema for column in columns if not column.is_stats_set)


def _note(catalog: Catalog, namespace: str, receipt: Receipt) -> None:
    """Say in `runs` that all tables show the run."""
    identifier = f"{namespace}.{RUNS}"
    table = catalog.create_table_if_not_exists(identifier, _RUNS_SCHEMA)
    finished_at = pa.array([receipt.finished_at.replace("Z", "")]).cast(pa.timestamp("us")).cast(TIMESTAMP)
    row = pa.table([[receipt.run_id], [receipt.status], finished_at], schema=_RUNS_SCHEMA)
    if _shows(table, receipt.run_id):
        table.overwrite(row, overwrite_filter=_of_run(receipt.run_id))
    else:
        table.append(row)


def _of_run(run_id: str) -> str:
    return f"{RUN_ID.name} = '{run_id}'"


def _shows(table: IcebergTable, run_id: str) -> bool:
    return any(True for _ in table.scan(row_filter=_of_run(run_id)).plan_files())
