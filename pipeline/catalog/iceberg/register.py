"""Ended runs -> Iceberg tables, which own their files: no maintenance of a table can delete a file of the output.

A run appears in each table by one snapshot, or is replaced by one, and in `runs` by the last of them: readers of
several tables keep to the runs that stand there. A run whose files are unchanged is skipped. The tables are partitioned
by `run_id`. Columns are matched by name once, and from then on by field id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cardbeam.config.options import SettingError, option
from cardbeam.erasure.plan import ERASURES
from cardbeam.errors import CardbeamError
from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENTS, JOURNAL, LEDGER, RUNS
from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.environment import iceberg_options
from cardbeam.storage.folder import Folder
from cardbeam.storage.uris import local_path
from pipeline.catalog.iceberg.copy_files import (
    NOT_COPIED,
    Source,
    UnreadableFile,
    copy,
    digest_in,
    file_source,
    row_source,
)
from pipeline.catalog.table_ddl import RUN_ID, TABLES
from pipeline.cli.exit_codes import UsageError
from schemas.document_tables import TIMESTAMP, column

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

_SCHEMAS = {
    name: pa.schema([*(field for field in table.schema if field.name not in NOT_COPIED), RUN_ID])
    for name, table in TABLES.items()
} | {
    RUNS: pa.schema(
        [
            column(RUN_ID.name, pa.string(), "Name of the run"),
            column("status", pa.string(), "How it ended"),
            column("finished_at", TIMESTAMP, "When it ended"),
        ]
    )
}
_OWNER = {"cardbeam.owns-files": "true"}
"""Property of the tables made here: each of their files was written for them."""
_OF_OUTPUT = (DOCUMENTS, DEAD_LETTERS, LEDGER, JOURNAL, RUNS, ERASURES, "index")
"""Folders of the output that no table may be put into or around: maintenance deletes files it does not know."""


@dataclass(frozen=True, slots=True)
class CatalogSettings:
    """An Iceberg catalog that the tables are registered in."""

    catalog: str = option(
        "",
        help="Register the tables in this Iceberg catalog, as ~/.pyiceberg.yaml or PYICEBERG_CATALOG__NAME__… "
        "configure it. Each run is one snapshot of a table, with a copy of its files that the table owns.",
    )
    namespace: str = option("cardbeam", help="Namespace of the tables in the catalog.")

    def validate(self) -> Iterator[SettingError]:
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


class NotRegistered(CardbeamError):
    """Runs whose files could not be read; all others are registered. The message names each."""


def register(catalog: Catalog, namespace: str, folder: Folder, run_ids: Sequence[str]) -> list[str]:
    """Make the tables show these runs as their files are now; the runs that have ended, which alone are registered.

    Raises:
        NotRegistered: files of some runs cannot be read.
        UsageError: a table of that name is not ours, or the catalog places it among the files of the output.
    """
    catalog.create_namespace_if_not_exists(namespace)
    receipts = [receipt for run_id in run_ids if (receipt := read_receipt(folder, run_id)) is not None]
    tables = {
        name: _OneTable(_open(catalog, f"{namespace}.{name}", schema, folder)) for name, schema in _SCHEMAS.items()
    }
    unreadable = []
    for receipt in receipts:
        try:
            _register_run(tables, folder, receipt)
        except UnreadableFile as error:
            unreadable.append(f"run {receipt.run_id} is not registered: {error}")
    if unreadable:
        raise NotRegistered("; ".join([*unreadable, "publish --run_id=RUN makes the files of a run again"]))
    return [receipt.run_id for receipt in receipts]


def _register_run(tables: Mapping[str, _OneTable], folder: Folder, receipt: Receipt) -> None:
    """All files are checked before the first table changes; `runs` is last, for it says that the others are done."""
    sources = {
        name: [
            file_source(folder, file["path"])
            for file in receipt.files
            if file["path"].startswith(f"{table.folder}/{RUN_ID.name}=") and file["rows"]
        ]
        for name, table in TABLES.items()
    }
    finished_at = pa.array([receipt.finished_at.replace("Z", "")]).cast(pa.timestamp("us")).cast(TIMESTAMP)
    columns = [[receipt.run_id], [receipt.status], finished_at]
    sources[RUNS] = [row_source(pa.table(columns, schema=_SCHEMAS[RUNS]))]
    for name, of_table in sources.items():
        tables[name].show(receipt.run_id, of_table)


class _OneTable:
    """An Iceberg table, and which data files it shows of each run."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._shown: dict[str, list[DataFile]] = {}
        for task in table.scan(selected_fields=(RUN_ID.name,)).plan_files():
            self._shown.setdefault(str(task.file.partition[0]), []).append(task.file)

    def show(self, run_id: str, sources: list[Source]) -> None:
        """Replace what the table shows of a run by one snapshot; none where it shows these sources already.

        What was copied from a source that is unchanged stays.
        """
        before = self._shown.get(run_id, [])
        if sorted(digest_in(file.file_path) for file in before) == sorted(source.digest for source in sources):
            return
        kept = {digest_in(file.file_path): file for file in before}
        kept = {source.digest: kept[source.digest] for source in sources if source.digest in kept}
        sources = [source for source in sources if source.digest not in kept]
        before = [file for file in before if file not in kept.values()]
        provider = self._table.location_provider()
        with self._table.transaction() as transaction:
            with transaction.update_schema() as update:
                for source in sources:
                    update.union_by_name(source.schema)
            metadata = transaction.table_metadata
            files = [copy(self._table.io, provider.new_data_location, metadata, run_id, one) for one in sources]
            snapshot = transaction.update_snapshot(snapshot_properties={"cardbeam.run_id": run_id})
            with snapshot.overwrite() if before else snapshot.merge_append() as change:
                for file in before:
                    change.delete_data_file(file)
                for file in files:
                    change.append_data_file(file)
        self._shown[run_id] = [*kept.values(), *files]


