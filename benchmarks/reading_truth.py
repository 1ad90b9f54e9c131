"""Cards read -> how well: fields, characters, zones, types, boxes, codes, warnings, and honesty of confidences."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from endpoint.reader import Card
from endpoint.specimens.draw import Box, Specimen
from schemas.documents import DOCUMENTS
from schemas.fields import PLACES

_PLACE_FIELDS = {item.name for fields in PLACES.values() for item in fields} | {"issued_at_town", "issued_at_code"}
EDGES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98)
"""Lower ends of the bins of the reliability table; the last one ends at 1."""


@dataclass(slots=True)
class Tally:
    """Counts over the pictures of one condition; every share below has its n in it."""

    pictures: int = 0
    types: int = 0
    fields: int = 0
    exact: int = 0
    characters: int = 0
    edits: int = 0
    zones: int = 0
    zones_exact: int = 0
    zones_laundered: int = 0
    codes: int = 0
    codes_right: int = 0
    overlaps: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    warnings: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    reliability: dict[int, list[int]] = field(default_factory=dict)


def overlap(one: Box, other: list[int]) -> float:
    """Intersection over union of two boxes."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0, wide) * max(0, tall)
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return shared / max(1, areas - shared)


def add(
    tally: Tally, specimen: Specimen, boxes: dict[str, Box], cards: list[Card], zone: tuple[str, ...] | None
) -> None:
    """Count one picture. A missing card, or one of another type, has every field wrong."""
    tally.pictures += 1
    card = next((card for card in cards if card.document_type == specimen.document_type), None)
    tally.types += card is not None and len(cards) == 1
    for code in {code for card in cards for code in card.warnings}:
        tally.warnings[code] = tally.warnings.get(code, 0) + 1
    _add_fields(tally, specimen, card)
    _add_codes(tally, specimen, card)
    if specimen.zone:
        tally.zones += 1
        tally.zones_exact += zone == specimen.zone
    for name, box in boxes.items():
        read = card.info.get(f"{name}_box") if card else None
        if isinstance(read, list) and len(read) == 4:
            tally.overlaps.append(overlap(box, read))


def _add_fields(tally: Tally, specimen: Specimen, card: Card | None) -> None:
    for name, value in specimen.values.items():
        if not value or name in _PLACE_FIELDS:
            continue
        said = str(card.info.get(name, "")) if card else ""
        tally.fields += 1
        tally.exact += said == value
        tally.characters += len(value)
        tally.edits += Levenshtein.distance(said, value)
        if said != value:
            key = f"{specimen.document_type}.{name}"
            tally.wrong[key] = tally.wrong.get(key, 0) + 1
        confidence = card.info.get(f"{name}_confidence") if card else None
        if isinstance(confidence, float) and said:
            counts = tally.reliability.setdefault(bisect_right(EDGES, confidence) - 1, [0, 0])
            counts[0] += 1
            counts[1] += said == value


def _add_codes(tally: Tally, specimen: Specimen, card: Card | None) -> None:
    """Codes of units, counted where the place they come from was read right."""
    if card is None:
        return
    names = {item.name for item in DOCUMENTS[specimen.document_type]}
    for of, fields in PLACES.items():
        if of in specimen.values and specimen.values[of] and card.info.get(of) == specimen.values[of]:
            for item in fields:
                if item.name.endswith("_code") and item.name in names:
                    tally.codes += 1
                    tally.codes_right += card.info[item.name] == specimen.values[item.name]
