"""Rows of a run's tables that cannot be made again, as the tables hold them: their responses are no longer kept.

They are read from the files that the run's receipt names, and get the columns of this version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.model.record import RESPONSE_DROPPED, RecordStatus
from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENT_TABLES, run_file, table_of
from cardbeam.run_state.receipt import RECEIPT_FILE, read_receipt
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import opened_parquet
from schemas.document_tables import schema_of
from schemas.outcomes import Stage
from schemas.run_tables import DEAD_LETTERS_SCHEMA

_SCHEMAS = {**{table: schema_of(name) for table, name in DOCUMENT_TABLES.items()}, DEAD_LETTERS: DEAD_LETTERS_SCHEMA}


def has_dropped_response(ledger: pa.Table) -> pa.ChunkedArray:
    """The rows of a ledger that succeeded, and whose response is no longer kept."""
    is_answer = pc.equal(ledger["outcome"], RecordStatus.SUCCEEDED.value)
    return pc.fill_null(pc.and_(is_answer, pc.equal(ledger["code"], RESPONSE_DROPPED)), False)


def kept_rows(folder: Folder, run_id: str, item_ids: Iterable[str]) -> Iterator[tuple[str, pa.Table]]:
    """The documents, and the dead letters of parsing, of these items: tables' folders and rows, a row group at a time.

    Raises:
        DamagedFile: the receipt or a file that it names is missing or not whole.
    """
    wanted = pa.array(sorted(item_ids), pa.string())
    receipt = read_receipt(folder, run_id)
    if receipt is None:
        path = run_file(run_id, RECEIPT_FILE)
        raise DamagedFile.of(path, "is missing: it names the rows whose responses are no longer kept")
    for file in receipt.files:
        table = table_of(file["path"])
        if table in _SCHEMAS and file["rows"]:
            for rows in _of_items(folder, file["path"], wanted):
                yield table, _current(rows, _SCHEMAS[table])


def _of_items(folder: Folder, path: str, wanted: pa.Array) -> Iterator[pa.Table]:
    try:
        with opened_parquet(folder, path) as file:
            for number in range(file.num_row_groups):
                mask = pc.is_in(file.read_row_group(number, ["item_id"])["item_id"], value_set=wanted)
                if pc.any(mask).as_py():
                    rows = file.read_row_group(number).filter(mask)
                    yield rows if "stage" not in rows.column_names else _of_parsing(rows)
    except FileNotFoundError:
        raise DamagedFile.of(path, "is missing, and the responses that it was made of are no longer kept") from None


def _of_parsing(letters: pa.Table) -> pa.Table:
    return letters.filter(pc.equal(letters["stage"], Stage.PARSE.value))


def _current(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of this version: one that was added since is null."""
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
