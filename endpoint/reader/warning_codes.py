"""What is wrong with a card, as the contract's warning codes, whose own order is from worst to least."""

from __future__ import annotations

from collections.abc import Set
from datetime import date

PROVINCE_CODES = frozenset(
    f"{code:03d}"
    for code in (
        1, 2, 4, 6, 8, 10, 11, 12, 14, 15, 17, 19, 20, 22, 24, 25, 26, 27, 30, 31, 33,
        34, 35, 36, 37, 38, 40, 42, 44, 45, 46, 48, 49, 51, 52, 54, 56, 58, 60, 62, 64, 66,
        67, 68, 70, 72, 74, 75, 77, 79, 80, 82, 83, 84, 86, 87, 89, 91, 92, 93, 94, 95, 96,
    )
)  # fmt: skip
"""Provinces in 12-digit numbers (Circular 59/2021/TT-BCA, annex I)."""
ID_FORMAT = "3"
_MIN_CONFIDENCE = {"id": 0.97, "dob": 0.9}
NUMBERED = ("12_id_card_front", "chip_id_card_front")
"""Types whose number follows rules that can be checked."""


def warnings_of(document_type: str, info: dict[str, object], flags: Set[str]) -> tuple[str, ...]:
    """The codes found, worst first: what the pixels show (`flags`), and a number that breaks the rules."""
    return tuple(sorted(flags | _number_warnings(document_type, info)))


def _number_warnings(document_type: str, info: dict[str, object]) -> Set[str]:
    """A slip of reading breaks the rules more often than a false card does: all digits and the birth must be sure."""
    number, dob, gender = (str(info.get(name, "")) for name in ("id", "dob", "gender"))
    sure = all(float(str(info.get(f"{name}_confidence", 0.0))) >= least for name, least in _MIN_CONFIDENCE.items())
    if document_type not in NUMBERED or not sure or len(number) != 12 or is_number_12(number, dob, gender):
        return frozenset()
    return {ID_FORMAT}


def is_number_12(number: str, dob: str, gender: str) -> bool:
    """Whether a 12-digit number follows the rules: province, century and gender, year of birth.

    What was not read of date and gender is not compared.
    """
    if len(number) != 12 or not number.isdigit() or number[:3] not in PROVINCE_CODES:
        return False
    century, female = divmod(int(number[3]), 2)
    year = 1900 + 100 * century + int(number[4:6])
    born = int(dob[-4:]) if dob[-4:].isdigit() else None
    text = {"nam": 0, "nữ": 1}.get(gender)
    return (born is None or born == year) and (text is None or text == female) and year <= date.max.year
