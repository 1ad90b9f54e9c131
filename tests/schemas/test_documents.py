"""The document types: every field that the API document names, once, and nothing else."""

from __future__ import annotations

from schemas.documents import DOCUMENT_TYPES, DOCUMENTS
from schemas.fields import FIELDS, Kind
from tests.canned import CANNED, DATES


def test_the_types_are_the_contract_s() -> None:
    """There are twelve document types, under the contract's names."""
    assert sorted(DOCUMENT_TYPES) == sorted(CANNED)
    assert len(DOCUMENT_TYPES) == 12


def test_the_fields_are_the_contract_s() -> None:
    """Each type has the fields that the API document lists for it, each once: 286 in all."""
    named = {document_type: [field.name for field in fields] for document_type, fields in DOCUMENTS.items()}
    assert {name: sorted(fields) for name, fields in named.items()} == {
        name: sorted(info) for name, info in CANNED.items()
    }
    assert sum(map(len, named.values())) == 286


def test_the_kind_follows_the_name() -> None:
    """Boxes, confidences, dates and images are known by their names; all else is text."""

    def kind_of(name: str) -> Kind:
        if name.endswith("_box"):
            return Kind.BOX
        if name.endswith("confidence"):
            return Kind.CONFIDENCE
        return Kind.IMAGE if name == "image" else Kind.DATE if name in DATES else Kind.TEXT

    for fields in DOCUMENTS.values():
        assert {field.name: field.kind for field in fields} == {field.name: kind_of(field.name) for field in fields}


def test_a_field_is_said_once() -> None:
    """A field is the same wherever it stands, and says in words what it holds."""
    fields = [field for of_type in DOCUMENTS.values() for field in of_type]
    assert {field.name for field in fields if not field.doc} == set()
    assert all(field is FIELDS[field.name] for field in fields if field.name in FIELDS)
    assert len({(field.name, field) for field in fields}) == len({field.name for field in fields})


def test_the_canned_values_tell_columns_apart() -> None:
    """No two fields of the canned responses share a value, so that a mix-up of columns shows."""
    values = [repr(value) for info in CANNED.values() for value in info.values()]
    assert len(set(values)) == len(values) == 286
