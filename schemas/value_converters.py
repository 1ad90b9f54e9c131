"""Wire values -> Arrow columns, as liberally as the endpoint writes them.

Each kind of field has one reader: a whole column at a time where every value has the
usual form, value by value where one has not. What does not fit its column becomes
null there and is handed back, so that `extra` can keep it.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.fields import Kind

BOX_TYPE = pa.struct([(side, pa.int32()) for side in ("left", "top", "right", "bottom")])

COLUMNS_OF_KIND: dict[Kind, tuple[tuple[str, pa.DataType], ...]] = {
    Kind.TEXT: (("", pa.string()),),
    Kind.DATE: (("", pa.date32()), ("_text", pa.string())),
    Kind.CONFIDENCE: (("", pa.float32()),),
    Kind.BOX: (("", BOX_TYPE),),
    Kind.IMAGE: (("", pa.binary()),),
}
"""Column suffixes and types that a field of each kind becomes."""


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """The columns of one field over many documents, and the rows whose value did not fit."""

    arrays: tuple[pa.Array, ...]
    invalid_rows: tuple[int, ...] = ()


class _Invalid(ValueError):
    """A value that its column cannot hold."""


_Null = type(None)
_Days = npt.NDArray[np.datetime64]
_TRUTHS: dict[str, bool] = {"true": True, "false": False}
_NO_BOX = (0, 0, 0, 0)
_FLOAT32_OVERFLOW = 2.0**128 - 2.0**103  # from here on the nearest float32 is infinite
_MONTHS = np.arange("0001-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]")
"""The first day of every month that a date can be in, and of the one behind."""
_DATE = re.compile(r"\s*(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})\s*")


@lru_cache(maxsize=65536)
def read_date(text: str) -> date | None:
    """Day-month-year with `-`, `/` or `.` -> date; None for a year alone, words or an impossible day."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    day, month, year = map(int, found.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None


