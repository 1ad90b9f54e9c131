"""Values that cannot be whole or right as they are read, however sure each of their words is.

Tesseract is sure of the words it has, and says nothing of those it lost: "MỸ THẢO" has no surname, "Khánh, Cao Bằng"
no district. A doubt lowers a confidence and changes no text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise, product

from rapidfuzz import fuzz

from endpoint.ocr.values.normalize import nfc
from endpoint.reader.gazetteer import Gazetteer
from endpoint.reader.warning_codes import is_number_12

DOUBTED = 0.5
"""What the confidence of a doubtful value is multiplied by."""
NEARLY = 55.0
"""How alike a text may be to an authority's name, 0 to 100, so that it is meant for it."""
_AUTHORITIES = (
    "CỤC CẢNH SÁT ĐKQL CƯ TRÚ VÀ DLQG VỀ DÂN CƯ",
    "CỤC CẢNH SÁT QUẢN LÝ HÀNH CHÍNH VỀ TRẬT TỰ XÃ HỘI",
    "Cục Quản lý xuất nhập cảnh",
    "BỘ CÔNG AN",
)
_POLICE_OF = re.compile(r"(?:ca|công an)\W+(?:tỉnh|thành phố|tp)\W+(.+)")
_CAPITALISED = frozenset(("name", "full_name", "hometown", "address", "identification_sign", "issued_at", "religious"))
"""Fields whose text begins with a capital or a number: where it does not, its front is lost."""
_PAST, _WIRE_DAY = ("dob", "issue_date"), re.compile(r"(\d\d)-(\d\d)-(\d{4})")
_RULED_DIGITS = 6
"""Province, century with gender, and year; what follows is any number."""
_STRAY = re.compile(r"[|\[\]{}<>~_=*^\"“”‘’†‡¿¡§¤•#]|(?<!\w)'|'(?!\w)|[.,;:]\s*[.,;:]")
"""Signs that no field has: what is left of a pattern or a rim."""


@lru_cache(maxsize=1)
def _words() -> dict[str, frozenset[str]]:
    lists = json.loads((files("endpoint") / "data" / "words.json").read_text(encoding="utf-8"))
    return {name: frozenset(nfc(word).lower() for word in words) for name, words in lists.items()}


def is_doubtful(document_type: str, field: str, value: str, gazetteer: Gazetteer, *, today: date = date.max) -> bool:
    """Whether the value of a field of a type lacks a part that it must have, or has one that it cannot have.

    A day of birth or of issue after `today` is of another field.
    """
    if not value:
        return False
    if field in _PAST:
        found = _WIRE_DAY.fullmatch(value)  # compared as text: a code may hold a day that no month has
        return found is not None and "-".join(found.groups()[::-1]) > today.isoformat()
    check = _CHECKS.get(field)
    if field in _CAPITALISED and not (value[0].isupper() or value[0].isdigit()):
        return True
    if any(one.islower() and other.isupper() for one, other in pairwise(value)):  # "KhU phố": a letter misread
        return True
    return _STRAY.search(value) is not None or (check is not None and check(document_type, nfc(value), gazetteer))


def is_misread(number: str, dob: str, gender: str) -> bool:
    """Whether a 12-digit number breaks its rules, and would not if some of its 5s were 3s with a flat top."""
    fives = [index for index, digit in enumerate(number) if digit == "5" and index < _RULED_DIGITS]
    if len(number) != 12 or not fives or is_number_12(number, dob, gender):
        return False
    ways = product((False, True), repeat=len(fives))
    threes = ({index for index, is_three in zip(fives, way, strict=True) if is_three} for way in ways)
    spelled = ("".join("3" if index in of else digit for index, digit in enumerate(number)) for of in threes)
    return any(is_number_12(one, dob, gender) for one in spelled)


def _has_no_surname(_: str, name: str, __: Gazetteer) -> bool:
    words = name.lower().split()
    return len(words) < 2 or words[0] not in _words()["surnames"]


def _lacks_units(_: str, place: str, gazetteer: Gazetteer) -> bool:
    """Whether a place does not name its units to the letter, from the ward or the district on."""
    units = gazetteer.locate(place)
    segments = {segment.strip(" .").lower() for segment in place.split(",")}
    if units.town is None or (units.district is None and units.ward is None):
        return True
    named = [unit for unit in (units.town, units.district, units.ward) if unit]
    if not all(any(_is_named(nfc(unit.name).lower(), segment) for segment in segments) for unit in named):
        return True
    return units.ward is None and len(segments) > 2


def _is_named(unit: str, segment: str) -> bool:
    return (
        unit == segment
        or unit.endswith(f" {segment}")
        or segment.endswith(f" {unit}")
        or unit == f"thành phố {segment}"
    )


def _is_no_province(_: str, place: str, gazetteer: Gazetteer) -> bool:
    town = gazetteer.locate(place.rsplit(",", 1)[-1]).town
    return town is None or not _is_named(nfc(town.name).lower(), place.rsplit(",", 1)[-1].strip(" .").lower())


def _is_unlisted(words: str) -> Callable[[str, str, Gazetteer], bool]:
    return lambda _, value, __: value.lower() not in _words()[words]


def _is_no_authority(document_type: str, text: str, gazetteer: Gazetteer) -> bool:
    if document_type == "9_id_card_back":
        found = _POLICE_OF.fullmatch(text.lower())
        return found is None or _is_no_province("", found.group(1), gazetteer)
    if len(text.split()) < 3 or (document_type == "12_id_card_back" and text not in _AUTHORITIES):
        return True
    return max(fuzz.ratio(text, name) for name in _AUTHORITIES) >= NEARLY and text not in _AUTHORITIES


_CHECKS: dict[str, Callable[[str, str, Gazetteer], bool]] = {
    "name": _has_no_surname,
    "full_name": _has_no_surname,
    "hometown": _lacks_units,
    "address": _lacks_units,
    "place_of_birth": _is_no_province,
    "ethnicity": _is_unlisted("ethnic_groups"),
    "religious": _is_unlisted("religions"),
    "nationality": lambda _, value, __: value.lower() != "việt nam",
    "issued_at": _is_no_authority,
    "identification_sign": lambda _, value, __: value[0].isdigit(),
}
