"""A card is read the same in every format that phones, scanners and archives save it in; each file is made here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from endpoint.reader.card_reader import CardReader
from tests.endpoint.imaging.test_decode import deep_tiff, saved
from tests.heic import heic_of

CARDS = Path(__file__).parents[3] / "cards"
NAME = "chip-front-02.jpg"
WIDE_PX = 1000
Save = Callable[[Image.Image], bytes]


def deep(order: str) -> Save:
    """A TIFF of 16 bits a channel."""
    return lambda image: deep_tiff(order, np.asarray(image).astype(np.uint16) * 257)


FORMATS: dict[str, Save] = {
    "heic": heic_of,
    "avif": lambda image: saved(image, "AVIF", quality=80),
    "mpo": lambda image: saved(image, "MPO", save_all=True, append_images=[image.resize((200, 126))], quality=90),
    "16-bit tiff, little endian": deep("II"),
    "16-bit tiff, big endian": deep("MM"),
    "jpeg 2000": lambda image: saved(image, "JPEG2000", quality_mode="dB", quality_layers=[42]),
    "jpeg without its end mark": lambda image: saved(image, "JPEG", quality=90).removesuffix(b"\xff\xd9"),
}


@pytest.fixture(scope="module")
def reader() -> CardReader:
    return CardReader()


@pytest.fixture(scope="module")
def card() -> Image.Image:
    """A bundled card, on a table."""
    with Image.open(CARDS / NAME) as opened:
        opened.load()
        return opened.convert("RGB").resize((WIDE_PX, round(opened.height * WIDE_PX / opened.width)))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_card_is_read_in_each_format(reader: CardReader, card: Image.Image, kind: str) -> None:
    content = FORMATS[kind](card)
    truth = json.loads((CARDS / "truth.json").read_text(encoding="utf-8"))[NAME][0]
    (read,) = reader.read(content, get_thumb=False)
    fields = ("id", "name", "dob", "gender")
    assert (read.document_type, {name: read.info[name] for name in fields}) == (
        truth["type"],
        {name: truth["info"][name] for name in fields},
    )
