"""An image -> the cards on it. What the HTTP side knows of reading is this module."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import cv2
import numpy as np

from endpoint.answers import Card, NotAnImage
from endpoint.imaging.decode import Pixels, Sheet, open_sheets
from endpoint.imaging.enhance import enhance, without_faint
from endpoint.imaging.find_card import find_cards, search_image
from endpoint.imaging.find_cut_card import find_cut_card
from endpoint.imaging.orientation import marks_on, turns_to_try
from endpoint.imaging.rectify import RectifiedCard, rectify, to_source_box, turned
from endpoint.imaging.tampering import quality_flags
from endpoint.malloc import give_back, keep_blocks_for_reuse
from endpoint.mrz.classifier import GlyphClassifier
from endpoint.mrz.decode import Zone, read_zone
from endpoint.mrz.formats import FORMATS
from endpoint.mrz.locate import Band, without_zone, zone_bands
from endpoint.mrz.segment import zone_cells
from endpoint.ocr.agreement import with_agreement
from endpoint.ocr.card_templates import SIDES, Side
from endpoint.ocr.digit_classifier import DigitReader
from endpoint.ocr.engine import TextEngine, Word
from endpoint.ocr.label_matching import (
    Anchor,
    best_template,
    find_anchors,
    has_title,
    place_labels,
    side_by_title,
    side_by_words,
)
from endpoint.ocr.lost_words import with_lost_words
from endpoint.ocr.second_pass import recover_labels, reread_low_confidence, with_small_print
from endpoint.ocr.text_lines import Row, rows_of
from endpoint.ocr.value_words import Reading
from endpoint.ocr.values.expiry import with_expiry
from endpoint.ocr.values.field_values import Labelled, read_fields
from endpoint.ocr.values.numbers import with_number
from endpoint.reader.doubts import is_doubtful
from endpoint.reader.gazetteer import Gazetteer
from endpoint.reader.qr_code import CardCode, read_code
from endpoint.reader.response_fields import fill_info
from endpoint.reader.warning_codes import warnings_of

__all__ = ["Card", "CardReader", "NotAnImage"]

MIN_TEMPLATE_SCORE = 0.45
"""Share of a side's phrases and labels that must be found for a card to be one."""
LARGE = 0.25
"""Share of the sheet, or of a shape behind it, that an outline covers so that it is the card; a portrait does not."""
MIN_PX, MAX_LONG = 100, 12
"""The short side of a sheet that may hold a card, and its long side in short ones: cards of longer ones are small."""
MAX_MARKS = 3_500
"""A sheet with more is no card: specimens have 2,400 at most, a page of small print 4,300 or more. Each takes 4 kB."""
MAX_WORDS = 500
"""A sheet with more is a page or grain: a card has 120 at most, with specks of a pattern under it 250."""
PATTERNED = 450
"""With more marks on a card of which little is read, a pattern may lie under its print; clean ones have 400."""
MAX_AGAIN = 2
"""A sheet with more outlines is not looked at again in others: a page of boxes has many, each half a second."""
RIM_SHARE = 0.025
"""Corners of a card that is wholly on the image are so far from its rim, in shares of its long side."""
MIN_CERTAIN_SCORE = 0.62
"""With fewer found, the card is read again: its small print enlarged, or without what is fainter than print."""
CERTAIN_SCORE = 0.85
"""With so many found no zone is asked for another type: a chip back was taken for one without a zone at 0.67."""
MIN_UPRIGHT_SCORE = 0.4
"""With so many found the card lies the right way up: the other way, hardly any text is like one of a card."""


NEAR_EDGE = 1.5
"""A line that ends so near the image's edge, in its heights, may go on beyond it."""
MIN_ZONE_CONFIDENCE = 0.6
"""A zone that tells the type is at least so sure: that of other lines that hold by chance is not."""


@dataclass(frozen=True, slots=True)
class Read:
    """A card that was read: the side it is, how it lay (`scale`: sent pixels a sheet pixel), its readings and zone."""

    side: Side
    share: float
    card: RectifiedCard
    scale: float
    readings: dict[str, Reading]
    zone: Zone | None
    flags: frozenset[str] = frozenset()
    code: CardCode | None = None
    is_crowded: bool = False
    """Whether more stands there than on any card, so that no other orientation is worth a try."""


