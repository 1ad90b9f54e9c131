"""Views without what identifies a person: no number, name, address, box, thumbnail, URI or label.

A list of what is shown, not of what is hidden: a field that the contract gains is in no masked view. `person_key` is an
HMAC-SHA256 of the personal number (RFC 2104) under a key that whoever reads the views does not have.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256

from pipeline.catalog.table_ddl import TABLES, Table
from pipeline.catalog.view_queries.holder_views import HOLDER_NUMBERS
from pipeline.catalog.view_queries.view import View
from pipeline.cli.exit_codes import UsageError
from schemas.documents import DOCUMENT_TYPES

KEY_VARIABLE = "CARDBEAM_PSEUDONYM_KEY"
PREFIX = "masked_"
_MIN_KEY_BYTES = 16
_BLOCK_BYTES = 64
_SHOWN = (
    "item_id",
    "document_index",
    "operation",
    "called_at",
    "valid",
    "invalid_code",
    "gender",
    "nationality",
    "country",
    "issue_date",
    "due_date",
    "class",
    "address_town",
    "address_town_code",
    "issued_at_town",
    "issued_at_code",
    "stage",
    "code",
    "http_status",
    "attempts",
    "retriable",
    "started_at",
    "completed_at",
    "run_id",
)
"""Columns that are shown as they are; confidences are too."""
_MASKED = {
    "id": "right(card_number(id), 4) AS id_last4",
    "person_number": "right(card_number(person_number), 4) AS person_number_last4",
    "document_number": "right(card_number(document_number), 4) AS document_number_last4",
    "dob": "CAST(extract(year FROM dob) AS INTEGER) AS birth_year",
}
MASKED_TABLES = (*DOCUMENT_TYPES, "dead_letters")
"""Those that have anything to show; the ledger has not."""


def read_key() -> bytes:
    """The key of `person_key`; empty where none is set.

    Raises:
        UsageError: it is too short to keep twelve digits secret.
    """
    key = os.environb.get(KEY_VARIABLE.encode(), b"")
    if key and len(key) < _MIN_KEY_BYTES:
        raise UsageError(f"{KEY_VARIABLE} has {len(key)} bytes, expected {_MIN_KEY_BYTES} or more")
    return key


def masked_views(key: bytes) -> Iterator[View]:
    """A view over each table that has anything to show; without a key, `person_key` is null."""
    for name in MASKED_TABLES:
        yield masked_view(TABLES[name], f'"{name}"', key)


def masked_view(table: Table, rows: str, key: bytes) -> View:
    """The view over rows of a table."""
    shown = ", ".join([*_columns(table), *_person_key(table, key)])
    return View(
        f"{PREFIX}{table.name}", f"{table.name} without what identifies a person", f"SELECT {shown} FROM {rows}"
    )


def _columns(table: Table) -> Iterator[str]:
    for name in [*table.schema.names, "run_id"]:
        if name in _SHOWN or name.endswith("confidence"):
            yield f'"{name}"'
        elif name in _MASKED:
            yield _MASKED[name]


def _person_key(table: Table, key: bytes) -> Iterator[str]:
    if table.name not in DOCUMENT_TYPES:
        return
    number = HOLDER_NUMBERS.get(table.name, "")
    person_key = _hmac(f"card_number({number})", key) if key and number else "CAST(NULL AS VARCHAR)"
    yield f"{person_key} AS person_key"


def _hmac(text: str, key: bytes) -> str:
    """HMAC-SHA256 in DuckDB's SQL, in hex; null of null."""
    block = (sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
    inner, outer = (bytes(one ^ pad for one in block).hex() for pad in (0x36, 0x5C))
    return f"hmac_sha256_of({text}, '{inner}', '{outer}')"


HMAC = """
CREATE MACRO hmac_sha256_of(content, inner_pad, outer_pad) AS
sha256(unhex(outer_pad) || unhex(sha256(unhex(inner_pad) || encode(content))))
"""
