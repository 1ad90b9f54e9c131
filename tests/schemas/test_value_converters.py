"""Wire values as columns: the fast path, the careful path, and what fits neither."""

from __future__ import annotations

import base64
import math
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import Kind
from schemas.value_converters import COLUMNS_OF_KIND, ColumnValues, read_date, read_days, read_values

FLOAT32_MAX = float(np.finfo(np.float32).max)
NUMBERS = [2**31 - 1, 2**31, -(2**31), 10**400, FLOAT32_MAX, FLOAT32_MAX * (1 + 1e-9), FLOAT32_MAX * 1.1, 0.5, 1]
STRANGE = [math.nan, math.inf, -math.inf, True, None, [], {}]
TEXTS = ["0.5", "nan", "", " ", "12-03-2001", "31/02/2001", "2001", "\ud800"]
BOXES = [[1, 2, 3, 4], [1.5, "2", 3, 4], [1, 2, None, 4], [2**31, 0, 0, 0], [-(2**31), 0, 0, 0], [1, 2, 3]]
EDGES = st.sampled_from([*NUMBERS, *STRANGE, *TEXTS, *BOXES])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12)
VALUES = st.one_of(EDGES, SCALARS, st.lists(EDGES, min_size=3, max_size=5), st.just({"left": 1}))
USUAL = {
    Kind.TEXT: st.text(max_size=8) | EDGES.filter(lambda value: isinstance(value, str)),
    Kind.DATE: st.dates().map(lambda day: day.strftime("%d-%m-%Y")) | st.text(max_size=8),
    Kind.CONFIDENCE: st.floats() | EDGES.filter(lambda value: isinstance(value, float)),
    Kind.BOX: st.lists(st.integers(-(2**31) - 2, 2**31 + 2), min_size=4, max_size=4),
    Kind.IMAGE: st.binary(max_size=20).map(lambda raw: base64.encodebytes(raw).decode()),
}
ODD = {
    Kind.TEXT: 7,
    Kind.DATE: 7,
    Kind.CONFIDENCE: "0.25",
    Kind.BOX: ["1", 2, 3, 4],
    Kind.IMAGE: 7,
}
"""A value of each kind that sends its column down the careful path."""

KINDS = st.sampled_from(Kind)
COLUMNS = st.lists(VALUES, max_size=6)


@given(kind=KINDS, data=st.data())
def test_one_odd_value_does_not_change_how_the_others_are_read(kind: Kind, data: st.DataObject) -> None:
    """The whole-column path and the value-by-value path give the same cells for the same values."""
    values = data.draw(st.lists(USUAL[kind] | st.none(), max_size=8))
    fast, careful = read_values(kind, values), read_values(kind, [*values, ODD[kind]])
    assert [array.to_pylist() for array in fast.arrays] == [array[:-1].to_pylist() for array in careful.arrays]
    assert fast.invalid_rows == tuple(row for row in careful.invalid_rows if row < len(values))


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Kind.BOX, [-(2**31), 0, 0, 0]), (Kind.BOX, [2**31, 0, 0, 0]), (Kind.CONFIDENCE, FLOAT32_MAX * (1 + 1e-9))],
)
def test_bounds_are_the_same_on_both_paths(kind: Kind, value: object) -> None:
    """The largest and smallest values that a column holds do not depend on their neighbours."""
    fast, careful = read_values(kind, [value]), read_values(kind, [value, ODD[kind]])
    assert (fast.arrays[0][0], fast.invalid_rows) == (careful.arrays[0][0], careful.invalid_rows)


@given(kind=KINDS, values=COLUMNS)
def test_any_value_becomes_a_cell_or_a_misfit(kind: Kind, values: list[object]) -> None:
    """Whatever the wire holds, nothing raises, each column has its type and length, and a misfit is null."""
    cells = read_values(kind, values)
    assert [array.type for array in cells.arrays] == [arrow_type for _, arrow_type in COLUMNS_OF_KIND[kind]]
    assert [len(array) for array in cells.arrays] == [len(values)] * len(cells.arrays)
    for array in cells.arrays:
        array.validate(full=True)
        assert [array[row].as_py() for row in cells.invalid_rows] == [None] * len(cells.invalid_rows)


@given(kind=KINDS, values=COLUMNS)
def test_what_is_lost_from_a_column_is_named(kind: Kind, values: list[object]) -> None:
    """A null stands only where nothing was sent or where the row is named as a misfit."""
    cells = read_values(kind, values)
    text = cells.arrays[-1]  # of a date the text beside it
    empty = {row for row, value in enumerate(values) if value is None or value == "" or value == []}
    nulls = {row for row in range(len(values)) if not text[row].is_valid}
    assert nulls - empty <= set(cells.invalid_rows)


