"""Cards become the contract's documents: judged where the contract judges, and only there."""

from __future__ import annotations

import pytest

from endpoint.answers import Card, ImageAnswer, answer_of, envelope, joined
from schemas.contract import WARNING_CODES

INFO: dict[str, object] = {"id": "001"}
CARD = Card("passport", INFO, ())
JUDGED = {"valid": "True", "invalidCode": "0", "invalidMessage": "Successful"}
BARE = {"type": "passport", "info": INFO}


@pytest.mark.parametrize(
    ("cards", "image", "says_valid", "documents"),
    [
        ([CARD], b"\xff\xd8", True, ({**BARE, **JUDGED},)),
        ([CARD], b"\xff\xd8", False, (BARE,)),
        ([CARD], b"%PDF-1.7", True, (BARE,)),
        ([CARD], b"\r\n %PDF-1.7", True, (BARE,)),
        ([CARD], b"\xef\xbb\xbf%PDF-1.7", True, (BARE,)),
        ([CARD, CARD], b"\xff\xd8", True, (BARE, BARE)),
    ],
    ids=["one card", "ocr", "PDF", "PDF after blanks", "PDF after a mark", "several cards"],
)
def test_a_card_is_judged_alone_on_an_image(
    cards: list[Card], image: bytes, says_valid: bool, documents: tuple[dict[str, object], ...]
) -> None:
    assert answer_of(cards, image=image, says_valid=says_valid) == ImageAnswer("0", documents)


@pytest.mark.parametrize("code", sorted(set(WARNING_CODES) - {"0"}))
def test_each_warning_is_said_with_its_message(code: str) -> None:
    answer = answer_of([Card("passport", INFO, (code, "6"))], image=b"", says_valid=True)
    judged = {"valid": "False", "invalidCode": code, "invalidMessage": WARNING_CODES[code]}
    assert answer == ImageAnswer("0", ({**BARE, **judged},))


def test_no_card_is_no_content() -> None:
    assert answer_of([], image=b"", says_valid=True) == ImageAnswer("1")


def test_documents_of_a_request_stand_in_the_order_sent_unless_one_image_failed() -> None:
    front, back = ImageAnswer("0", ({"type": "a"},)), ImageAnswer("0", ({"type": "b"}, {"type": "c"}))
    assert joined([front, back]) == ImageAnswer("0", ({"type": "a"}, {"type": "b"}, {"type": "c"}))
    assert joined([front, ImageAnswer("3")]) == ImageAnswer("3")
    assert joined([ImageAnswer("1"), ImageAnswer("3")]) == ImageAnswer("1")


def test_the_envelope_has_the_code_and_its_message() -> None:
    assert envelope(ImageAnswer("3")) == {"data": (), "errorCode": "3", "errorMessage": "Incorrect image format"}
