"""Cards read -> how well: fields, characters, zones, types, boxes, codes, warnings, and honesty of confidences.

Each image becomes one `Judged`, a line of JSON that can be kept; figures are pure functions of those.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rapidfuzz.distance import Levenshtein

from endpoint.answers import Card
from endpoint.mrz.decode import Zone
from schemas.documents import DOCUMENTS
from schemas.fields import PLACES
from specimens.drawing.draw import Box, Specimen

_PLACE_FIELDS = {item.name for fields in PLACES.values() for item in fields} | {"issued_at_town", "issued_at_code"}
EDGES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98)
"""Lower ends of the bins of the reliability table; the last one ends at 1."""


@dataclass(frozen=True, slots=True)
class FieldJudged:
    """One field: its true length, how many characters are wrong (0: right to the letter), how sure it was said to be.

    `text` and `value` are kept for the tuning half only: nobody reads single errors of the other.
    """

    name: str
    characters: int
    edits: int
    confidence: float | None
    text: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """One image read: of which condition and layout, and what was right. A missing card has every field wrong."""

    condition: str
    index: int
    layout: str
    document_type: str
    type_right: bool
    fields: tuple[FieldJudged, ...]
    zone_exact: bool | None
    laundered: bool
    codes: int
    codes_right: int
    overlaps: tuple[float, ...]
    warnings: tuple[str, ...]
    cpu_ms: float


def as_json(judged: Judged) -> dict[str, Any]:
    """For one line of a file."""
    return asdict(judged)


def from_json(line: dict[str, Any]) -> Judged:
    """What `as_json` wrote."""
    fields = tuple(FieldJudged(**item) for item in line["fields"])
    return Judged(
        **{**line, "fields": fields, "overlaps": tuple(line["overlaps"]), "warnings": tuple(line["warnings"])}
    )


def judged(
    specimen: Specimen, boxes: dict[str, Box], cards: Sequence[Card], zone: Zone | None, *, keep_text: bool
) -> dict[str, Any]:
    """What `Judged` holds but for where the image is from and its time."""
    card = next((card for card in cards if card.document_type == specimen.document_type), None)
    codes = _codes(specimen, card)
    return {
        "document_type": specimen.document_type,
        "type_right": card is not None and len(cards) == 1,
        "fields": tuple(_fields(specimen, card, keep_text)),
        "zone_exact": (zone is not None and zone.lines == specimen.zone) if specimen.zone else None,
        "laundered": bool(zone and zone.checked and _checked_part(zone.lines) != _checked_part(specimen.zone)),
        "codes": len(codes),
        "codes_right": sum(codes),
        "overlaps": tuple(round(share, 4) for share in _overlaps(boxes, card)),
        "warnings": tuple(sorted({code for card in cards for code in card.warnings})),
    }


def _checked_part(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines that check digits cover: all but the names'."""
    return lines[:2] if len(lines) == 3 else lines[1:]


def overlap(one: Box, other: list[int]) -> float:
    """Intersection over union of two boxes."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0, wide) * max(0, tall)
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return shared / max(1, areas - shared)


def _overlaps(boxes: dict[str, Box], card: Card | None) -> Iterable[float]:
    for name, box in boxes.items():
        read = card.info.get(f"{name}_box") if card else None
        if isinstance(read, list) and len(read) == 4:
            yield overlap(box, read)


def _fields(specimen: Specimen, card: Card | None, keep_text: bool) -> Iterable[FieldJudged]:
    for name, value in specimen.values.items():
        if value and name not in _PLACE_FIELDS:
            text = str(card.info.get(name, "")) if card else ""
            confidence = card.info.get(f"{name}_confidence") if card and text else None
            texts = (text, value) if keep_text else ("", "")
            edits = Levenshtein.distance(text, value)
            yield FieldJudged(name, len(value), edits, confidence if isinstance(confidence, float) else None, *texts)


def _codes(specimen: Specimen, card: Card | None) -> list[bool]:
    """Whether codes of units are right, where the place they come from was read right."""
    if card is None:
        return []
    names = {item.name for item in DOCUMENTS[specimen.document_type]}
    read = [of for of in PLACES if specimen.values.get(of) and card.info.get(of) == specimen.values[of]]
    codes = [item.name for of in read for item in PLACES[of] if item.name.endswith("_code") and item.name in names]
    return [card.info[name] == specimen.values[name] for name in codes]


def share(part: float, whole: float) -> float | None:
    """Part of whole; None where there is nothing to divide by."""
    return round(part / whole, 4) if whole else None


def figures(images: Sequence[Judged]) -> dict[str, Any]:
    """Counts and shares over some images; every share has its n beside it."""
    fields = [(image, field) for image in images for field in image.fields]
    zones = [image.zone_exact for image in images if image.zone_exact is not None]
    overlaps = [part for image in images for part in image.overlaps]
    times = sorted(image.cpu_ms for image in images)
    wrong = Counter(f"{image.document_type}.{field.name}" for image, field in fields if field.edits)
    return {
        "n": len(images),
        "type_right": share(sum(image.type_right for image in images), len(images)),
        "fields": len(fields),
        "fields_exact": share(sum(not field.edits for _, field in fields), len(fields)),
        "cer": share(sum(field.edits for _, field in fields), sum(field.characters for _, field in fields)),
        "zones": len(zones),
        "mrz_exact": share(sum(zones), len(zones)),
        "mrz_laundered": sum(image.laundered for image in images),
        "codes": sum(image.codes for image in images),
        "codes_right": share(sum(image.codes_right for image in images), sum(p.codes for p in images)),
        "box_iou": share(sum(overlaps), len(overlaps)),
        "ms_median": round(median(times)),
        "ms_p95": round(times[int(0.95 * (len(times) - 1))]),
        "warnings": dict(sorted(Counter(code for image in images for code in image.warnings).items())),
        "wrong": dict(wrong.most_common(12)),
    }


def grouped(images: Iterable[Judged], key: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    """Images by condition, layout or type, in the order they come."""
    groups: dict[str, list[Judged]] = {}
    for image in images:
        groups.setdefault(key(image), []).append(image)
    return groups


def reliability(images: Iterable[Judged]) -> list[dict[str, Any]]:
    """By confidence: how many fields, how sure they were said to be, how many of them right to the letter."""
    bins: dict[int, list[FieldJudged]] = {}
    for image in images:
        for field in image.fields:
            if field.confidence is not None:
                bins.setdefault(bisect_right(EDGES, field.confidence) - 1, []).append(field)
    return [
        {
            "from": EDGES[index],
            "to": (*EDGES[1:], 1.0)[index],
            "n": len(held),
            "said": share(sum(field.confidence or 0.0 for field in held), len(held)),
            "right": share(sum(not field.edits for field in held), len(held)),
        }
        for index, held in sorted(bins.items())
    ]
