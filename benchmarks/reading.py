"""How well the embedded endpoint reads, on drawn specimens that no tuning looked at: `./run.sh bench reading`.

Fonts, words and print shifts of the measured half are its own. Beside the reader runs a plain
Tesseract reading: the whole picture as it is, one page pass, the same labels and values. Drawn
cards are easier than real ones: these figures compare designs, they promise nothing about photos of real cards.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import cv2
import numpy as np

from benchmarks.reading_truth import EDGES, Tally, add
from endpoint.anchors import best_side, find_anchors, place_labels
from endpoint.fields import Labelled, read_fields
from endpoint.find_card import Aligned
from endpoint.page import TextEngine
from endpoint.pictures import Sheet, open_sheets
from endpoint.places import Gazetteer
from endpoint.reader import KNOWN, CardReader, Read
from endpoint.rows import rows_of
from endpoint.specimens.disturb import CONDITIONS, disturbed
from endpoint.specimens.draw import Specimen, draw, random_style
from endpoint.specimens.layouts import LAYOUTS
from endpoint.specimens.people import TUNING, UNSEEN, Words, misnumbered, someone
from endpoint.warning_codes import ID_FORMAT, NUMBERED


@dataclass(frozen=True, slots=True)
class Half:
    """One half of the specimens: its word lists, its fonts, its seed."""

    words: Words
    faces: tuple[str, ...]
    seed: int


HALVES: dict[str, Half] = {
    "unseen": Half(UNSEEN, ("noto-sans", "noto-serif", "dejavu-condensed"), 7_000_003),
    "tuning": Half(TUNING, ("liberation-sans", "liberation-serif", "dejavu-sans"), 11),
}
ROOT = Path(__file__).parents[1]
_READ_BUNDLED = """
import pathlib, resource
from endpoint.reader import CardReader
reader = CardReader()
for picture in sorted(pathlib.Path("cards").glob("[cp]*[fg]")):
    reader.read(picture.read_bytes(), get_thumb=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
Look = Callable[[Sheet], Iterator[Read]]


def specimens(half: Half, condition: str, count: int, gazetteer: Gazetteer) -> Iterator[tuple[Specimen, Random]]:
    """So many specimens, the layouts in turn, each with a generator for what is done to it."""
    wrong = CONDITIONS[condition].warning == ID_FORMAT
    layouts = [layout for layout in LAYOUTS if layout.document_type in NUMBERED] if wrong else LAYOUTS
    for index in range(count):
        random = Random(f"{half.seed}/{condition}/{index}")
        person = someone(random, gazetteer, half.words)
        holder = misnumbered(person, random) if wrong else person
        yield draw(layouts[index % len(layouts)], holder, random_style(random, half.faces)), random


def plain_look(engine: TextEngine) -> Look:
    """The peer: no outline, no turning, no zone; one page pass over the picture as it was sent."""

    def look(sheet: Sheet) -> Iterator[Read]:
        grey = np.asarray(cv2.cvtColor(sheet.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        rows = rows_of(engine.words(grey))
        anchors = find_anchors(rows)
        side, share = best_side(anchors)
        if share >= KNOWN:
            readings = read_fields(side, Labelled(rows, place_labels(side, rows, anchors)))
            yield Read(side, share, Aligned(sheet.pixels, np.eye(3), False), sheet.scale, readings, None)

    return look


def measure(look: Look, reader: CardReader, half: Half, condition: str, count: int) -> Tally:
    """Read `count` specimens taken in that way; CPU time is the process's own, so other load does not count."""
    tally = Tally()
    for specimen, random in specimens(half, condition, count, Gazetteer()):
        picture, boxes = disturbed(specimen, CONDITIONS[condition], random)
        started = time.process_time()
        reads = [read for sheet in open_sheets(picture) for read in look(sheet)]
        cards = [reader.card(read, get_thumb=False) for read in reads]
        tally.cpu_ms.append((time.process_time() - started) * 1000)
        zone = next((read.zone for read in reads if read.zone), None)
        add(tally, specimen, boxes, cards, zone.lines if zone else None)
        tally.zones_laundered += bool(
            zone and zone.checked and _checked_part(zone.lines) != _checked_part(specimen.zone)
        )
    return tally


def _checked_part(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines that check digits cover: all but the names'."""
    return lines[:2] if len(lines) == 3 else lines[1:]


def shares(tally: Tally) -> dict[str, Any]:
    """A tally as figures; None where there is nothing to divide by."""
    return {
        "n": tally.pictures,
        "type_right": _share(tally.types, tally.pictures),
        "fields": tally.fields,
        "fields_exact": _share(tally.exact, tally.fields),
        "cer": _share(tally.edits, tally.characters),
        "zones": tally.zones,
        "mrz_exact": _share(tally.zones_exact, tally.zones),
        "mrz_laundered": tally.zones_laundered,
        "codes_right": _share(tally.codes_right, tally.codes),
        "box_iou": round(float(np.mean(tally.overlaps)), 3) if tally.overlaps else None,
        "ms_median": round(median(tally.cpu_ms)),
        "ms_p95": round(float(np.percentile(tally.cpu_ms, 95))),
        "warnings": tally.warnings,
        "wrong": dict(sorted(tally.wrong.items(), key=lambda item: -item[1])[:12]),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def reliability(tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    """By confidence: how many fields, how many of them right. Honest confidences have equal columns."""
    bins: dict[int, list[int]] = {}
    for tally in tallies:
        for index, (count, right) in tally.reliability.items():
            total = bins.setdefault(index, [0, 0])
            total[0] += count
            total[1] += right
    return [
        {"from": EDGES[index], "to": (*EDGES[1:], 1.0)[index], "n": count, "right": _share(right, count)}
        for index, (count, right) in sorted(bins.items())
    ]


def reader_peak_mb() -> int:
    """Peak memory of a process that only reads: this one also draws."""
    done = subprocess.run([sys.executable, "-c", _READ_BUNDLED], capture_output=True, text=True, check=True, cwd=ROOT)
    return int(done.stdout)


def table(results: dict[str, dict[str, Any]]) -> str:
    """The figures as a Markdown table, a line a condition."""
    columns = ("n", "type_right", "fields_exact", "cer", "mrz_exact", "codes_right", "box_iou", "ms_median", "ms_p95")
    lines = ["| condition | " + " | ".join(columns) + " | warnings |", "| --- " * (len(columns) + 2) + "|"]
    for name, figures in results.items():
        cells = ("" if figures[column] is None else str(figures[column]) for column in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {figures['warnings'] or ''} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON; exit status 0."""
    parser = argparse.ArgumentParser(prog="reading", description=__doc__)
    parser.add_argument(
        "--count", type=int, default=56, help="specimens a condition; the layouts take turns (14 of them)"
    )
    parser.add_argument(
        "--half", choices=sorted(HALVES), default="unseen", help="which half of fonts, words and shifts"
    )
    parser.add_argument("--conditions", default="", help="comma-separated; default all: " + ", ".join(CONDITIONS))
    parser.add_argument("--plain", action="store_true", help="also the plain Tesseract reading")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    options = parser.parse_args(argv)
    names = [name for name in options.conditions.split(",") if name] or list(CONDITIONS)
    reader, half = CardReader(), HALVES[options.half]
    tallies = {name: measure(reader.look, reader, half, name, options.count) for name in names}
    result: dict[str, Any] = {
        "half": options.half,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "reader": {name: shares(tally) for name, tally in tallies.items()},
        "reliability": reliability(list(tallies.values())),
    }
    print(table(result["reader"]))
    print("\n| confidence | fields | right |\n| --- | --- | --- |")
    for row in result["reliability"]:
        print(f"| {row['from']:.2f} to {row['to']:.2f} | {row['n']} | {row['right']} |")
    if options.plain:
        look = plain_look(TextEngine())
        result["plain"] = {name: shares(measure(look, reader, half, name, options.count)) for name in names}
        print("\nPlain Tesseract, same labels and values\n\n" + table(result["plain"]))
    result["reader_peak_mb"] = reader_peak_mb()
    print(f"\npeak memory of a process that reads the bundled cards: {result['reader_peak_mb']} MB")
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
