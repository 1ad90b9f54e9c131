"""Iceberg tables without what was erased from the output: runs are registered again, and no older snapshot stays.

Registering replaces the copies of files that changed. What older snapshots, or a registration that was killed, left of
rows and of their bounds is deleted: data files and manifests that the newest snapshot does not name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cardbeam.run_state.layout import RUNS
from cardbeam.storage.folder import Folder, open_folder
from cardbeam.storage.uris import local_path
from pipeline.catalog.iceberg.register import register
from pipeline.catalog.table_ddl import TABLES

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

_OF_ROWS = (".parquet", ".avro")
"""Files that hold values of rows."""
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}


def erase_from_catalog(catalog: Catalog, namespace: str, folder: Folder, run_ids: Sequence[str]) -> None:
    """Show these runs as their files are now, and keep nothing of how they were. Raises as `register` does."""
    register(catalog, namespace, folder, run_ids)
    for name in (*TABLES, RUNS):
        _forget_past(catalog, f"{namespace}.{name}")


def _forget_past(catalog: Catalog, identifier: str) -> None:
    table = catalog.load_table(identifier)
    if (current := table.current_snapshot()) is None:
        return
    if _deleted_entries(table):
        with table.transaction() as transaction, transaction.update_snapshot().fast_append():
            pass  # the next snapshot names no manifest of files that are gone
        table = catalog.load_table(identifier)
        current = table.current_snapshot() or current
    old = [one.snapshot_id for one in table.metadata.snapshots if one.snapshot_id != current.snapshot_id]
    if old:
        table.maintenance.expire_snapshots().by_ids(old).commit()
        table = catalog.load_table(identifier)
    _delete_unnamed(table)


def _deleted_entries(table: Table) -> bool:
    """Whether the newest snapshot tells of files that it removed, with the bounds of their values."""
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot else []
    return any(one.deleted_files_count for one in manifests)


def _named(table: Table) -> Iterator[str]:
    snapshot = table.current_snapshot()
    if snapshot is None:
        return
    yield snapshot.manifest_list
    for manifest in snapshot.manifests(table.io):
        yield manifest.manifest_path
        yield from (entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io))


def _delete_unnamed(table: Table) -> None:
    place = open_folder(_place(table.location()))
    named = {unquote(path).rpartition("/")[2] for path in _named(table)}
    found = [file.path for file in place.list("") if file.path.endswith(_OF_ROWS)]
    place.delete(path for path in found if unquote(path).rpartition("/")[2] not in named)


def _place(uri: str) -> str:
    """A table's place, by the scheme that our stores know it by."""
    if (path := local_path(uri)) is not None:
        return str(path)
    scheme, _, rest = uri.partition("://")
    return f"{_SCHEMES.get(scheme, scheme)}://{rest}"
