"""The bundled cards are read as their truth says, field by field, and what is no card is refused or empty."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.reading import ALL_CONDITIONS, HALVES, specimen_of
from endpoint.answers import NotAnImage
from endpoint.ocr.engine import TextEngine, Word
from endpoint.reader.card_reader import CardReader
from endpoint.reader.gazetteer import Gazetteer
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from specimens.drawing.disturb import disturbed
from tests.specimens.fonts import needs_fonts

CARDS = Path(__file__).parents[3] / "cards"
TRUTH = json.loads((CARDS / "truth.json").read_text(encoding="utf-8"))
UNREADABLE = {"bad-empty.jpg", "bad-text.jpg", "bad-truncated.jpg"}


@pytest.fixture(scope="module")
def reader() -> CardReader:
    return CardReader()


@pytest.mark.parametrize("name", sorted(set(TRUTH) - UNREADABLE))
def test_a_bundled_card_says_what_its_truth_says(reader: CardReader, name: str) -> None:
    cards = reader.read((CARDS / name).read_bytes(), get_thumb=False)
    text = [
        {
            "type": card.document_type,
            "info": {key: card.info[key] for key in message["info"]},
            "warnings": card.warnings,
        }
        for card, message in zip(cards, TRUTH[name], strict=True)
    ]
    assert text == [{"type": message["type"], "info": message["info"], "warnings": ()} for message in TRUTH[name]]


@needs_fonts
def test_a_card_of_which_little_is_read_is_read_within_its_next_outline(reader: CardReader) -> None:
    """The likeliest outline of this drawing leaves a part of its card out."""
    gazetteer, half, condition = Gazetteer(), HALVES["tuning"], "hard phone"
    specimen, random = specimen_of(half, condition, 35, gazetteer)
    (card,) = reader.read(disturbed(specimen, ALL_CONDITIONS[condition], random)[0], get_thumb=False)
    assert card.document_type == specimen.document_type


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_what_is_no_image_is_refused_without_its_content(reader: CardReader, name: str) -> None:
    content = (CARDS / name).read_bytes()
    with pytest.raises(NotAnImage) as caught:
        reader.read(content, get_thumb=False)
    assert "someone" not in str(caught.value)


def test_every_contract_field_is_there_in_its_kind(reader: CardReader) -> None:
    (card,) = reader.read((CARDS / "chip-front-01.jpg").read_bytes(), get_thumb=True)
    kinds = {Kind.TEXT: str, Kind.DATE: str, Kind.IMAGE: str, Kind.CONFIDENCE: float, Kind.BOX: list}
    assert {key: type(value) for key, value in card.info.items()} == {
        field.name: kinds[field.kind] for field in DOCUMENTS["chip_id_card_front"]
    }
    with Image.open(io.BytesIO(base64.b64decode(card.info["image"]))) as thumb:
        assert (thumb.format, thumb.width) == ("JPEG", 1000)


def test_boxes_are_in_pixels_of_the_image_sent(reader: CardReader) -> None:
    message = TRUTH["chip-front-02.jpg"][0]["boxes"]
    with Image.open(CARDS / "chip-front-02.jpg") as image:
        canvas = Image.new("RGB", (image.width * 2, image.height * 2), (60, 50, 44))
        canvas.paste(image, (200, 300))
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=92)
    (card,) = reader.read(out.getvalue(), get_thumb=False)
    for name, (left, top, right, bottom) in message.items():
        box = card.info[f"{name}_box"]
        assert box == pytest.approx([left + 200, top + 300, right + 200, bottom + 300], abs=12), name


def test_a_value_that_the_images_edge_cuts_is_no_more_than_a_guess(reader: CardReader) -> None:
    message = TRUTH["chip-front-02.jpg"][0]["boxes"]
    with Image.open(CARDS / "chip-front-02.jpg") as image:
        canvas = Image.new("RGB", (image.width + 400, image.height + 400), (60, 50, 44))
        canvas.paste(image, (200, 200))
    widest = max(("hometown", "address", "nationality"), key=lambda name: message[name][2])
    out = io.BytesIO()
    canvas.crop((0, 0, 200 + message[widest][2] - 40, 200 + image.height - 60)).save(out, "JPEG", quality=92)
    (card,) = reader.read(out.getvalue(), get_thumb=False)
    assert (card.document_type, card.warnings) == ("chip_id_card_front", ("6",))
    assert card.info["id"] == TRUTH["chip-front-02.jpg"][0]["info"]["id"]
    assert card.info["id_confidence"] > 0.8
    assert card.info[f"{widest}_confidence"] < 0.6


def test_of_a_crowded_sheet_one_orientation_is_read(reader: CardReader, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    words = [Word("x", 5 * index, 20 * (index % 30), 5 * index + 4, 20 * (index % 30) + 9, 0.9) for index in range(600)]
    monkeypatch.setattr(TextEngine, "words", lambda *_: passes.append(1) or words)
    out = io.BytesIO()
    Image.new("RGB", (700, 500), "white").save(out, "PNG")
    assert reader.read(out.getvalue(), get_thumb=False) == []
    assert len(passes) == 1


def test_a_card_half_read_is_not_read_upside_down(reader: CardReader, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    lines = (("GIẤY CHỨNG MINH NHÂN DÂN", 60), ("Sinh ngày 08-10-1962", 300))
    words = [
        Word(text, 300 + 90 * at, top, 380 + 90 * at, top + 30, 0.9)
        for line, top in lines
        for at, text in enumerate(line.split())
    ]
    monkeypatch.setattr(TextEngine, "words", lambda *_: passes.append(1) or words)
    monkeypatch.setattr(TextEngine, "line", lambda *_: [])  # of a white image it reads specks
    out = io.BytesIO()
    Image.new("RGB", (1000, 630), "white").save(out, "PNG")
    (card,) = reader.read(out.getvalue(), get_thumb=False)
    assert (card.document_type, card.info["dob"], len(passes)) == ("9_id_card_front", "08-10-1962", 1)
