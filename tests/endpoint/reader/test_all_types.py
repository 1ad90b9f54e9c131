"""All twelve types are told by what they print, whichever way up, and say their fields in the contract's forms."""

from __future__ import annotations

import base64
import io
import re
from random import Random

import cv2
import numpy as np
import pytest
from PIL import Image

from endpoint.answers import Card, answer_of
from endpoint.reader.card_reader import CardReader
from endpoint.reader.gazetteer import Gazetteer
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from specimens.drawing.disturb import Condition, at_an_angle, disturbed, quarter_turns
from specimens.drawing.draw import Box, Specimen, Style, draw
from specimens.drawing.layouts import LAYOUTS, Layout
from specimens.people import TUNING, someone
from tests.specimens.fonts import needs_fonts

pytestmark = [
    pytest.mark.slow,
    needs_fonts,
]

FORMS = {
    Kind.DATE: re.compile(r"\d\d-\d\d-\d{4}"),
    "code": re.compile(r"-1|[1-9]\d*"),
    "gender": re.compile("nam|nữ|M|F"),
}


@pytest.fixture(scope="module")
def reader() -> CardReader:
    return CardReader()


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer()


def specimen(layout: Layout, gazetteer: Gazetteer) -> Specimen:
    holder = someone(Random(f"{layout.document_type} {layout.variant}"), gazetteer, TUNING)
    return draw(layout, holder, Style(scale=1.1))


def in_form(name: str, kind: Kind, value: object) -> bool:
    form = FORMS.get("code" if name.endswith("_code") else "gender" if name == "gender" else kind)
    return form is None or value == "" or form.fullmatch(str(value)) is not None


def lies_in(read: list[int], message: Box) -> bool:
    """Whether the middle of what was read is where it was printed; a single letter's box may be all but its dot."""
    x, y = (read[0] + read[2]) / 2, (read[1] + read[3]) / 2
    return message[0] - 10 < x < message[2] + 10 and message[1] - 10 < y < message[3] + 10


@pytest.mark.parametrize(
    ("layout", "quarters"),
    [(layout, index % 4) for index, layout in enumerate(LAYOUTS)],
    ids=[f"{layout.document_type} {layout.variant}, {index % 4} quarters" for index, layout in enumerate(LAYOUTS)],
)
def test_a_side_is_read_whichever_way_up(
    reader: CardReader, gazetteer: Gazetteer, layout: Layout, quarters: int
) -> None:
    drawn = specimen(layout, gazetteer)
    image, boxes = disturbed(drawn, Condition((at_an_angle, quarter_turns(quarters))), Random(quarters))
    (card,) = reader.read(image, get_thumb=False)
    assert (card.document_type, card.warnings) == (layout.document_type, ())
    wrong = {name: card.info[name] for name, value in drawn.values.items() if card.info[name] != value}
    assert len(wrong) <= 1, wrong  # how often each letter is right is the benchmark's to show
    for name, box in boxes.items():
        if name not in wrong:
            assert lies_in(card.info[f"{name}_box"], box), name
    fields = [(field.name, field.kind) for field in DOCUMENTS[layout.document_type]]
    assert [name for name, kind in fields if not in_form(name, kind, card.info[name])] == []


def side_by_side(*drawn: Specimen) -> bytes:
    """The cards on one dark table, two in a row."""
    images = [np.asarray(each.image.resize((900, 570))) for each in drawn]
    table = np.full((700 * ((len(drawn) + 1) // 2), 2000, 3), (58, 52, 46), np.uint8)
    for index, image in enumerate(images):
        top, left = 60 + 690 * (index // 2), 60 + 980 * (index % 2)
        table[top : top + 570, left : left + 900] = image
    return cv2.imencode(".jpg", table[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def test_several_cards_on_an_image_are_each_read_and_none_is_judged(reader: CardReader, gazetteer: Gazetteer) -> None:
    drawn = [specimen(layout, gazetteer) for layout in (LAYOUTS[4], LAYOUTS[8], LAYOUTS[0])]
    image = side_by_side(*drawn)
    cards = reader.read(image, get_thumb=False)
    assert [(card.document_type, card.info["id"]) for card in cards] == [
        (each.document_type, each.values["id"]) for each in drawn
    ]
    documents = answer_of(cards, image=image, says_valid=True).documents
    assert [sorted(document) for document in documents] == [["info", "type"]] * 3


def test_each_page_of_a_pdf_is_read(reader: CardReader, gazetteer: Gazetteer) -> None:
    drawn = [specimen(layout, gazetteer) for layout in (LAYOUTS[4], LAYOUTS[6], LAYOUTS[8])]
    out = io.BytesIO()
    first, *others = (each.image.convert("RGB") for each in drawn)
    first.save(out, "PDF", save_all=True, append_images=others, resolution=300)
    cards = reader.read(out.getvalue(), get_thumb=False)
    assert [card.document_type for card in cards] == [each.document_type for each in drawn]


@pytest.mark.parametrize("quarters", [1, 2])
def test_the_thumb_is_the_card_the_right_way_up(reader: CardReader, gazetteer: Gazetteer, quarters: int) -> None:
    drawn = specimen(LAYOUTS[4], gazetteer)
    image, _ = disturbed(drawn, Condition((at_an_angle, quarter_turns(quarters))), Random(1))
    (card,) = reader.read(image, get_thumb=True)
    seen = np.asarray(thumb_of(card).convert("L").resize((100, 63)), dtype=float)
    message = np.asarray(drawn.image.convert("L").resize((100, 63)), dtype=float)
    assert np.corrcoef(seen.ravel(), message.ravel())[0, 1] > 0.8


def thumb_of(card: Card) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(str(card.info["image"]))))