def _open(catalog: Catalog, identifier: str, schema: pa.Schema, folder: Folder) -> Table:
    """The table, made where there is none, with the columns of the installed version."""
    from pyiceberg.exceptions import NoSuchTableError  # noqa: PLC0415  # an extra
    from pyiceberg.table import TableProperties  # noqa: PLC0415

    try:
        table = catalog.load_table(identifier)
    except NoSuchTableError:
        merging = {TableProperties.MANIFEST_MERGE_ENABLED: "true"}  # else planning a query reads one for each run
        table = catalog.create_table(identifier, schema, properties={**_OWNER, **merging})
    if not _OWNER.items() <= table.properties.items():
        raise UsageError(
            f"table {identifier} was not made by this version and may refer to files of {folder.root}; "
            f"drop it without PURGE, or give another --namespace"
        )
    _check_place(table, folder)
    if table.spec().is_unpartitioned() and table.current_snapshot() is None:
        with table.update_spec() as spec:
            spec.add_identity(RUN_ID.name)
    partitions = [[(field.name, str(field.transform)) for field in spec.fields] for spec in table.specs().values()]
    if any(fields != [(RUN_ID.name, "identity")] for fields in filter(None, partitions)):
        raise UsageError(f"table {identifier} is not partitioned by {RUN_ID.name} alone; drop it, then publish again")
    with table.update_schema() as update:
        update.union_by_name(schema)
    return table


def _check_place(table: Table, folder: Folder) -> None:
    """Whether Iceberg's removal of unknown files in the table's place could meet a file of the output, or be met."""
    provider = table.location_provider()
    places = {_plain(place) for place in (table.location(), provider.data_path, provider.metadata_path)}
    for own in (_plain(f"{folder.root}/{name}") for name in _OF_OUTPUT):
        if any(f"{place}/".startswith(f"{own}/") or f"{own}/".startswith(f"{place}/") for place in places):
            raise UsageError(f"the catalog places {'.'.join(table.name())} at {table.location()}, which holds files "
                             f"of {folder.root}; give the catalog another warehouse or --namespace")  # fmt: skip


def _plain(uri: str) -> str:
    """A place without its scheme, of which some stores have two."""
    path = local_path(uri)
    return str(path.resolve()) if path is not None else uri.partition("://")[2].rstrip("/")
