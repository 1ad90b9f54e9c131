"""What a card says for machines: how many zones are exact and how many QR codes are read, by how the image was taken.

`python -m benchmarks.reading_marks`. Only layouts that have one are drawn, plain and hard, and read whole as the
endpoint reads them. A code counts as wide as its white square; zones count that are wholly on the image.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import median

import numpy as np

from benchmarks.reading import ALL_CONDITIONS, HALVES, Half
from endpoint.imaging.decode import Pixels, open_sheets
from endpoint.imaging.geometry import Corners
from endpoint.mrz.formats import FORMATS
from endpoint.reader.card_reader import CardReader
from endpoint.reader.gazetteer import Gazetteer
from endpoint.reader.qr_code import parse_code
from specimens.drawing import layouts, real_layouts
from specimens.drawing.disturb import disturbed
from specimens.drawing.draw import Box, code_text, draw, hard_style, random_style
from specimens.drawing.layouts import Layout
from specimens.people import someone

PLAIN = tuple(layout for layout in layouts.LAYOUTS if layout.zone_y or layout.code)
HARD = tuple(layout for layout in real_layouts.HARD_LAYOUTS if layout.zone_y or layout.code)
CODED = tuple(layout for layout in HARD if layout.code)
"""A plain card with a code is one of these without guilloche and wear."""
CONDITIONS = (
    "table", "angle", "turned 5", "turned 5 within", "phone",
    "hard scan", "hard angle", "hard turned 5", "hard turned 5 within",
    "hard phone", "hard glare", "hard jpeg", "hard small", "hard large",
)  # fmt: skip
WIDE_PX = 120
"""A code of so many pixels on the image sent is one that must be read."""


@dataclass(frozen=True, slots=True)
class Marked:
    """One image: whether its zone is exact or has a wrong cell under check digits that hold; its code's width."""

    zone_exact: bool | None
    is_zone_false: bool
    code_px: float
    code_read: bool | None
    warnings: tuple[str, ...]
    cpu_ms: float


def mark(reader: CardReader, gazetteer: Gazetteer, half: Half, condition: str, index: int) -> Marked:
    """Draw, disturb, read and judge one image."""
    random = Random(f"{half.seed}/{condition}/marks/{index}")
    is_hard = condition.startswith("hard")
    some = HARD if is_hard else PLAIN + CODED
    layout, person = some[index % len(some)], someone(random, gazetteer, half.words)
    style = (hard_style if is_hard else random_style)(random, half.faces)
    specimen = draw(layout, person, style)
    marks = {**_corners("code", layout.code, style.scale), **_corners("zone", _zone_box(layout), style.scale)}
    image, moved = disturbed(replace(specimen, boxes=marks), ALL_CONDITIONS[condition], random)
    started = time.process_time()
    (sheet,) = open_sheets(image)
    reads = list(reader.read_sheet(sheet))
    warnings = {code for read in reads for code in reader.card(read, get_thumb=False).warnings}
    cpu_ms = (time.process_time() - started) * 1000
    zone = next((read.zone for read in reads if read.zone), None)
    exact = zone is not None and zone.lines == specimen.zone
    code = parse_code(code_text(person)) if layout.code else None
    is_seen = _is_within(_points(moved, "zone") / sheet.scale, sheet.pixels)
    return Marked(
        zone_exact=exact if specimen.zone and is_seen else None,
        is_zone_false=bool(zone and zone.checked and not exact),
        code_px=_wide(_points(moved, "code")),
        code_read=any(read.code == code for read in reads) if layout.code else None,
        warnings=tuple(sorted(warnings)),
        cpu_ms=cpu_ms,
    )


def _zone_box(layout: Layout) -> Box | None:
    """Where `draw` puts the zone's glyphs: across all but 4 % of each side, lines 56 apart."""
    if layout.zone_y is None:
        return None
    masks = FORMATS[layout.document_type].masks
    tall = 0.96 * 920 / len(masks[0]) / 0.602
    return 40, layout.zone_y, 960, round(layout.zone_y + 56 * (len(masks) - 1) + tall)


def _corners(name: str, box: Box | None, scale: float) -> dict[str, Box]:
    """The box's corners as boxes of no size, so that they come back as points however the image lies."""
    if box is None:
        return {}
    left, top, right, bottom = (round(side * scale) for side in box)
    around = ((left, top), (right, top), (right, bottom), (left, bottom))
    return {f"{name} {index}": (x, y, x, y) for index, (x, y) in enumerate(around)}


def _points(boxes: dict[str, Box], name: str) -> Corners:
    return np.array([box[:2] for key, box in boxes.items() if key.startswith(name)], dtype=np.float64).reshape(-1, 2)


def _wide(corners: Corners) -> float:
    """Mean length of its sides, pixels."""
    return float(np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1).mean()) if len(corners) else 0.0


def _is_within(corners: Corners, image: Pixels) -> bool:
    return bool((corners >= 0).all() and (corners <= image.shape[1::-1]).all())


def row(name: str, marks: Sequence[Marked]) -> str:
    """One line of the table."""
    zones = [one.zone_exact for one in marks if one.zone_exact is not None]
    wide, small = (
        [one.code_read for one in marks if one.code_read is not None and (one.code_px >= WIDE_PX) == is_wide]
        for is_wide in (True, False)
    )
    raised = ", ".join(
        f"{code}: {sum(code in one.warnings for one in marks)}"
        for code in sorted({code for one in marks for code in one.warnings})
    )
    cells = (
        name, len(marks), _of(zones), sum(one.is_zone_false for one in marks), _of(wide), _of(small), raised,
        round(median(one.cpu_ms for one in marks)),
    )  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _of(found: Sequence[bool | None]) -> str:
    return f"{sum(map(bool, found))} of {len(found)}" if found else ""


def rows(half: Half, conditions: Sequence[str], count: int) -> Iterator[str]:
    """The table, a line as soon as it is measured."""
    reader, gazetteer = CardReader(), Gazetteer()
    yield f"| taken how | images | zones exact | false | codes from {WIDE_PX} px | narrower | warnings | CPU ms |"
    yield "| --- " * 8 + "|"
    everything: list[Marked] = []
    for condition in conditions:
        marks = [mark(reader, gazetteer, half, condition, index) for index in range(count)]
        everything += marks
        yield row(condition, marks)
    yield row("all", everything)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading_marks", description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="images a condition; the layouts take turns")
    parser.add_argument("--half", choices=sorted(HALVES), default="unseen")
    parser.add_argument("--conditions", default=",".join(CONDITIONS), help="comma-separated")
    options = parser.parse_args(argv)
    for line in rows(HALVES[options.half], options.conditions.split(","), options.count):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
