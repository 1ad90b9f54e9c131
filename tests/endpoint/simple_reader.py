"""A reader that is no card reader but a real one: it says what Pillow and the operating system see of a picture.

The picture's top left pixel tells it what to do, so that a test steers a worker process by what it sends.
"""

from __future__ import annotations

import io
import os
import signal
import time

from PIL import Image, UnidentifiedImageError

from endpoint.reader import Card, NotAPicture
from schemas.documents import DOCUMENTS
from schemas.fields import Kind

FRONT, BACK = (10, 10, 200), (10, 200, 10)
BLANK, PHOTOCOPY, SEVERAL = (255, 255, 255), (128, 128, 128), (200, 10, 10)
SLOW, ENDLESS, DEADLY, BROKEN = (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)
SLOW_S = 0.5

_WIRE: dict[Kind, object] = {Kind.TEXT: "text", Kind.DATE: "02-01-2001", Kind.CONFIDENCE: 0.5, Kind.BOX: [1, 2, 3, 4]}


def picture_of(colour: tuple[int, int, int], size: tuple[int, int] = (8, 5)) -> bytes:
    """A PNG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


class SimpleReader:
    """Cards by colour; `issued_at` and `document_number` of a back say which process read it and how many it had."""

    def __init__(self) -> None:
        self.read_before = 0

    def read(self, picture: bytes, *, get_thumb: bool) -> list[Card]:
        if picture.startswith(b"%PDF-"):
            return [_card("passport", get_thumb)]
        try:
            with Image.open(io.BytesIO(picture)) as opened:
                colour = opened.convert("RGB").getpixel((0, 0))
        except (UnidentifiedImageError, OSError):
            raise NotAPicture("not a picture") from None
        self.read_before += 1
        return self._cards(colour, get_thumb)

    def _cards(self, colour: object, get_thumb: bool) -> list[Card]:
        if colour == SLOW:
            time.sleep(SLOW_S)
        elif colour == ENDLESS:
            time.sleep(600)
        elif colour == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        elif colour == BROKEN:
            raise RuntimeError("NGUYEN VAN SECRET")  # what a library's message may hold
        elif colour == BLANK:
            return []
        elif colour == SEVERAL:
            return [_card("passport", get_thumb), _card("driving_license", get_thumb)]
        elif colour == BACK:
            process = {"issued_at": str(os.getpid()), "document_number": str(self.read_before)}
            return [_card("chip_id_card_back", get_thumb, told=process)]
        return [_card("chip_id_card_front", get_thumb, warnings=("2", "5") if colour == PHOTOCOPY else ())]


def _card(
    document_type: str, get_thumb: bool, warnings: tuple[str, ...] = (), told: dict[str, str] | None = None
) -> Card:
    info = {field.name: _WIRE.get(field.kind, "") for field in DOCUMENTS[document_type]}
    return Card(document_type, {**info, "image": "dGh1bWI=" if get_thumb else "", **(told or {})}, warnings)