class CardReader:
    """Opens what is heavy (text engine, gazetteer, classifier) once; one reader per process, not for threads."""

    def __init__(self) -> None:
        keep_blocks_for_reuse()
        self._engine = TextEngine()
        self._gazetteer = Gazetteer()
        self._glyphs = GlyphClassifier()
        self._digits = DigitReader()
        cv2.setNumThreads(1)

    def read(self, image: bytes, *, get_thumb: bool) -> list[Card]:
        """Image or PDF -> its cards in reading order; empty where none is found.

        Raises NotAnImage for bytes that are neither. Nothing of a card's content is logged.
        """
        try:
            cards: list[Card] = []
            for sheet in open_sheets(image, self._make_room):
                cards += [self.card(read, get_thumb=get_thumb) for read in self.read_sheet(sheet)]
                del sheet  # before the next page is drawn: one takes 12 MB
            return cards
        finally:
            give_back()

    def _make_room(self) -> None:
        """For a large image while it is decoded: text is read later."""
        self._engine.release()
        give_back()

    def read_sheet(self, sheet: Sheet) -> Iterator[Read]:
        """Sheet -> what stands on its cards: those with an outline; where little of one is read, the whole is."""
        short, long = sorted(sheet.pixels.shape[:2])
        if short < MIN_PX or long > MAX_LONG * short:
            return
        best: list[Read] = []
        for cards in candidate_layouts(sheet.pixels):
            found = [read for card in cards if (read := self._oriented(card, sheet.scale))]
            best = max(best, found, key=_certainty)
            if len(best) > 1 or _certainty(best)[1] >= MIN_CERTAIN_SCORE:
                break
        yield from (_judged(read, sheet.pixels) for read in best)

    def _oriented(self, card: RectifiedCard, scale: float) -> Read | None:
        """The card the right way up, likeliest first: half a turn may be needed, quarters too for a whole sheet."""
        grey = enhance(card.pixels)
        marks = marks_on(grey)
        if marks > MAX_MARKS:
            return None
        code = read_code(card)
        turns = turns_to_try(grey, any_quarter=not card.outlined)
        best, quarters = self._best_turn(card, grey, scale, code, turns)
        if best.share < MIN_CERTAIN_SCORE and marks > PATTERNED and not best.is_crowded:
            likeliest = (quarters,) if best.share >= MIN_UPRIGHT_SCORE else turns[:2]
            again, _ = self._best_turn(card, without_faint(grey), scale, code, likeliest)
            best = max(best, again, key=lambda read: read.share)
        return best if best.share >= MIN_TEMPLATE_SCORE else None

    def _best_turn(
        self, card: RectifiedCard, grey: Pixels, scale: float, code: CardCode | None, turns: Sequence[int]
    ) -> tuple[Read, int]:
        """The card as it reads best, and the quarter turns to that."""
        reads: list[tuple[Read, int]] = []
        for quarters in turns:
            upright = np.ascontiguousarray(np.rot90(grey, quarters))
            read = self._read_oriented(turned(card, quarters), upright, scale, code)
            reads.append((read, quarters))
            if read.share >= MIN_UPRIGHT_SCORE or read.is_crowded:
                break
        return max(reads, key=lambda item: item[0].share)

    def _read_oriented(self, card: RectifiedCard, grey: Pixels, scale: float, code: CardCode | None) -> Read:
        bands = zone_bands(grey)
        words = self._engine.words(without_zone(grey, bands))
        if len(words) > MAX_WORDS:
            return Read(SIDES[0], 0.0, card, scale, {}, None, is_crowded=True)
        rows = rows_of(_plausible(words))
        anchors = find_anchors(rows)
        side, share = best_template(anchors, has_code=code is not None)
        if share < MIN_CERTAIN_SCORE and has_title(anchors):
            rows = with_small_print(self._engine, grey, rows)
            anchors = find_anchors(rows)
            side, share = best_template(anchors, has_code=code is not None)
        if share < MIN_TEMPLATE_SCORE or (side.document_type not in FORMATS and share < CERTAIN_SCORE):
            side, share = self._side_of_zone(grey, bands, anchors) or (side, share)
        if share < MIN_TEMPLATE_SCORE and (side_of_rows := _side_of_rows(rows, anchors, bands)):
            side, share = side_of_rows, MIN_TEMPLATE_SCORE
        if share < MIN_TEMPLATE_SCORE:
            return Read(side, share, card, scale, {}, None, code=code)
        rows = recover_labels(self._engine, grey, side, rows, place_labels(side, rows, anchors))
        labelled = Labelled(rows, place_labels(side, rows, find_anchors(rows)))
        doubts = partial(self._is_doubtful, side.document_type)
        readings = read_fields(side, labelled)
        readings = reread_low_confidence(self._engine, grey, side, labelled, readings, is_doubtful=doubts)
        readings = with_lost_words(self._engine, grey, side, labelled, readings)
        readings = with_expiry(self._engine, grey, side, readings)
        readings = with_agreement(self._engine, grey, side, readings, is_doubtful=doubts)
        readings = with_number(self._digits, card.pixels, side.document_type, readings)
        return Read(side, share, card, scale, readings, self._zone(grey, bands, side), code=code)

    def _side_of_zone(
        self, grey: Pixels, bands: Sequence[Band], anchors: Sequence[Anchor]
    ) -> tuple[Side, float] | None:
        """The side that a zone whose check digits hold stands on, however little else is read: it is certain."""
        for document_type in FORMATS if bands else ():
            sides = [side for side in SIDES if side.document_type == document_type]
            zone = self._zone(grey, bands, sides[0])
            if zone is not None and zone.checked and zone.confidence >= MIN_ZONE_CONFIDENCE:
                side, share = best_template(anchors, among=sides)
                return side, max(share, MIN_CERTAIN_SCORE)
        return None

    def _is_doubtful(self, document_type: str, field: str, value: str) -> bool:
        return is_doubtful(document_type, field, value, self._gazetteer, today=date.today())

    def _zone(self, grey: Pixels, bands: Sequence[Band], side: Side) -> Zone | None:
        layout = FORMATS.get(side.document_type)
        cells = zone_cells(grey, bands, layout) if layout else None
        if layout is None or cells is None:
            return None
        shape = (len(layout.masks), len(layout.masks[0]), -1)
        return read_zone(self._glyphs(cells).reshape(shape), layout, date.today())

    def card(self, read: Read, *, get_thumb: bool) -> Card:
        """What was read -> the contract's answer."""
        to_sent = partial(to_source_box, read.card, read.scale)
        info = fill_info(
            read.side, read.readings, read.zone, self._gazetteer, code=read.code, today=date.today(), to_sent=to_sent
        )
        info["image"] = thumb(read.card) if get_thumb else ""
        return Card(read.side.document_type, info, warnings_of(read.side.document_type, info, read.flags))


