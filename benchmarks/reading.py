"""How well the embedded endpoint reads, on drawn specimens that no tuning used: `./run.sh bench reading`.

Fonts, words and print shifts of the measured half are its own. Beside the reader run, with `--peers=plain,rapidocr`,
other text engines over the whole image as it is, with the same labels and values (`reading_peers`). Drawn
cards are easier than real ones: these figures compare designs, they promise nothing about photos of real cards.

Each image is a line in a file of its own half, reader and state of the code; what stands there is not read
again, so a run that was stopped goes on, and a larger `--count` adds to a smaller one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.reading_cost import cost_of_reading, printed_cost
from benchmarks.reading_peers import PEERS, PeerMissing, SheetReader, peer_reader
from benchmarks.reading_truth import Judged, as_json, figures, from_json, grouped, judged, reliability
from endpoint.imaging.decode import open_sheets
from endpoint.reader.card_reader import CardReader
from endpoint.reader.gazetteer import Gazetteer
from endpoint.reader.warning_codes import ID_FORMAT, NUMBERED
from specimens.drawing.disturb import CONDITIONS, HARD_CONDITIONS, disturbed
from specimens.drawing.draw import Specimen, draw, hard_style, random_style
from specimens.drawing.layouts import LAYOUTS, Layout
from specimens.drawing.real_layouts import HARD_LAYOUTS
from specimens.people import TUNING, UNSEEN, Words, misnumbered, someone


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
KEPT = ROOT / "benchmarks" / "results" / "reading"
ALL_CONDITIONS = {**CONDITIONS, **HARD_CONDITIONS}
COLUMNS = ("n", "type_right", "fields", "fields_exact", "cer", "zones", "mrz_exact", "codes_right", "box_iou")


def layout_of(condition: str, index: int) -> Layout:
    """Layouts take turns; wrong numbers stand only on types whose number has rules."""
    if condition in HARD_CONDITIONS:
        return HARD_LAYOUTS[index % len(HARD_LAYOUTS)]
    wrong = CONDITIONS[condition].warning == ID_FORMAT
    layouts = [layout for layout in LAYOUTS if layout.document_type in NUMBERED] if wrong else LAYOUTS
    return layouts[index % len(layouts)]


def specimen_of(half: Half, condition: str, index: int, gazetteer: Gazetteer) -> tuple[Specimen, Random]:
    """A specimen of its own, and the generator for what is done to it: the same for the same half and index."""
    random = Random(f"{half.seed}/{condition}/{index}")
    person = someone(random, gazetteer, half.words)
    holder = misnumbered(person, random) if ALL_CONDITIONS[condition].warning == ID_FORMAT else person
    style = hard_style if condition in HARD_CONDITIONS else random_style
    return draw(layout_of(condition, index), holder, style(random, half.faces)), random


@dataclass(frozen=True, slots=True)
class Bench:
    """One way of looking, measured on one half; what the contract's answer is made of is the reader's for all."""

    name: str
    read_sheet: SheetReader
    reader: CardReader
    half_name: str
    gazetteer: Gazetteer

    def judge(self, condition: str, index: int) -> Judged:
        """Draw, disturb, read and judge one image; CPU time of reading only, so other load does not count."""
        specimen, random = specimen_of(HALVES[self.half_name], condition, index, self.gazetteer)
        image, boxes = disturbed(specimen, ALL_CONDITIONS[condition], random)
        started = time.process_time()
        reads = [read for sheet in open_sheets(image) for read in self.read_sheet(sheet)]
        cards = [self.reader.card(read, get_thumb=False) for read in reads]
        cpu_ms = round((time.process_time() - started) * 1000, 1)
        zone = next((read.zone for read in reads if read.zone), None)
        text = judged(specimen, boxes, cards, zone, keep_text=self.half_name == "tuning")
        layout = layout_of(condition, index)
        name = f"{layout.document_type} {layout.variant}".strip()
        return Judged(condition=condition, index=index, layout=name, cpu_ms=cpu_ms, **text)

    def measure(self, conditions: Sequence[str], count: int) -> list[Judged]:
        """`count` images of each condition: those kept by an earlier run, the others read and kept now."""
        path = KEPT / f"{self.name}-{self.half_name}-{state_of_code()}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        known = {(item.condition, item.index): item for item in _kept(path)}
        # the conditions take turns, so that a run that is stopped has some of each
        for index in range(count):
            for condition in conditions:
                if (condition, index) not in known:
                    known[condition, index] = self.judge(condition, index)
                    with path.open("a", encoding="utf-8") as file:
                        file.write("\n" + json.dumps(as_json(known[condition, index]), ensure_ascii=False))
        return [known[condition, index] for condition in conditions for index in range(count)]


def _kept(path: Path) -> Iterator[Judged]:
    """The lines of an earlier run; one that was cut short by a kill is left out."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(json.JSONDecodeError):
            yield from_json(json.loads(line))


