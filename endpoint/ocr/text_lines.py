"""Words -> rows: what stands on one line of the card, left to right."""

from __future__ import annotations

from dataclasses import dataclass

from endpoint.ocr.engine import Word
from endpoint.ocr.values.normalize import plain


@dataclass(frozen=True, slots=True)
class Row:
    """Words on one line. `text` is their plain text without spaces; `owner[i]` is the word of its character i."""

    words: tuple[Word, ...]
    text: str
    owner: tuple[int, ...]

    @property
    def top(self) -> float:
        """Upper edge of the median word, pixels of the aligned card."""
        return sorted(word.top for word in self.words)[len(self.words) // 2]

    @property
    def bottom(self) -> float:
        """Lower edge of the median word, pixels of the aligned card."""
        return sorted(word.bottom for word in self.words)[len(self.words) // 2]

    @property
    def height(self) -> float:
        """Height of the line's ink, pixels of the aligned card."""
        return self.bottom - self.top


def rows_of(words: list[Word]) -> list[Row]:
    """Words in any order -> rows from top to bottom.

    A word joins the row whose last word it overlaps by half of the lower one's height, and most: a speck beside a
    line is covered by its words, too. Tesseract's own lines are not used: in sparse mode they break at wide spaces.
    """
    rows: list[list[Word]] = []
    for word in sorted(words, key=lambda word: word.left):
        near = [row for row in rows if _shared(row[-1], word) >= 0.5]
        if near:
            max(near, key=lambda row: _overlap(row[-1], word)).append(word)
        else:
            rows.append([word])
    return sorted((_row(row) for row in rows), key=lambda row: row.top)


def _overlap(one: Word, other: Word) -> float:
    return min(one.bottom, other.bottom) - max(one.top, other.top)


def _shared(one: Word, other: Word) -> float:
    return _overlap(one, other) / max(1.0, min(one.height, other.height))


def _row(words: list[Word]) -> Row:
    texts = [plain(word.text).replace(" ", "") for word in words]
    owner = [index for index, text in enumerate(texts) for _ in text]
    return Row(tuple(words), "".join(texts), tuple(owner))