@given(kind=KINDS, values=COLUMNS)
def test_values_are_read_alone_as_among_others(kind: Kind, values: list[object]) -> None:
    """The cells of a column are those of its values read one at a time."""
    batched = read_values(kind, values)
    alone = [read_values(kind, [value]) for value in values]
    for number, array in enumerate(batched.arrays):
        assert array.to_pylist() == [cells.arrays[number][0].as_py() for cells in alone]
    assert batched.invalid_rows == tuple(row for row, cells in enumerate(alone) if cells.invalid_rows)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("12-03-2001", date(2001, 3, 12)),
        ("12/03/2001", date(2001, 3, 12)),
        (" 2.3.2001 ", date(2001, 3, 2)),
        ("2001", None),
        ("31-02-2001", None),
        ("00-00-0000", None),
        ("Không thời hạn", None),
        ("12-03-20011", None),
        ("", None),
    ],
)
def test_dates_are_day_month_year(text: str, day: date | None) -> None:
    """A day, month and year make a date; a year alone, words and impossible days make none."""
    assert read_date(text) == day


LIKE_DATES = st.from_regex(r"[0-9]{2}[-/.][0-9]{2}[-/.][0-9]{4}", fullmatch=True) | st.dates().map("{:%d-%m-%Y}".format)


@given(st.lists(LIKE_DATES | st.text("0123456789-/. é\u0661", min_size=8, max_size=10) | st.none(), max_size=8))
def test_many_dates_are_read_as_each_alone(texts: list[str | None]) -> None:
    """A column of texts gives the days that its texts give by themselves, also as part of a longer one."""
    days = [None if text is None else read_date(text) for text in texts]
    column = pa.array([*texts, "x"], pa.string())
    assert (read_days(column[:-1]).to_pylist(), read_days(column[1:]).to_pylist()) == (days, [*days, None][1:])


def test_date_keeps_its_text() -> None:
    """A date column has the text as returned beside it, also where it is no date."""
    cells = read_values(Kind.DATE, ["12-03-2001", "2001", "", None, 2001, ["x"]])
    assert cells == ColumnValues(
        (
            pa.array([date(2001, 3, 12), None, None, None, None, None], pa.date32()),
            pa.array(["12-03-2001", "2001", "", None, "2001", None], pa.string()),
        ),
        invalid_rows=(5,),
    )


def test_numbers_become_text() -> None:
    """A number where text is expected is text; an object, a list or a truth value is not."""
    cells = read_values(Kind.TEXT, [549, -1, 1.5, "549", {}, [], True])
    assert cells == ColumnValues((pa.array(["549", "-1", "1.5", "549", None, None, None]),), invalid_rows=(4, 5, 6))


def test_boxes_are_whole_pixels() -> None:
    """Floats and numeric strings are rounded to pixels; empty and null boxes are null, others misfits."""
    given_boxes = [[1, 2, 3, 4], [1.6, "2", 3, 4], [], None, "", [1, 2, 3], [1, 2, 3, None], {"left": 1}]
    cells = read_values(Kind.BOX, given_boxes)
    sides = ("left", "top", "right", "bottom")
    whole, rounded = dict(zip(sides, (1, 2, 3, 4), strict=True)), dict(zip(sides, (2, 2, 3, 4), strict=True))
    assert cells.arrays[0].to_pylist() == [whole, rounded, *[None] * 6]
    assert cells.invalid_rows == (5, 6, 7)


def test_confidences_are_numbers() -> None:
    """Numbers and numeric strings are confidences; empty ones null; what is infinite or no number a misfit."""
    cells = read_values(Kind.CONFIDENCE, [0.9941802024841309, 1, "0.5", None, "", "sure", math.nan, 1e300])
    assert cells.arrays[0].to_pylist() == [np.float32(0.9941802024841309), 1.0, 0.5, *[None] * 5]
    assert cells.invalid_rows == (5, 6, 7)


def test_a_confidence_is_what_a_float32_holds() -> None:
    """The first double whose nearest float32 is infinite is a misfit, on both paths; the one below it is a value."""
    overflow = 2.0**128 - 2.0**103
    below = math.nextafter(overflow, 0.0)
    for others in ([], ["0.5"]):
        cells = read_values(Kind.CONFIDENCE, [below, overflow, -below, -overflow, *others])
        assert cells.arrays[0].to_pylist()[:4] == [FLOAT32_MAX, None, -FLOAT32_MAX, None]
        assert cells.invalid_rows == (1, 3)


def test_images_are_base64_in_any_dress() -> None:
    """Base64 with or without line breaks or a data: prefix gives the bytes; anything else is a misfit."""
    raw = bytes(range(256))
    plain, broken = base64.b64encode(raw).decode(), base64.encodebytes(raw).decode()
    cells = read_values(Kind.IMAGE, [plain, broken, f"data:image/jpeg;base64,{plain}", "", None, "%%%", "é", 7])
    assert cells == ColumnValues((pa.array([raw, raw, raw, *[None] * 5], pa.binary()),), invalid_rows=(5, 6, 7))


def test_days_are_read_together_as_one_by_one() -> None:
    """Texts of ten characters that are no usual date, and every change of one character of a usual one."""
    usual = "01-02-2020"
    changed = [usual[:at] + one + usual[at + 1 :] for at in range(10) for one in "0139-/.: a"]
    texts = [" 1/2/2020 ", "1/12/2020 ", *changed]
    assert read_days(pa.array(texts)).to_pylist() == [read_date(text) for text in texts]