def read_days(texts: pa.Array) -> pa.Array:
    """`read_date` of every text: ten characters with two separators all at once, the others one by one."""
    days = np.full(len(texts), "NaT", "datetime64[D]")
    is_usual = pc.fill_null(pc.equal(pc.binary_length(texts), 10), False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(is_usual)
    if len(rows):
        taken = texts.take(pa.array(rows)).cast(pa.binary()).cast(pa.binary(10))
        found, is_read = _days_of_ten(np.frombuffer(taken.buffers()[1], np.uint8).reshape(-1, 10).T.copy())
        days[rows[is_read]] = found[is_read]
        is_usual[rows[~is_read]] = False
    others = np.flatnonzero(~is_usual)
    for row, text in zip(others.tolist(), texts.take(pa.array(others)).to_pylist(), strict=True):
        days[row] = None if text is None else read_date(text)
    return pa.array(days, pa.date32(), mask=np.isnat(days))


def _days_of_ten(characters: npt.NDArray[np.uint8]) -> tuple[_Days, npt.NDArray[np.bool_]]:
    """Ten rows of characters -> the days in their columns, NaT for one in no calendar; and which have this form."""
    digits = characters - np.uint8(ord("0"))  # what is below wraps around
    is_separator = (characters == ord("-")) | (characters == ord("/")) | (characters == ord("."))
    is_usual = (digits[[0, 1, 3, 4, 6, 7, 8, 9]] <= 9).all(axis=0) & is_separator[2] & is_separator[5]
    day, month, century, of_century = (10 * digits[at] + digits[at + 1] for at in (0, 3, 6, 8))
    year = 100 * century.astype(np.int32) + of_century
    is_usual &= (month >= 1) & (month <= 12) & (year >= 1)
    months = np.where(is_usual, 12 * (year - 1) + month - 1, 0)
    days = _MONTHS[months] + (day - 1)
    days[(day < 1) | (days >= _MONTHS[months + 1])] = np.datetime64("NaT")
    return days, is_usual


def _text(value: object) -> str | None:
    if isinstance(value, str):
        value.encode()  # a lone surrogate is valid JSON but no text
        return value
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Invalid
    return str(value)


def _number(value: object) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _Invalid
    number = float(value)
    if not math.isfinite(number):
        raise _Invalid
    return number


def _confidence(value: object) -> float | None:
    number = _number(value)
    if number is not None and abs(number) >= _FLOAT32_OVERFLOW:
        raise _Invalid
    return number


def _box(value: object) -> tuple[int, ...] | None:
    if value is None or value in ("", []):
        return None
    if not isinstance(value, list) or len(value) != 4:
        raise _Invalid
    sides = [_number(side) for side in value]
    pixels = tuple(round(side) for side in sides if side is not None)
    if len(pixels) != 4 or not all(-(2**31) <= pixel < 2**31 for pixel in pixels):
        raise _Invalid
    return pixels


def _image(value: object) -> bytes | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _Invalid
    encoded = "".join(value.split())
    if encoded.startswith("data:"):
        encoded = encoded.partition(",")[2]
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise _Invalid from error


def _one_by_one(read: Callable[[Any], Any], values: Sequence[object]) -> tuple[list[Any], tuple[int, ...]]:
    cells: list[Any] = []
    invalid_rows: list[int] = []
    for row, value in enumerate(values):
        try:
            cells.append(read(value))
        except (ValueError, OverflowError):
            cells.append(None)
            invalid_rows.append(row)
    return cells, tuple(invalid_rows)


def _types_are(usual: set[type], values: Iterable[object]) -> bool:
    return set(map(type, values)) <= usual


def read_truth(value: object) -> bool | None:
    """A truth value, or the text of one in any case -> bool; None for all else."""
    if isinstance(value, str):
        return _TRUTHS.get(value.lower())
    return value if isinstance(value, bool) else None


def read_truths(values: Sequence[object]) -> ColumnValues:
    """Truth values as a column; an empty text is none."""
    truths = [read_truth(value) for value in values]
    invalid_rows = [row for row, truth in enumerate(truths) if truth is None and values[row] not in (None, "")]
    return ColumnValues((pa.array(truths, pa.bool_()),), tuple(invalid_rows))


def _texts(values: Sequence[object]) -> ColumnValues:
    if _types_are({str, _Null}, values):
        try:
            return ColumnValues((pa.array(values, pa.string()),))
        except UnicodeEncodeError:
            pass
    cells, invalid_rows = _one_by_one(_text, values)
    return ColumnValues((pa.array(cells, pa.string()),), invalid_rows)


def _dates(values: Sequence[object]) -> ColumnValues:
    texts = _texts(values)
    return ColumnValues((read_days(texts.arrays[0]), *texts.arrays), texts.invalid_rows)


def _confidences(values: Sequence[object]) -> ColumnValues:
    if _types_are({float, _Null}, values):
        array = pa.array(values, pa.float32())
        if pc.all(pc.is_finite(array)).as_py() is not False:
            return ColumnValues((array,))
    cells, invalid_rows = _one_by_one(_confidence, values)
    return ColumnValues((pa.array(cells, pa.float32()),), invalid_rows)


def _boxes(values: Sequence[object]) -> ColumnValues:
    boxes = [None if value in ("", []) else value for value in values]
    invalid_rows: tuple[int, ...] = ()
    given = [box for box in boxes if box is not None]
    usual = _types_are({list}, given) and all(len(box) == 4 for box in given)  # type: ignore[arg-type]  # lists by then
    if not usual or not _types_are({int}, chain.from_iterable(given)):  # type: ignore[arg-type]  # lists by then
        boxes, invalid_rows = _one_by_one(_box, values)
    try:
        corners = np.array([box or _NO_BOX for box in boxes], dtype=np.int32).reshape(-1, 4)
    except OverflowError:
        boxes, invalid_rows = _one_by_one(_box, values)
        corners = np.array([box or _NO_BOX for box in boxes], dtype=np.int32).reshape(-1, 4)
    sides = [pa.array(np.ascontiguousarray(corners[:, side])) for side in range(4)]
    missing = pa.array([box is None for box in boxes], pa.bool_())
    return ColumnValues((pa.StructArray.from_arrays(sides, fields=list(BOX_TYPE), mask=missing),), invalid_rows)


def _images(values: Sequence[object]) -> ColumnValues:
    cells, invalid_rows = _one_by_one(_image, values)
    return ColumnValues((pa.array(cells, pa.binary()),), invalid_rows)


_READERS: dict[Kind, Callable[[Sequence[object]], ColumnValues]] = {
    Kind.TEXT: _texts,
    Kind.DATE: _dates,
    Kind.CONFIDENCE: _confidences,
    Kind.BOX: _boxes,
    Kind.IMAGE: _images,
}


def read_values(kind: Kind, values: Sequence[object]) -> ColumnValues:
    """The values of one field, one for each document, as the columns of its kind."""
    return _READERS[kind](values)
