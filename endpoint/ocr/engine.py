"""Aligned card -> words: one pass of Tesseract over the whole card."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import tesserocr  # type: ignore[import-untyped]  # ships no types
from PIL import Image

from endpoint.errors import EndpointError
from endpoint.imaging.decode import Pixels
from endpoint.ocr.values.normalize import nfc

LANGUAGE = "vie"
_GLUED = re.compile(r"(\D*\w\.?:|\D*[a-zà-ỹ]{3,}[.,;]+(?=\d))(\w.*)")
_DEBIAN = Path("/usr/share/tesseract-ocr")


@dataclass(frozen=True, slots=True)
class Word:
    """One word as read: its box in pixels of the aligned card, and 0 to 1 how sure Tesseract is of it."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    confidence: float

    @property
    def height(self) -> float:
        """Height of the ink, pixels."""
        return self.bottom - self.top


class LanguageMissing(EndpointError, FileNotFoundError):
    """No vie.traineddata on this machine; the message names the Debian package."""


def tessdata_folder() -> Path:
    """Where vie.traineddata is: $TESSDATA_PREFIX, the environment's share/tessdata, Debian's folder.

    Raises LanguageMissing.
    """
    prefix = os.environ.get("TESSDATA_PREFIX")
    candidates = [
        *([Path(prefix), Path(prefix) / "tessdata"] if prefix else []),
        Path(sys.prefix) / "share" / "tessdata",
        *sorted(_DEBIAN.glob("*/tessdata"), reverse=True),
    ]
    for folder in candidates:
        if (folder / f"{LANGUAGE}.traineddata").is_file():
            return folder
    raise LanguageMissing(
        f"{LANGUAGE}.traineddata not found: install the Debian package tesseract-ocr-vie, "
        "or name the folder that has it in TESSDATA_PREFIX"
    )


class TextEngine:
    """Tesseract with the Vietnamese model, opened (30 ms) until it is laid aside (17 MB); not for threads."""

    def __init__(self) -> None:
        # Leptonica prints "box outside rectangle" about edges of warped images; it is no error of ours.
        tesserocr.set_leptonica_log_level(tesserocr.LeptLogLevel.NONE)
        self._api = tesserocr.PyTessBaseAPI(init=False)
        self._is_open = False
        self._open()

    def _open(self) -> None:
        self._api.Init(path=str(tessdata_folder()), lang=LANGUAGE, oem=tesserocr.OEM.LSTM_ONLY)
        self._is_open = True

    def release(self) -> None:
        """Free its memory; it is opened again when the next text is read."""
        self._api.End()
        self._is_open = False

    def words(self, grey: Pixels) -> list[Word]:
        """Aligned card in grey -> its words, top to bottom as Tesseract gives them."""
        return list(self._read(grey, tesserocr.PSM.SPARSE_TEXT))

    def line(self, grey: Pixels) -> list[Word]:
        """A crop that holds one line of text -> its words."""
        return list(self._read(grey, tesserocr.PSM.SINGLE_LINE))

    def _read(self, grey: Pixels, mode: int) -> Iterator[Word]:
        if not self._is_open:
            self._open()
        self._api.SetPageSegMode(mode)
        self._api.SetImage(Image.fromarray(grey))
        self._api.Recognize()
        for row in self._api.GetTSVText(0).splitlines():
            if row.startswith("5\t"):
                yield from _word(row)
        self._api.Clear()


def _word(row: str) -> Iterator[Word]:
    """A level-5 row of Tesseract's TSV; blank words carry nothing."""
    columns = row.split("\t")
    left, top, width, height = (float(column) for column in columns[6:10])
    if text := nfc(columns[11].strip()):
        yield from parted(Word(text, left, top, left + width, top + height, max(0.0, float(columns[10]) / 100)))


def parted(word: Word) -> Iterator[Word]:
    """A label's end and the value read as one word become two: "issue:20/02/2018", "name:TRẦN"."""
    glued = _GLUED.match(word.text)
    if glued is None:
        yield word
        return
    border = word.left + (word.right - word.left) * glued.end(1) / len(word.text)
    yield replace(word, text=glued[1], right=border)
    yield replace(word, text=glued[2], left=border)