def _certainty(found: Sequence[Read]) -> tuple[int, float]:
    """How many cards were read, and how much was found of the one of which the least was."""
    return len(found), min((read.share for read in found), default=0.0)


def _side_of_rows(rows: Sequence[Row], anchors: Sequence[Anchor], bands: Sequence[Band]) -> Side | None:
    """The side by what stands on it in large print, where its labels are lost; one with a zone has others."""
    return side_by_title(rows, anchors) or (None if bands else side_by_words(rows, anchors))


def _judged(read: Read, sheet: Pixels) -> Read:
    """With the signs its pixels show; of a cut card, what ends at the image's rim is no more than a guess."""
    readings = {name: _trusted(reading, read.card, sheet) for name, reading in read.readings.items()}
    return replace(read, readings=readings if read.card.cut else read.readings, flags=quality_flags(sheet, read.card))


def _trusted(reading: Reading, card: RectifiedCard, sheet: Pixels) -> Reading:
    """The reading, less sure if the image ends where its line does: letters beyond may be missing."""
    left, top, right, bottom = to_source_box(card, 1.0, reading.box)
    space = NEAR_EDGE * reading.words[0].height
    if left > space and right < sheet.shape[1] - space and top > 0 and bottom < sheet.shape[0]:
        return reading
    words = tuple(replace(word, confidence=word.confidence / 3) for word in reading.words)
    return replace(reading, words=words, agreed=None)


def candidate_layouts(sheet: Pixels) -> Iterator[Iterator[RectifiedCard]]:
    """How the sheet's cards may lie, likeliest first: partly outside the image, within outlines (each card's best, and
    then the second of those that have one), over all of it.

    With a large outline well inside the image, what runs over its edge is no card but perhaps a sheet of paper.
    """
    search = search_image(sheet)
    outlines = find_cards(search)
    height, width = sheet.shape[:2]
    near = RIM_SHARE * max(height, width)
    whole = [
        corners for corners in outlines if (corners > near).all() and (corners < (width - near, height - near)).all()
    ]
    seen = max((cv2.contourArea(corners.astype(np.float32)) for corners in whole), default=0.0)
    cut = find_cut_card(search) if seen < LARGE * height * width else None
    del search  # 1.4 MB, not held while cards are read
    if cut is not None and seen < LARGE * cv2.contourArea(cut.astype(np.float32)):
        yield iter([rectify(sheet, cut, cut=True)])
    yield (rectify(sheet, corners) for corners in outlines)
    if len(outlines) <= MAX_AGAIN:
        yield (rectify(sheet, corners) for corners in find_cards(search_image(sheet), choice=1))
    yield iter([rectify(sheet, None)])


def _plausible(words: list[Word]) -> list[Word]:
    """Without what is no text: very unsure specks, and shapes as tall as a portrait. A dash is a pixel high."""
    return [
        word
        for word in words
        if word.confidence > (0.1 if word.text[:2].isalpha() and len(word.text) > 1 else 0.2)
        and (5 < word.height < 70 or word.text in "-–")
    ]


def thumb(card: RectifiedCard) -> str:
    """The aligned card as a JPEG in base64, without line breaks."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(card.pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return base64.b64encode(encoded.tobytes()).decode("ascii")
