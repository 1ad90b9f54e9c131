"""A reader that is no card reader but a real one: what it finds on an image is said by the image's colour.

It runs in real worker processes, so a test steers a worker by what it sends. What has to be remembered
across processes, or seen by the test, is a file in the folder that NOTES names.
"""

from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from endpoint.answers import Card, NotAnImage
from schemas.documents import DOCUMENTS
from schemas.fields import Kind

NAME = "tests.endpoint.simple_reader:SimpleReader"
NOTES = "SIMPLE_READER_NOTES"
BEGUN = "begun"
"""The note that a SLOW or an ENDLESS image is being read."""

FRONT, BACK, BLANK = (10, 10, 200), (10, 200, 10), (255, 255, 255)
PHOTOCOPY, SEVERAL, PROCESS = (128, 128, 128), (200, 10, 10), (200, 200, 10)
SLOW, ENDLESS, MEETING = (1, 1, 1), (2, 2, 2), (3, 3, 3)
DEADLY, DEADLY_ONCE, BROKEN = (4, 4, 4), (5, 5, 5), (6, 6, 6)
BUSY, GREEDY, HOARDING = (7, 7, 7), (8, 8, 8), (9, 9, 9)
SLOW_S = 0.5
HOARD_BYTES = 400_000_000
SECRET = "NGUYEN VAN SECRET"

_hoard: list[bytes] = []
_WIRE: dict[Kind, object] = {Kind.TEXT: "text", Kind.DATE: "02-01-2001", Kind.CONFIDENCE: 0.5, Kind.BOX: [1, 2, 3, 4]}


def image_of(colour: tuple[int, int, int], size: tuple[int, int] = (8, 5)) -> bytes:
    """A PNG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def info_of(document_type: str, drawn: str = "", **message: str) -> dict[str, object]:
    """Every field of a type with a value of its wire form."""
    return {field.name: _WIRE.get(field.kind, drawn) for field in DOCUMENTS[document_type]} | message


class SimpleReader:
    """Cards by colour. A PROCESS image says which process read it and how many images that one had before."""

    def __init__(self) -> None:
        self.read_before = 0

    def read(self, image: bytes, *, get_thumb: bool) -> list[Card]:
        drawn = "dGh1bWI=" if get_thumb else ""
        if image.startswith(b"%PDF-"):
            return [Card("passport", info_of("passport", drawn), ())]
        try:
            with Image.open(io.BytesIO(image)) as opened:
                colour = opened.convert("RGB").getpixel((0, 0))
        except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
            raise NotAnImage("not an image") from None
        _act(colour)
        warnings = ("2", "5") if colour == PHOTOCOPY else ()
        message = {"issued_at": f"{os.getpid()} {self.read_before}"} if colour == PROCESS else {}
        self.read_before += 1
        return [Card(kind, info_of(kind, drawn, **message), warnings) for kind in _types(colour)]


def _types(colour: object) -> list[str]:
    types = {BLANK: [], BACK: ["chip_id_card_back"], SEVERAL: ["passport", "driving_license"], PROCESS: ["passport"]}
    return types.get(colour, ["chip_id_card_front"])


def _act(colour: object) -> None:
    if colour in (SLOW, ENDLESS):
        (_notes() / BEGUN).touch()
        time.sleep(SLOW_S if colour == SLOW else 600)
    elif colour == MEETING:
        _meet()
    elif colour == BUSY:
        while True:
            pass
    elif colour == GREEDY:
        _hoard.append(b"x" * 2 * HOARD_BYTES)
        time.sleep(600)
    elif colour == HOARDING:
        _hoard.append(b"x" * HOARD_BYTES)
    elif colour == DEADLY or (colour == DEADLY_ONCE and _first_time()):
        os.kill(os.getpid(), signal.SIGKILL)
    elif colour == BROKEN:
        raise RuntimeError(SECRET)  # as a library's message may quote what it read


def _meet() -> None:
    """Returns once two processes are here at the same time; alone it never does."""
    (_notes() / f"here-{os.getpid()}").touch()
    while len(list(_notes().glob("here-*"))) < 2:
        time.sleep(0.01)


def _first_time() -> bool:
    record = _notes() / "died-once"
    first = not record.exists()
    record.touch()
    return first


def _notes() -> Path:
    return Path(os.environ[NOTES])