def state_of_code() -> str:
    """A short hash of everything that reading and drawing depend on in this repository."""
    sources = sorted((ROOT / "endpoint").rglob("*.py")) + sorted((ROOT / "endpoint" / "data").iterdir())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources if path.is_file()))
    return digest.hexdigest()[:10]


def table(name: str, results: dict[str, dict[str, Any]]) -> str:
    """The figures as a Markdown table, a line a condition or a layout."""
    columns = (*COLUMNS, "ms_median", "ms_p95")
    lines = [f"| {name} | " + " | ".join(columns) + " | warnings |", "| --- " * (len(columns) + 2) + "|"]
    for of, row in results.items():
        cells = ("" if row[column] is None else str(row[column]) for column in columns)
        raised = ", ".join(f"{code}: {count}" for code, count in row["warnings"].items())
        lines.append(f"| {of} | " + " | ".join(cells) + f" | {raised} |")
    return "\n".join(lines)


def tables(images: Sequence[Judged]) -> dict[str, Any]:
    """All figures of one way of looking: by condition, by layout, by confidence."""
    good = [image for image in images if not ALL_CONDITIONS[image.condition].warning]
    return {
        "by_condition": {of: figures(some) for of, some in grouped(images, lambda one: one.condition).items()},
        "by_layout": {of: figures(some) for of, some in sorted(grouped(good, lambda one: one.layout).items())},
        "reliability": reliability(images),
        "good": {"n": len(good), "warnings": figures(good)["warnings"] if good else {}},
    }


def printed(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    confidence = [
        f"| {row['from']:.2f} to {row['to']:.2f} | {row['n']} | {row['said']} | {row['right']} |"
        for row in found["reliability"]
    ]
    good = found["good"]
    return "\n".join(
        [
            table("condition", found["by_condition"]),
            "\nGood images by layout\n\n" + table("layout", found["by_layout"]),
            f"\nwarnings raised by {good['n']} good images: {good['warnings'] or 'none'}",
            "\n| confidence | fields | said | right |\n| --- | --- | --- | --- |",
            *confidence,
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON; exit status 0."""
    parser = argparse.ArgumentParser(prog="run.sh bench reading", description=__doc__)
    parser.add_argument("--count", type=int, default=70, help="specimens a condition; the layouts (14) take turns")
    parser.add_argument(
        "--half", choices=sorted(HALVES), default="unseen", help="which half of fonts, words and shifts"
    )
    parser.add_argument("--conditions", default="", help="comma-separated; default all: " + ", ".join(ALL_CONDITIONS))
    parser.add_argument("--peers", default="", help="comma-separated, read the same: " + ", ".join(PEERS))
    parser.add_argument("--cost", action="store_true", help="also memory by size of image, and two workers beside one")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    options = parser.parse_args(argv)
    names = [name for name in options.conditions.split(",") if name] or list(ALL_CONDITIONS)
    reader, gazetteer = CardReader(), Gazetteer()
    try:
        peers = {name: peer_reader(PEERS[name]()) for name in options.peers.split(",") if name}
    except (KeyError, PeerMissing) as error:
        print(f"bench reading: --peers: {error.args[0]} (known: {', '.join(PEERS)})", file=sys.stderr)
        return 2
    result: dict[str, Any] = {
        "half": options.half,
        "code": state_of_code(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    for name, read_sheet in {"reader": reader.read_sheet, **peers}.items():
        images = Bench(name, read_sheet, reader, options.half, gazetteer).measure(names, options.count)
        result[name] = tables(images)
        print(f"\n{name}, {options.half} half\n\n{printed(result[name])}")
    if options.cost:
        result["cost"] = cost_of_reading()
        print("\n" + printed_cost(result["cost"]))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
