"""Cards -> the contract's envelope, in the vendor's observed forms: codes and `valid` are strings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from endpoint.errors import EndpointError
from schemas.contract import ERROR_CODES, SUCCESS, WARNING_CODES

Document = dict[str, object]
"""One entry of `data`: type, info and, where the card was judged, valid, invalidCode, invalidMessage."""


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """What one image gave: a code of `ERROR_CODES`, and its documents, none unless the code is success."""

    error_code: str
    documents: tuple[Document, ...] = ()


def answer_of(cards: Sequence[Card], *, image: bytes, says_valid: bool) -> ImageAnswer:
    """Cards of one image -> its answer. `valid` is left out for PDFs and several cards, as the contract says."""
    if not cards:
        return ImageAnswer("1")
    judged = says_valid and len(cards) == 1 and not is_pdf(image)
    return ImageAnswer(SUCCESS, tuple(_document(card, judged) for card in cards))


def joined(answers: Sequence[ImageAnswer]) -> ImageAnswer:
    """Answers of a request's images -> one: all documents in the order sent, or the first code that is no success.

    Two images of the same side stay two documents of one type: the types say what was sent, nothing is guessed.
    """
    for answer in answers:
        if answer.error_code != SUCCESS:
            return ImageAnswer(answer.error_code)
    return ImageAnswer(SUCCESS, tuple(document for answer in answers for document in answer.documents))


def envelope(answer: ImageAnswer) -> dict[str, object]:
    """The JSON object of a response."""
    code = answer.error_code
    return {"data": answer.documents, "errorCode": code, "errorMessage": ERROR_CODES[code]}


def is_pdf(image: bytes) -> bool:
    """Whether the bytes open as a PDF does: its header stands in the first kB (ISO 32000-1, note in 7.5.2)."""
    return b"%PDF-" in image[:1024]


def _document(card: Card, judged: bool) -> Document:
    document: Document = {"type": card.document_type, "info": card.info}
    if judged:
        code = card.warnings[0] if card.warnings else "0"
        document |= {
            "valid": str(not card.warnings),
            "invalidCode": code,
            "invalidMessage": WARNING_CODES[code],
        }
    return document


class NotAnImage(EndpointError, ValueError):
    """The bytes are no readable image or PDF (the contract's errorCode 3); the message never holds content."""


@dataclass(frozen=True, slots=True)
class Card:
    """One card found on an image.

    `document_type` is a key of `schemas.documents.DOCUMENTS`. `info` has every contract field of
    that type in the contract's wire forms: text as strings, dates "dd-mm-yyyy", `*_box`
    [left, top, right, bottom] in pixels of the image sent ([] where nothing was read),
    `*_confidence` floats 0 to 1, codes "-1" where unknown, `image` base64 of the aligned card as
    JPEG or "". `warnings` are the contract's `invalidCode` values found, worst first; empty: the
    card is valid.
    """

    document_type: str
    info: dict[str, object]
    warnings: tuple[str, ...]
