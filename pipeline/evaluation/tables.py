"""Evaluation -> tables to print or to show: counts, shares and names of fields; no text of a card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.evaluation.evaluate import Evaluation
from pipeline.evaluation.scoring import (
    FieldScore,
    Result,
    Share,
    by_key,
    calibration_error,
    readings,
    reliability,
    shares,
    threshold,
)

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table to print or to show: its title, its columns, its rows. The first `texts` columns are words."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    texts: int = 1


def tables_of(found: Evaluation, precision: float) -> Iterator[Table]:
    """Everything that is told of one output."""
    yield _overview(found)
    yield _types(found)
    of_field = by_key(found.scores, lambda one: (one.document_type, one.field))
    result_columns = ("n", *(f"{result.value}" for result in Result), "exact %", "char. error %")
    rows = [(*key, *_share_cells(shares(scores))) for key, scores in sorted(of_field.items())]
    total = [("all", "", *_share_cells(shares(found.scores)))]
    yield Table("By type and field", ("type", "field", *result_columns), (*rows, *total), texts=2)
    bins = reliability(readings(found.scores))
    yield Table(
        f"Calibration (expected calibration error {calibration_error(bins):.3f})",
        ("confidence", "values", "mean confidence", "share right"),
        tuple((f"{one.low:.2f} to {one.high:.2f}", one.n, round(one.stated, 3), round(one.right, 3)) for one in bins),
    )
    yield Table(
        f"Lowest confidence to accept, for a precision of {precision:g}",
        ("type", "field", "values", "confidence", "precision", "accepted %"),
        tuple(
            _threshold_row(key, scores, precision)
            for key, scores in [*sorted(of_field.items()), (("all", ""), found.scores)]
            if readings(scores)
        ),
        texts=2,
    )


def _threshold_row(key: tuple[str, str], scores: Sequence[FieldScore], precision: float) -> Row:
    found, values = threshold(readings(scores), precision), len(readings(scores))
    if found is None:
        return (*key, values, "none", "", "")
    return (*key, values, round(found.confidence, 3), round(found.precision, 4), _percent(found.kept))


def _overview(found: Evaluation) -> Table:
    total = shares(found.scores)
    each = found.cost_per_right_card
    rows: list[Row] = [
        ("cards in the truth", found.cards),
        ("cards without a document", found.unread_cards),
        ("cards with every field right", found.right_cards),
        ("fields judged", total.n),
        ("fields right, %", _percent(total.exact / total.n if total.n else 0.0)),
        ("character error rate, %", _percent(total.character_error_rate)),
        ("cost of all runs", "no price" if found.cost is None else round(found.cost, 4)),
        ("cost per right card", "no price" if each is None else round(each, 4)),
    ]
    return Table("Overview", ("", "value"), tuple(rows))


def _types(found: Evaluation) -> Table:
    counts: dict[tuple[str, str], int] = {}
    for true, stated_text in found.types:
        key = (true or "(not told)", stated_text or "(no document)")
        counts[key] = counts.get(key, 0) + 1
    rows = tuple((*key, count) for key, count in sorted(counts.items()))
    return Table("Types", ("true type", "type read", "cards"), rows, texts=2)


def _share_cells(share: Share) -> Row:
    counts = (share.n, share.exact, share.partly, share.wrong, share.missing)
    return (*counts, _percent(share.exact / share.n if share.n else 0.0), _percent(share.character_error_rate))


def _percent(share: float) -> float:
    return round(100 * share, 2)


def compared(found: Evaluation, other: Evaluation, name: str) -> Table:
    """Of each field, how many values are right in both outputs, only here, only there, and in neither."""
    there = {(one.card, one.field): one.result is Result.EXACT for one in other.scores}
    rows: list[Row] = []
    of_field = by_key(found.scores, lambda one: (one.document_type, one.field))
    for key, scores in [*sorted(of_field.items()), (("all", ""), found.scores)]:
        pairs = [(one.result is Result.EXACT, there[one.card, one.field]) for one in scores]
        counts = [pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))]
        change = 100 * (counts[1] - counts[2]) / len(pairs)
        rows.append((*key, *counts, round(change, 2)))
    columns = ("type", "field", "right in both", "only here", "only there", "in neither", "change, points")
    return Table(f"Compared with {name}", columns, tuple(rows), texts=2)


def printed(table: Table) -> str:
    """A table as lines of text, words to the left and numbers to the right."""
    cells = [[str(value) for value in row] for row in (table.columns, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(_aligned(row, widths, table.texts)).rstrip() for row in cells]
    return "\n".join([table.title, *(f"  {line}" for line in lines)])


def _aligned(row: Sequence[str], widths: Sequence[int], texts: int) -> Iterator[str]:
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if at < texts else cell.rjust(width)
