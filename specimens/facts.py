"""Person -> what a card of each type says: the truth of every text and date field, in the contract's wire forms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from endpoint.mrz.decode import Holder
from endpoint.ocr.values.normalize import plain
from endpoint.reader.gazetteer import UNKNOWN_CODE
from schemas.documents import DOCUMENTS
from schemas.fields import PLACES, Kind
from specimens.people import Person, Place

CHIP_ISSUER = "CỤC CẢNH SÁT QUẢN LÝ HÀNH CHÍNH VỀ TRẬT TỰ XÃ HỘI"
CHIP_ISSUER_2024 = "BỘ CÔNG AN"
POLICE_12 = "CỤC CẢNH SÁT ĐKQL CƯ TRÚ VÀ DLQG VỀ DÂN CƯ"
PASSPORT_OFFICE = "Cục Quản lý xuất nhập cảnh"


def wire(day: date) -> str:
    """A date as the contract's responses write it."""
    return f"{day:%d-%m-%Y}"


def _province(person: Person) -> str:
    town = person.hometown.units.town
    return town.name if town else ""


def _town_code(person: Person) -> str:
    town = person.hometown.units.town
    return town.code if town else UNKNOWN_CODE


def _sex(person: Person) -> str:
    return "M" if person.gender == "nam" else "F"


def _bare_province(person: Person) -> str:
    return person.hometown.printed.rsplit(", ", 1)[-1]


Fact = Callable[[Person], str]

COMMON: dict[str, Fact] = {
    "id": lambda p: p.number_12,
    "name": lambda p: p.name.upper(),
    "full_name": lambda p: p.name.upper(),
    "dob": lambda p: wire(p.dob),
    "gender": lambda p: p.gender,
    "nationality": lambda p: "Việt Nam",
    "hometown": lambda p: p.hometown.printed,
    "address": lambda p: p.address.printed,
    "issue_date": lambda p: wire(p.issued),
    "due_date": lambda p: wire(p.expires),
    "ethnicity": lambda p: p.ethnicity,
    "religious": lambda p: p.religion,
    "identification_sign": lambda p: p.mark,
    "blood_type": lambda p: p.blood_type,
    "unit": lambda p: p.unit,
    "rank": lambda p: p.rank,
    "class": lambda p: p.licence_class,
    "place_of_birth": _bare_province,
}
"""What a field says where its type says nothing else."""

BY_TYPE: dict[str, dict[str, Fact]] = {
    "9_id_card_front": {"id": lambda p: p.number_9},
    "9_id_card_back": {
        "issued_at": lambda p: f"CA {_province(p)}".upper(),
        "issued_at_town": _province,
        "issued_at_code": _town_code,
    },
    "12_id_card_back": {"issued_at": lambda p: POLICE_12},
    "chip_id_card_back": {
        "issued_at": lambda p: CHIP_ISSUER,
        "country": lambda p: "VNM",
        "nationality": lambda p: "VNM",
        "document_number": lambda p: p.number_12[3:],
        "person_number": lambda p: p.number_12,
        "gender": _sex,
        "sur_name": lambda p: latin(p.name).split()[0],
        "given_name": lambda p: " ".join(latin(p.name).split()[1:]),
    },
    "driving_license": {"id": lambda p: p.licence_number, "nationality": lambda p: "VIỆT NAM"},
    "passport": {
        "id": lambda p: p.passport_number,
        "nationality": lambda p: "VIỆT NAM",
        "country": lambda p: "VNM",
        "person_number": lambda p: p.number_12,
        "issued_at": lambda p: PASSPORT_OFFICE,
        "sur_name": lambda p: latin(p.name).split()[0],
        "given_name": lambda p: " ".join(latin(p.name).split()[1:]),
    },
    "military_id_card_front": {"id": lambda p: p.army_number},
    "officer_id_card_front": {"id": lambda p: p.army_number},
}
"""What a type says in its own way."""

NOT_ON_2024: dict[str, tuple[str, ...]] = {
    "chip_id_card_front": ("hometown", "address", "due_date"),
    "chip_id_card_back": ("identification_sign",),
}
"""Fields of the chip card's contract that the 2024 card ("Căn cước") no longer prints on that side."""


def facts(person: Person, document_type: str, variant: str) -> dict[str, str]:
    """Every text and date field of the type; "" and "-1" for what the variant does not print."""
    own = BY_TYPE.get(document_type, {})
    absent = NOT_ON_2024.get(document_type, ()) if variant == "2024" else ()
    text = dict(_places(person, absent))
    for field in DOCUMENTS[document_type]:
        if field.kind in (Kind.TEXT, Kind.DATE) and field.name not in text:
            text[field.name] = "" if field.name in absent else {**COMMON, **own}[field.name](person)
    if document_type == "chip_id_card_back" and variant == "2024":
        text["issued_at"] = CHIP_ISSUER_2024
    wanted = {field.name for field in DOCUMENTS[document_type]}
    return {name: value for name, value in text.items() if name in wanted}


def holder(person: Person, document_type: str) -> Holder:
    """What the machine-readable zone of a chip card's back or a passport says of the person."""
    surname, *given = latin(person.name).split()
    number = person.number_12[3:] if document_type == "chip_id_card_back" else person.passport_number
    return Holder(
        country="VNM",
        nationality="VNM",
        document_number=number,
        person_number=person.number_12,
        dob=person.dob,
        due_date=person.expires,
        gender=_sex(person),
        sur_name=surname,
        given_name=" ".join(given),
    )


def latin(name: str) -> str:
    """A name as machine-readable zones write it: capitals without marks, Đ as D."""
    return plain(name).upper()


def _places(person: Person, absent: tuple[str, ...]) -> dict[str, str]:
    printed: dict[str, Place] = {"hometown": person.hometown, "address": person.address}
    text: dict[str, str] = {}
    for of in PLACES:
        for level in ("town", "district", "ward"):
            unit = None if of in absent else getattr(printed[of].units, level)
            text[f"{of}_{level}"] = unit.name if unit else ""
            text[f"{of}_{level}_code"] = unit.code if unit else UNKNOWN_CODE
    return text
