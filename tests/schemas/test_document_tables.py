"""The Arrow schemas of the tables: columns, types, documentation."""

from __future__ import annotations

import pyarrow as pa
import pytest

from schemas.document_tables import schema_of
from schemas.documents import DOCUMENT_TYPES
from schemas.run_tables import DEAD_LETTERS_SCHEMA, LEDGER_SCHEMA
from tests.canned import CANNED, DATES

TEXTS = pa.map_(pa.string(), pa.string())
TIME = pa.timestamp("us", "UTC")
BEFORE = {
    "item_id": pa.string(),
    "document_index": pa.int32(),
    "operation": pa.string(),
    "uris": pa.list_(pa.string()),
    "labels": TEXTS,
    "called_at": TIME,
    "valid": pa.bool_(),
    "invalid_code": pa.string(),
    "invalid_message": pa.string(),
}
BOX = pa.struct([(side, pa.int32()) for side in ("left", "top", "right", "bottom")])
DEAD_LETTERS = {
    "item_id": pa.string(),
    "uris": pa.list_(pa.string()),
    "labels": TEXTS,
    "operation": pa.string(),
    "stage": pa.string(),
    "code": pa.string(),
    "message": pa.string(),
    "http_status": pa.int32(),
    "attempts": pa.int32(),
    "retriable": pa.bool_(),
    "started_at": TIME,
    "completed_at": TIME,
}


def columns_of_field(name: str) -> dict[str, pa.DataType]:
    if name.endswith("_box"):
        return {name: BOX}
    if name.endswith("confidence"):
        return {name: pa.float32()}
    if name in DATES:
        return {name: pa.date32(), f"{name}_text": pa.string()}
    return {name: pa.binary() if name == "image" else pa.string()}


def types_of(schema: pa.Schema) -> dict[str, pa.DataType]:
    return dict(zip(schema.names, schema.types, strict=True))


@pytest.mark.parametrize("document_type", sorted(CANNED))
def test_a_documents_table_has_the_contract_s_fields_as_typed_columns(document_type: str) -> None:
    """Common columns first, then each field of the contract by its type, dates with their text, then `extra`."""
    fields: dict[str, pa.DataType] = {}
    for name in CANNED[document_type]:
        fields |= columns_of_field(name)
    schema = schema_of(document_type)
    assert types_of(schema) == {**BEFORE, **fields, "extra": TEXTS}
    assert schema.names[: len(BEFORE)] == list(BEFORE)
    assert schema.names[-1] == "extra"
    assert schema.metadata == {b"document_type": document_type.encode()}


@pytest.mark.parametrize("document_type", sorted(CANNED))
def test_a_column_says_what_it_holds_and_what_the_contract_calls_it(document_type: str) -> None:
    """Each column's metadata has its documentation and, if it is a field of the contract, the field's path."""
    text = {field.name: field.metadata for field in schema_of(document_type)}
    assert [name for name, metadata in text.items() if not metadata[b"doc"]] == []
    judged = {"valid": "valid", "invalid_code": "invalidCode", "invalid_message": "invalidMessage"}
    ours = {**dict.fromkeys([*BEFORE, "extra"], ""), **judged}
    wire = {column: f"info.{name}" for name in CANNED[document_type] for column in columns_of_field(name)}
    assert {name: metadata[b"contract"].decode() for name, metadata in text.items()} == {**ours, **wire}


def test_one_schema_for_each_type() -> None:
    """A type has one schema, and a type outside the contract has none."""
    assert len({id(schema_of(name)) for name in [*DOCUMENT_TYPES, *DOCUMENT_TYPES]}) == len(DOCUMENT_TYPES)
    with pytest.raises(KeyError):
        schema_of("library_card")


def test_dead_letters_have_the_promised_columns() -> None:
    """Columns of the dead letters, in their order."""
    assert types_of(DEAD_LETTERS_SCHEMA) == DEAD_LETTERS
    assert DEAD_LETTERS_SCHEMA.names == list(DEAD_LETTERS)


def test_the_ledger_holds_all_that_publishing_takes() -> None:
    """The ledger has every column of the dead letters, what tells duplicates apart, and the response last."""
    more = {
        "source_id": pa.string(),
        "input_id": pa.string(),
        "outcome": pa.string(),
        "latency_s": pa.float32(),
        "image_bytes": pa.int64(),
        "response": pa.binary(),
    }
    assert types_of(LEDGER_SCHEMA) == {**DEAD_LETTERS, **more}
    assert LEDGER_SCHEMA.names[-1] == "response"
