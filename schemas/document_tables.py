"""Arrow schemas of the documents tables, one for each type, made from the field tables."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from schemas.documents import DOCUMENTS
from schemas.value_converters import COLUMNS_OF_KIND

TIMESTAMP = pa.timestamp("us", tz="UTC")
LABELS = pa.map_(pa.string(), pa.string())


def column(name: str, kind: pa.DataType, doc: str, contract: str = "") -> pa.Field:
    """A column with its documentation and the contract's name for it in the field metadata."""
    return pa.field(name, kind, metadata={"doc": doc, "contract": contract})


COMMON_COLUMNS: tuple[pa.Field, ...] = (
    column("item_id", pa.string(), "Key of the request: a hash of the operation and of what is in its images, hex"),
    column("document_index", pa.int32(), "Place of the document in the answer, from 0"),
    column("operation", pa.string(), "Path of the call that was made"),
    column(
        "uris", pa.list_(pa.string()), "Images that were sent, front first, then duplicates of them found in the run"
    ),
    column("labels", LABELS, "The user's labels of the request"),
    column("called_at", TIMESTAMP, "When the answer arrived"),
    column("valid", pa.bool_(), "Whether the endpoint takes the card for genuine; null where it does not say", "valid"),
    column("invalid_code", pa.string(), "Warning code, 0 where there is none", "invalidCode"),
    column("invalid_message", pa.string(), "The warning in words", "invalidMessage"),
)
EXTRA_COLUMN = column("extra", LABELS, "Undocumented keys and values that did not fit their column, as JSON")


@cache
def schema_of(document_type: str) -> pa.Schema:
    """The Arrow schema of one document type's table.

    Raises:
        KeyError: the contract has no such type.
    """
    fields = [
        column(field.name + suffix, kind, field.doc + (", as returned" if suffix else ""), f"info.{field.name}")
        for field in DOCUMENTS[document_type]
        for suffix, kind in COLUMNS_OF_KIND[field.kind]
    ]
    return pa.schema([*COMMON_COLUMNS, *fields, EXTRA_COLUMN], metadata={"document_type": document_type})


def no_extras(documents: int) -> pa.Array:
    """The column `extra` of so many documents that have none."""
    offsets = pa.array(np.zeros(documents + 1, np.int32))
    return pa.MapArray.from_arrays(offsets, pa.array([], pa.string()), pa.array([], pa.string()))


@cache
def schema_of_all() -> pa.Schema:
    """Every column of every type, and the partitions: the schema by which `documents/` is read as one data set.

    A column has the same Arrow type in all tables that have it.
    """
    found: dict[str, pa.Field] = {}
    for document_type in DOCUMENTS:
        for field in schema_of(document_type):
            found.setdefault(field.name, field)
    partitions = (
        column("type", pa.string(), "Document type; a partition"),
        column("run_id", pa.string(), "The run that wrote the row; a partition"),
    )
    return pa.schema([*found.values(), *partitions])
