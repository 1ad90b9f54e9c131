"""Readings -> the `info` of a response: every field of the type's contract, in wire form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from endpoint.mrz.decode import Holder, Zone
from endpoint.ocr.calibration import calibrated
from endpoint.ocr.card_templates import Side
from endpoint.ocr.value_words import Box, Reading
from endpoint.ocr.values.normalize import plain
from endpoint.ocr.values.numbers import limited
from endpoint.reader.doubts import DOUBTED, is_doubtful, is_misread
from endpoint.reader.gazetteer import UNKNOWN_CODE, Gazetteer
from endpoint.reader.qr_code import CardCode
from endpoint.reader.warning_codes import NUMBERED
from schemas.documents import DOCUMENTS
from schemas.fields import PLACES, Kind


def wire_date(day: date | None) -> str:
    """A day as the contract's responses write it; "" where unknown."""
    return f"{day:%d-%m-%Y}" if day else ""


CODED = ("chip_id_card_front",)
"""Types on which the QR code's particulars are fields of the print, too."""
SURE_OF_CODE = 0.99
_FROM_ZONE: dict[str, Callable[[Holder], str]] = {
    "country": lambda h: h.country,
    "nationality": lambda h: h.nationality,
    "document_number": lambda h: h.document_number,
    "person_number": lambda h: h.person_number,
    "dob": lambda h: wire_date(h.dob),
    "due_date": lambda h: wire_date(h.due_date),
    "gender": lambda h: h.gender,
    "sur_name": lambda h: h.sur_name,
    "given_name": lambda h: h.given_name,
}
"""Fields a machine-readable zone gives where the card's print does not."""
_CHECKED_BY_ZONE = {"id": "document_number", **{name: name for name in ("dob", "due_date", "person_number")}}
"""Fields of a passport's print that stand in its zone with a check digit, and their names there."""
_AS_PRINTED: dict[tuple[str, str], str] = {
    ("gender", "M"): "nam", ("gender", "F"): "nữ", ("nationality", "VNM"): "VIỆT NAM",
}  # fmt: skip
"""What a passport prints for what its zone says."""


def fill_info(
    side: Side,
    readings: dict[str, Reading],
    zone: Zone | None,
    gazetteer: Gazetteer,
    *,
    code: CardCode | None = None,
    today: date = date.max,
    to_sent: Callable[[Box], Box],
) -> dict[str, object]:
    """Every contract field of the side's type, empty where not read.

    `today` tells days to come. `to_sent` takes boxes back to the image sent.
    """
    text = {**dict(side.fixed), **{name: reading.value for name, reading in readings.items()}}
    coded = _code_fields(side.document_type, code)
    coded |= _checked_by_zone(side.document_type, zone)
    printed, text = text, {**text, **coded}
    text |= _zone_fields(side.document_type, text, zone)
    text |= _place_fields(text, gazetteer)
    text |= _issuer_fields(side.document_type, text, gazetteer)
    info: dict[str, object] = {}
    for field in DOCUMENTS[side.document_type]:
        of = field.name.removesuffix("_confidence").removesuffix("_box")
        if field.kind is Kind.CONFIDENCE:
            sure = _confidence(field.name, of, readings, zone)
            if of in readings and is_doubtful(side.document_type, of, readings[of].value, gazetteer, today=today):
                sure = round(sure * DOUBTED, 4)
            if of == "full_name" and of in readings and _is_other_name(side.document_type, readings[of].value, zone):
                sure = round(sure * DOUBTED, 4)
            if of in coded:
                sure = _code_confidence(printed.get(of, ""), coded[of], sure)
            if of == "id" and side.document_type in NUMBERED and of not in coded:
                sure = sure * DOUBTED if is_misread(*(text.get(name, "") for name in ("id", "dob", "gender"))) else sure
            is_number = of in ("id", "person_number") and text.get(of)
            info[field.name] = limited(side.document_type, text[of], sure, field=of) if is_number else sure
        elif field.kind is Kind.BOX:
            info[field.name] = [max(0, round(side)) for side in to_sent(readings[of].box)] if of in readings else []
        else:
            info[field.name] = text.get(field.name, UNKNOWN_CODE if field.name.endswith("_code") else "")
    return info


def _code_fields(document_type: str, code: CardCode | None) -> dict[str, str]:
    """What the QR code says of the fields that this side prints: it wins over the print."""
    if code is None or document_type not in CODED:
        return {}
    wanted = {field.name for field in DOCUMENTS[document_type]}
    return {name: value for name, value in code.fields.items() if name in wanted}


def _checked_by_zone(document_type: str, zone: Zone | None) -> dict[str, str]:
    """A passport's numbers and days stand in its zone, too, there with check digits: it wins over the print."""
    if document_type != "passport" or zone is None or not zone.checked:
        return {}
    given = {name: _FROM_ZONE[of](zone.holder) for name, of in _CHECKED_BY_ZONE.items()}
    return {name: value for name, value in given.items() if value}


def _is_other_name(document_type: str, name: str, zone: Zone | None) -> bool:
    """Whether a passport's zone says another name than the print, tone marks aside."""
    if document_type != "passport" or zone is None or not zone.checked:
        return False
    return plain(name) != plain(f"{zone.holder.sur_name} {zone.holder.given_name}")


def _code_confidence(printed: str, coded: str, sure: float) -> float:
    """A code that was read is whole; where the print was surely read as something else, one of them is of another."""
    if not printed or plain(printed) == plain(coded):
        return SURE_OF_CODE
    return round(SURE_OF_CODE - 0.4 * sure, 4)


def _zone_fields(document_type: str, text: dict[str, str], zone: Zone | None) -> dict[str, str]:
    if zone is None or not zone.checked:  # check digits that fail leave no field that can be believed
        return {}
    wanted = {field.name for field in DOCUMENTS[document_type]}
    given = {name: of(zone.holder) for name, of in _FROM_ZONE.items() if name in wanted and not text.get(name)}
    if document_type == "passport":
        given = {name: _AS_PRINTED.get((name, value), value) for name, value in given.items()}
    return given


def _place_fields(text: dict[str, str], gazetteer: Gazetteer) -> dict[str, str]:
    """Town, district and ward of the printed places; the print itself is never touched."""
    placed: dict[str, str] = {}
    for of in PLACES:
        units = gazetteer.locate(text.get(of, ""))
        for level in ("town", "district", "ward"):
            unit = getattr(units, level)
            placed[f"{of}_{level}"] = unit.name if unit else ""
            placed[f"{of}_{level}_code"] = unit.code if unit else UNKNOWN_CODE
    return placed


def _issuer_fields(document_type: str, text: dict[str, str], gazetteer: Gazetteer) -> dict[str, str]:
    if document_type == "9_id_card_back":
        town = gazetteer.locate(_province_of(text.get("issued_at", ""))).town
        return {"issued_at_town": town.name, "issued_at_code": town.code} if town else {}
    return {}


def _province_of(authority: str) -> str:
    """ "CA TỈNH BẮC NINH", "CÔNG AN TP. HÀ NỘI" -> the province's name."""
    words = authority.split()
    skipped = {"ca", "cong", "an"}
    while words and plain(words[0]) in skipped:
        words = words[1:]
    return " ".join(words)


def _confidence(name: str, of: str, readings: dict[str, Reading], zone: Zone | None) -> float:
    if name == "mrz_confidence":
        return zone.confidence if zone else 0.0
    if name == "confidence":
        sures = [calibrated(reading) for reading in readings.values()]
        return round(sum(sures) / len(sures), 4) if sures else 0.0
    return calibrated(readings[of], is_number=of == "id") if of in readings else 0.0
