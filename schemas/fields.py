"""The vocabulary: every name the endpoint prints on an answer, said once.

A document type (`schemas.documents`) picks names from here; a column's kind, its
Arrow type and its documentation follow from the name. Value forms were observed,
not promised, so every kind has a liberal reader in `schemas.value_converters`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a field holds, and so how it is read and which column it becomes."""

    TEXT = "text"
    DATE = "date"
    CONFIDENCE = "confidence"
    BOX = "box"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the contract, under the vendor's own name."""

    name: str
    kind: Kind
    doc: str


_TEXT_DOCS = {
    "id": "Number of the document",
    "name": "Full name of the holder",
    "hometown": "Place of origin",
    "address": "Place of permanent residence",
    "gender": "Gender: nam or nữ where printed, M or F where machine-readable",
    "nationality": "Nationality",
    "ethnicity": "Ethnic group",
    "religious": "Religion",
    "identification_sign": "Distinguishing marks of the holder",
    "issued_at": "Authority that issued the document",
    "issued_at_town": "Province of the authority that issued the document",
    "issued_at_code": "Administrative code of that province; -1 where unknown",
    "country": "Issuing country, from the machine-readable zone",
    "document_number": "Document number, from the machine-readable zone",
    "person_number": "Personal number of the holder",
    "sur_name": "Surname",
    "given_name": "Given names",
    "full_name": "Surname and given names",
    "place_of_birth": "Place of birth",
    "class": "Vehicle classes the licence is valid for",
    "unit": "Military unit",
    "rank": "Military rank",
    "blood_type": "Blood type",
}
_DATE_DOCS = {
    "dob": "Date of birth",
    "issue_date": "Date of issue",
    "due_date": "Date of expiry",
}
_LEVELS = {"town": "province or city", "district": "district", "ward": "ward or commune"}


def _place(of: str) -> tuple[Field, ...]:
    """The six fields that place an address in the administrative units of Vietnam."""
    printed = _TEXT_DOCS[of].lower()
    names = tuple(
        Field(f"{of}_{level}", Kind.TEXT, f"Name of the {unit} in the {printed}; empty where unknown")
        for level, unit in _LEVELS.items()
    )
    codes = tuple(
        Field(f"{of}_{level}_code", Kind.TEXT, f"Administrative code of the {unit} in the {printed}; -1 where unknown")
        for level, unit in _LEVELS.items()
    )
    return names + codes


_IMAGE = Field("image", Kind.IMAGE, "The aligned document as an image file; null unless asked for with get_thumb")
_WHOLE_CONFIDENCE = {
    "confidence": "Confidence of the reading as a whole, 0 to 1",
    "mrz_confidence": "Confidence of the machine-readable zone, 0 to 1",
}

PLACES: dict[str, tuple[Field, ...]] = {of: _place(of) for of in ("address", "hometown")}

FIELDS: dict[str, Field] = {
    **{name: Field(name, Kind.TEXT, doc) for name, doc in _TEXT_DOCS.items()},
    **{name: Field(name, Kind.DATE, doc) for name, doc in _DATE_DOCS.items()},
    **{name: Field(name, Kind.CONFIDENCE, doc) for name, doc in _WHOLE_CONFIDENCE.items()},
    **{field.name: field for fields in PLACES.values() for field in fields},
    _IMAGE.name: _IMAGE,
}


def confidence_of(name: str) -> Field:
    """The field that says how sure the endpoint is of another, 0 to 1."""
    return Field(f"{name}_confidence", Kind.CONFIDENCE, f"Confidence of {name}, 0 to 1")


def box_of(name: str) -> Field:
    """The field that says where on the image another was read."""
    return Field(f"{name}_box", Kind.BOX, f"Where {name} stands, in pixels of the image that was sent")
