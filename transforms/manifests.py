"""Manifest -> Requests: lists of pictures as .txt, .csv, .jsonl or .parquet.

A .txt has one URI a line. The others have the column `uri`, or `front_uri` and `back_uri`;
every other column is kept as a label.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import IO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.elements import Picture, Request
from transforms.sources import CANNOT_OPEN, SourceError, open_source

ONE_SIDE = ("uri",)
TWO_SIDES = ("front_uri", "back_uri")

_Row = dict[str, object]
_NumberedRows = Iterator[tuple[int, _Row]]


class _BadRow(Exception):
    """A row that is not as expected; the message says how, never what it holds."""

    def __init__(self, number: int, said: str) -> None:
        super().__init__(said)
        self.number = number


def _text_rows(file: IO[bytes]) -> _NumberedRows:
    for number, line in enumerate(io.TextIOWrapper(file, "utf-8-sig"), start=1):
        if uri := line.strip():
            yield number, {"uri": uri}


def _csv_rows(file: IO[bytes]) -> _NumberedRows:
    reader = csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
    names = [name for name in reader.fieldnames or () if name]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise _BadRow(
            reader.line_num, f"columns that are named twice: {', '.join(repeated)}; only one of each would count"
        )
    for row in reader:
        if None in row or None in row.values():
            raise _BadRow(reader.line_num, "not as many values as the first line has names")
        yield reader.line_num, row


def _json_rows(file: IO[bytes]) -> _NumberedRows:
    for number, line in enumerate(file, start=1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not text.strip():
            continue
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise _BadRow(number, "not JSON") from None
        if not isinstance(row, dict):
            raise _BadRow(number, "JSON, but not an object")
        yield number, row


def _parquet_rows(file: IO[bytes]) -> _NumberedRows:
    number = 0
    for batch in pq.ParquetFile(file).iter_batches():
        for row in batch.to_pylist():
            number += 1
            yield number, row


_READERS: dict[str, Callable[[IO[bytes]], _NumberedRows]] = {
    ".txt": _text_rows,
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
    ".parquet": _parquet_rows,
}
_UNREADABLE = (*CANNOT_OPEN, csv.Error, pa.ArrowException)


def is_manifest(uri: str) -> bool:
    """Whether an input is a manifest and not a glob or folder."""
    return PurePosixPath(uri).suffix.lower() in _READERS


def read_manifest(uri: str, operation: str, sides: int) -> Iterator[Request]:
    """The requests of a manifest, in its order; nobody has looked at their pictures yet.

    Raises:
        SourceError: it cannot be opened, or a line is not as expected; names the line.
    """
    names = TWO_SIDES if sides == 2 else ONE_SIDE
    rows = _READERS[PurePosixPath(uri).suffix.lower()]
    number = 0
    try:
        with open_source(uri) as file:
            for numbered in rows(file):
                number, row = numbered
                yield _request(number, row, names, operation)
    except UnicodeDecodeError as error:
        raise SourceError(f"--input {uri}, after line {number}: not UTF-8 text") from error
    except FileNotFoundError as error:
        raise SourceError(f"--input {uri}: there is no such manifest") from error
    except _BadRow as error:
        raise SourceError(f"--input {uri}, line {error.number}: {error}") from error
    except _UNREADABLE as error:
        raise SourceError(f"--input {uri} cannot be read as a manifest, after line {number}: {error}") from error


def _request(number: int, row: _Row, names: tuple[str, ...], operation: str) -> Request:
    if not any(name in row for name in names):
        raise _BadRow(number, f"expected {' and '.join(names)}, got {', '.join(map(str, row)) or 'nothing'}")
    uris = [value.strip() for name in names if isinstance(value := row.get(name), str) and value.strip()]
    if not uris:
        raise _BadRow(number, f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} empty, or no text")
    labels = tuple((name, _label(value)) for name, value in row.items() if name not in names and value is not None)
    return Request(operation, tuple(map(Picture, uris)), labels)


def _label(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
