"""The QR code of a chip card: its text as particulars, found on a card and held against the print."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import zxingcpp

from endpoint.imaging.decode import Pixels
from endpoint.imaging.rectify import rectify
from endpoint.ocr.card_templates import SIDES
from endpoint.ocr.engine import Word
from endpoint.ocr.value_words import Reading
from endpoint.reader.gazetteer import Gazetteer
from endpoint.reader.qr_code import CardCode, parse_code, read_code
from endpoint.reader.response_fields import fill_info

TEXT = "001085900001|123456789|Nguyễn Văn Mẫu|04071985|Nam|Tổ 5, Phúc Xá, Ba Đình, Hà Nội|25062021"


def test_the_text_of_a_code_is_taken_apart() -> None:
    code = parse_code(TEXT)
    assert code is not None
    assert (code.former_number, code.fields) == (
        "123456789",
        {
            "id": "001085900001",
            "name": "NGUYỄN VĂN MẪU",
            "dob": "04-07-1985",
            "gender": "nam",
            "address": "Tổ 5, Phúc Xá, Ba Đình, Hà Nội",
            "issue_date": "25-06-2021",
        },
    )


@pytest.mark.parametrize(
    "text", ["", "https://example.org", TEXT + "|", TEXT[1:], TEXT.replace("04071985", "31021985"), "|" * 6]
)
def test_the_code_of_something_else_is_none(text: str) -> None:
    assert parse_code(text) is None


def card_with(code_px: int, card_px: int = 1000) -> Pixels:
    """A card with the code in its top right corner, which has a share of its width as of one 1000 wide."""
    code = np.asarray(zxingcpp.create_barcode(TEXT, zxingcpp.BarcodeFormat.QRCode).to_image(scale=8))
    side, card = round(code_px * card_px / 1000), np.full((round(0.63 * card_px), card_px, 3), 230, np.uint8)
    small = cv2.resize(code, (side, side), interpolation=cv2.INTER_AREA)
    right, top = round(0.97 * card_px), round(0.04 * card_px)
    card[top : top + side, right - side : right] = small[..., None]
    return card


@pytest.mark.parametrize(("wide", "is_read"), [(240, True), (130, True), (30, False)])
def test_a_code_is_found_on_a_card(wide: int, is_read: bool) -> None:
    assert (read_code(rectify(card_with(wide), None)) == parse_code(TEXT)) == is_read


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("card_px", [1000, 1800])
def test_a_blurred_code_is_made_sharp_whichever_way_the_card_lies(quarters: int, card_px: int) -> None:
    """Laid flat it is too blurred for the decoder; the sheet's own pixels, enlarged and sharpened, are not."""
    blurred = np.asarray(cv2.GaussianBlur(card_with(130, card_px), (0, 0), 1.5 * card_px / 1000), dtype=np.uint8)
    assert not zxingcpp.read_barcodes(blurred)
    card = rectify(np.ascontiguousarray(np.rot90(blurred, quarters)), None)
    assert read_code(card) == parse_code(TEXT)


def test_the_code_wins_over_the_print_and_a_contradiction_lowers_confidence() -> None:
    side = next(side for side in SIDES if side.document_type == "chip_id_card_front")
    code = parse_code(TEXT)
    assert isinstance(code, CardCode)
    readings = {
        field: Reading(text, (0, 0, 9, 9), (Word(text, 0, 0, 9, 9, 0.97),))
        for field, text in (("name", "NGUYỄN VĂN MẪU"), ("dob", "04-07-1986"))
    }
    info = fill_info(side, readings, None, Gazetteer(), code=code, to_sent=lambda box: box)
    assert {field: info[field] for field in ("id", "name", "dob")} == {
        "id": "001085900001", "name": "NGUYỄN VĂN MẪU", "dob": "04-07-1985",
    }  # fmt: skip
    assert float(str(info["name_confidence"])) > 0.97
    assert float(str(info["dob_confidence"])) < 0.7
