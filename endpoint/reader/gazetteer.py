"""Printed places -> administrative units, from the tables of the vietnamadminunits package (MIT).

Only the package's data is used. Its parser looks for names anywhere in the address run
together and always processes on one; here a comma separates units, and what fits two
units, or none, stays unknown. The printed text is never rewritten.
"""

from __future__ import annotations

import gc
import json
import pickle
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from endpoint.ocr.values.normalize import nfc, plain

UNKNOWN_CODE = "-1"
_KIND = re.compile(
    r"^(thanh pho|tinh|quan|huyen|thi xa|phuong|thi tran|xa|tp|tx|tt|q|h|p|x)\b[. ]*(?=\S)", flags=re.IGNORECASE
)
_WARD_KIND = re.compile(r"^(phuong|thi tran|xa|p|x|tt)\b(?!$)")
"""What a ward calls itself, plain: no district is called so, and many wards of 2025 have the name of one."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One administrative unit: its full name, and its code as the wire writes it ("1", not "01")."""

    name: str
    code: str
    parts: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True)
class Located:
    """The units an address lies in; None where unknown or ambiguous."""

    town: Unit | None = None
    district: Unit | None = None
    ward: Unit | None = None


@lru_cache(maxsize=20_000)
def _short(text: str) -> str:
    """A unit's plain name without its kind: "Thị xã Thuận Thành" -> "thuan thanh"; a number keeps its kind."""
    whole = plain(text)
    bare = _KIND.sub("", whole)
    return whole if bare.isdigit() else bare


def _table(name: str) -> dict[str, Any]:
    spec = find_spec("vietnamadminunits")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the embedded endpoint needs the Python package vietnamadminunits")
    path = Path(spec.submodule_search_locations[0]) / "data" / name
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _unit(row: dict[str, Any], level: str, parts: Iterable[Unit] = ()) -> Unit:
    return Unit(nfc(row[level]), row[f"{level}Code"].lstrip("0"), tuple(parts))


def _wards(*tables: dict[str, Any]) -> tuple[Unit, ...]:
    named = [row for table in tables for row in table.values() if isinstance(row["ward"], str)]  # island districts: NaN
    return tuple({row["wardCode"]: _unit(row, "ward") for row in named}.values())


def _legacy() -> tuple[Unit, ...]:
    """The 63 provinces, three levels, as before July 2025: what almost every card in use prints."""
    table = _table("parser_legacy.json")
    wards = [table[f"DICT_PROVINCE_DISTRICT_WARD_{kind}"] for kind in ("NO_ACCENTED", "ACCENTED", "SHORT_ACCENTED")]

    def of(province: str, district: str) -> tuple[Unit, ...]:
        return _wards(*(by.get(province, {}).get(district, {}) for by in wards))

    return tuple(
        _unit(
            row,
            "province",
            (_unit(d, "district", of(province, key)) for key, d in table["DICT_PROVINCE_DISTRICT"][province].items()),
        )
        for province, row in table["DICT_PROVINCE"].items()
    )


def _from_2025() -> tuple[Unit, ...]:
    """The 34 provinces and their wards, two levels, since July 2025."""
    table = _table("parser_from_2025.json")
    wards = [table[f"DICT_PROVINCE_WARD_{kind}"] for kind in ("NO_ACCENTED", "ACCENTED", "SHORT_ACCENTED")]
    return tuple(
        _unit(row, "province", _wards(*(by.get(province, {}) for by in wards)))
        for province, row in table["DICT_PROVINCE"].items()
    )


class Gazetteer:
    """The units before and since the merger of 2025, by plain name. Opening takes 0.2 s; `locate` is a pure look-up."""

    def __init__(self) -> None:
        # made again to lie together: between the tables they would keep 12 MB of whole blocks from the system
        packed = pickle.dumps((_legacy(), _from_2025()))
        gc.collect()
        self.provinces, self.provinces_2025 = pickle.loads(packed)

    def locate(self, address: str) -> Located:
        """ "…, ward, district, province" -> its units, each only where exactly one fits all that is printed.

        "…, ward, province" of the units since 2025 is understood where the older ones know no such district.
        """
        segments = [segment for segment in (part.strip(" .") for part in nfc(address).split(",")) if segment]
        if not segments:
            return Located()
        older = _narrowed(self.provinces, segments[::-1])
        if older.district or len(segments) < 2:
            return older
        town = _only(_named(self.provinces_2025, segments[-1]))
        ward = _only(_named(town.parts, segments[-2])) if town else None
        return Located(town, None, ward) if ward else older


def _narrowed(provinces: Iterable[Unit], printed: Sequence[str]) -> Located:
    """The units named from the province down. A ward can process which of two districts of one name is meant."""
    town = _only(_named(provinces, printed[0]))
    if town is None or len(printed) < 2:
        return Located(town)
    districts = [] if _WARD_KIND.match(plain(printed[1])) else _named(town.parts, printed[1])
    if len(printed) < 3:
        return Located(town, _only(districts))
    pairs = [(district, ward) for district in districts for ward in _named(district.parts, printed[2])]
    if len(pairs) == 1:
        return Located(town, *pairs[0])
    return Located(town, _only(districts))


def _only(fits: Sequence[Unit]) -> Unit | None:
    return fits[0] if len(fits) == 1 else None


def _named(units: Iterable[Unit], printed: str) -> list[Unit]:
    """The units of that name: tone marks and kind process it where the plain names are the same."""
    fits = [unit for unit in units if _short(unit.name) == _short(printed)]
    letter = nfc(printed).lower()
    for same in (
        lambda unit: unit.name.lower() == letter,
        lambda unit: unit.name.lower().endswith(" " + letter),
        lambda unit: plain(unit.name) == plain(printed),
    ):
        fits = [unit for unit in fits if same(unit)] or fits
    return fits
