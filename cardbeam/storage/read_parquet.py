"""Parquet files of the output, the checksums of their pages verified; an error names the file that is damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Files
from schemas.run_tables import LEDGER_SCHEMA


@contextmanager
def opened_parquet(folder: Files, path: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file to read within the block.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFile: it is no whole Parquet file; also from the block, which does nothing but read.
    """
    with folder.open(path) as opened, damage_named(path):
        yield pq.ParquetFile(opened, page_checksum_verification=True)


@contextmanager
def opened_ledger(
    folder: Files, path: str, columns: Sequence[str] = tuple(LEDGER_SCHEMA.names)
) -> Iterator[pq.ParquetFile]:
    """A file of the ledger to read within the block, which has some columns.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFile: as `opened_parquet`; or a column is missing or of another type.
    """
    with opened_parquet(folder, path) as file:
        types = {field.name: field.type for field in file.schema_arrow}
        for name in columns:
            if types.get(name) != LEDGER_SCHEMA.field(name).type:
                raise DamagedFile.of(path, f"has no column {name!r} of the type that this version reads")
        yield file


def read_ledger(folder: Files, path: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a file of the ledger, in this order. Raises as `opened_ledger`."""
    with opened_ledger(folder, path, columns) as file:
        return file.read(list(columns)).select(columns)


def schema_fingerprint(schema: pa.Schema) -> str:
    """Another for other columns, by name, type and order. One footer tells the columns of all files that share it."""
    columns = "\n".join(f"{field.name} {_kind(field.type)}" for field in schema)
    return hashlib.sha256(columns.encode()).hexdigest()[:16]


def _kind(of: pa.DataType) -> str:
    """A type in words. Parquet has its own names for what lists and maps consist of: these tell nothing."""
    if pa.types.is_map(of):
        return f"map<{_kind(of.key_type)}, {_kind(of.item_type)}>"
    if pa.types.is_list(of):
        return f"list<{_kind(of.value_type)}>"
    if pa.types.is_struct(of):
        return f"struct<{', '.join(f'{field.name} {_kind(field.type)}' for field in of)}>"
    return str(of)


@contextmanager
def damage_named(path: str) -> Iterator[None]:
    """Have errors of Arrow about what a file holds name the file; those of the disk or the store stay as they are.

    Raises:
        DamagedFile: the file is damaged.
    """
    try:
        yield
    except pa.ArrowException:
        raise DamagedFile.of(path, "is no whole file of its table") from None
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:
            raise
        raise DamagedFile.of(path, "is no whole file of its table") from None  # so Arrow calls it, too
