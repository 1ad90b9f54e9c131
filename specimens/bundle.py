"""The bundled cards: what lies in `cards/`, by name, and the truth of each in `truth.json`.

Fronts and backs of one number are of one person, so that they pair. What is bad is bad on purpose.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from endpoint.reader.gazetteer import Gazetteer
from specimens.drawing.draw import Specimen, Style, draw, random_style
from specimens.drawing.layouts import CHIP_BACK_2021, CHIP_BACK_2024, CHIP_FRONT_2021, CHIP_FRONT_2024, PASSPORT, Layout
from specimens.people import TUNING, Person, someone

SEED = 20261122
FACES = ("liberation-sans", "dejavu-sans", "noto-sans")
TRUTH = "truth.json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One drawn file: its name, layout, which person (by number) it is of."""

    name: str
    layout: Layout
    person: int


WANTED: tuple[Wanted, ...] = (
    Wanted("chip-front-01.jpg", CHIP_FRONT_2021, 1),
    Wanted("chip-back-01.jpg", CHIP_BACK_2021, 1),
    Wanted("chip-front-02.jpg", CHIP_FRONT_2021, 2),
    Wanted("chip-back-02.jpg", CHIP_BACK_2021, 2),
    Wanted("chip-front-03.jpg", CHIP_FRONT_2021, 3),
    Wanted("chip-back-03.jpg", CHIP_BACK_2021, 3),
    Wanted("chip-front-04.jpg", CHIP_FRONT_2024, 4),
    Wanted("chip-back-04.jpg", CHIP_BACK_2024, 4),
    Wanted("chip-front-05.jpg", CHIP_FRONT_2024, 5),
    Wanted("chip-back-05.jpg", CHIP_BACK_2024, 5),
    Wanted("chip-front-06.png", CHIP_FRONT_2021, 6),
    Wanted("chip-back-06.jpg", CHIP_BACK_2021, 6),
    Wanted("passport-01.jpg", PASSPORT, 1),
    Wanted("passport-02.jpg", PASSPORT, 7),
    Wanted("passport-03.jpg", PASSPORT, 8),
    Wanted("passport-04.jpg", PASSPORT, 9),
)
PDF_NAME = "chip-both-sides-07.pdf"
COPY_NAME, COPIED = "copy-of-chip-front-01.jpg", "chip-front-01.jpg"

BAD: dict[str, Callable[[bytes], bytes]] = {
    "bad-text.jpg": lambda _: b"This is a text file that someone named .jpg.\n",
    "bad-truncated.jpg": lambda good: good[: len(good) // 3],
    "bad-empty.jpg": lambda _: b"",
    "bad-blank.jpg": lambda _: encoded(Image.new("RGB", (1000, 630), (246, 246, 244)), ".jpg"),
}
"""Files that are not, or hold no, card: name -> what is in them, given the bytes of a good one."""


def draw_bundle(folder: Path) -> list[str]:
    """Draws every bundled file and the truth into the folder (made if need be); returns the names written."""
    folder.mkdir(parents=True, exist_ok=True)
    random, gazetteer = Random(SEED), Gazetteer()
    people = {number: someone(random, gazetteer, TUNING) for number in range(1, 11)}
    specimens = {wanted.name: _specimen(wanted.layout, people[wanted.person], random) for wanted in WANTED}
    pages = [_specimen(layout, people[10], random) for layout in (CHIP_FRONT_2021, CHIP_BACK_2021)]
    files = {name: encoded(specimen.image, Path(name).suffix) for name, specimen in specimens.items()}
    good = files[COPIED]
    files |= {PDF_NAME: _pdf(pages), COPY_NAME: good} | {name: spoil(good) for name, spoil in BAD.items()}
    truth = {name: [message(specimen)] for name, specimen in specimens.items()}
    truth |= {PDF_NAME: [message(page) for page in pages], COPY_NAME: truth[COPIED]} | {name: [] for name in BAD}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / TRUTH).write_text(
        json.dumps(truth, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    return sorted(files)


def message(specimen: Specimen) -> dict[str, Any]:
    """The truth of one card as JSON: its type, its fields in wire form, the boxes in pixels of the file."""
    return {"type": specimen.document_type, "info": specimen.values, "boxes": specimen.boxes, "mrz": specimen.zone}


def encoded(image: Image.Image, suffix: str) -> bytes:
    """The image as a file of that suffix: JPEG at quality 85, PNG with 64 colours."""
    out = io.BytesIO()
    if suffix == ".png":
        image.quantize(64).save(out, "PNG", optimize=True)
    else:
        image.save(out, "JPEG", quality=85)
    return out.getvalue()


def _specimen(layout: Layout, person: Person, random: Random) -> Specimen:
    style: Style = replace(random_style(random, FACES), scale=1.1)
    return draw(layout, person, style)


def _pdf(pages: list[Specimen]) -> bytes:
    """Each specimen on an A4 page of its own, as an office scanner leaves them, at 150 dpi."""
    sheets = []
    for page in pages:
        sheet = Image.new("RGB", (1240, 1754), "white")
        sheet.paste(page.image, (70, 160))
        sheets.append(sheet)
    out = io.BytesIO()
    drawn = time.gmtime(0)  # the same bytes at every drawing
    sheets[0].save(
        out,
        "PDF",
        resolution=150,
        save_all=True,
        append_images=sheets[1:],
        quality=85,
        creationDate=drawn,
        modDate=drawn,
    )
    return out.getvalue()
