"""What the card reader is measured beside: other text engines, with the same labels and values behind them.

A peer gets the image as it was sent: no outline, no turning, no zone, no second look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from endpoint.imaging.decode import Pixels, Sheet
from endpoint.imaging.rectify import RectifiedCard
from endpoint.ocr.engine import TextEngine, Word
from endpoint.ocr.label_matching import best_template, find_anchors, place_labels
from endpoint.ocr.text_lines import rows_of
from endpoint.ocr.values.field_values import Labelled, read_fields
from endpoint.ocr.values.normalize import nfc
from endpoint.reader.card_reader import MIN_TEMPLATE_SCORE, Read

SheetReader = Callable[[Sheet], Iterator[Read]]
Words = Callable[[Pixels], list[Word]]
"""RGB of a whole image -> its words."""


class PeerMissing(ImportError):
    """The peer's packages are not here; the message says how to get them."""


def peer_reader(words_of: Words) -> SheetReader:
    """A way of looking made of a text engine alone."""

    def read_sheet(sheet: Sheet) -> Iterator[Read]:
        rows = rows_of(words_of(sheet.pixels))
        anchors = find_anchors(rows)
        side, share = best_template(anchors)
        if share >= MIN_TEMPLATE_SCORE:
            readings = read_fields(side, Labelled(rows, place_labels(side, rows, anchors)))
            whole = RectifiedCard(sheet.pixels, np.eye(3), False, sheet.pixels)
            yield Read(side, share, whole, sheet.scale, readings, None)

    return read_sheet


def plain_tesseract() -> Words:
    """The reader's own engine: one page pass over the image."""
    engine = TextEngine()
    return lambda pixels: engine.words(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8))


def rapidocr() -> Words:
    """RapidOCR 3 with the models of its wheel (PP-OCR small), on one core. Raises PeerMissing."""
    try:
        from rapidocr import RapidOCR  # type: ignore[import-not-found]  # noqa: PLC0415  # an extra of its own
    except ImportError as error:
        raise PeerMissing(f"{error}: `./run.sh bench reading --peers=rapidocr` installs what it needs") from None
    one_core = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    engine = RapidOCR(params={**one_core, "Global.log_level": "error"})

    def words_of(pixels: Pixels) -> list[Word]:
        found = engine(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        if found.boxes is None:
            return []
        lines = zip(found.boxes, found.txts, found.scores, strict=True)
        return [word for corners, text, sure in lines for word in _words_of_line(corners, text, float(sure))]

    return words_of


def _words_of_line(corners: Any, text: str, sure: float) -> Iterator[Word]:
    """It gives lines: each word gets the part of the line's box that its letters take."""
    (left, top), (right, bottom) = np.min(corners, axis=0).tolist(), np.max(corners, axis=0).tolist()
    letter, at = (right - left) / max(1, len(text)), 0
    for part in text.split(" "):
        if part:
            yield Word(nfc(part), left + at * letter, top, left + (at + len(part)) * letter, bottom, sure)
        at += len(part) + 1


PEERS: dict[str, Callable[[], Words]] = {"plain": plain_tesseract, "rapidocr": rapidocr}
"""By name. EasyOCR is not among them: it gets its models from a hub when it first runs, and its wheel has none."""
