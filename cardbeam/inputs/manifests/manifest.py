"""Manifest -> Requests: lists of images as .txt, .csv, .tsv, .jsonl or .parquet, each also compressed by gzip.

A .txt has one URI a line. The others have the column `uri`, or `front_uri` and `back_uri`;
every other column is kept as a label, in the plain text that CSV gives.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import IO, Any, cast

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cardbeam.errors import CardbeamError
from cardbeam.model.request import ImageRef, Request
from cardbeam.storage.open_uri import CANNOT_OPEN, SourceError, open_source
from cardbeam.storage.uris import normal_uri

ONE_SIDE = ("uri",)
TWO_SIDES = ("front_uri", "back_uri")
_CHUNK_BYTES = 1024 * 1024
_SURROGATE = re.compile(rb"\\u[dD]")

_Row = dict[str, object]
_NumberedRows = Iterator[tuple[int, _Row]]


class _BadRow(CardbeamError):
    """A row that is not as expected; the message says how, never what it holds."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


class _Number(float):
    """A number of a JSON line that keeps its text: as a label it is what the file says."""

    text: str

    def __new__(cls, text: str) -> _Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


def _refuse_repeated(names: Iterable[str], number: int) -> None:
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise _BadRow(number, f"columns that are named twice: {', '.join(repeated)}; only one of each would count")


def _text_rows(file: IO[bytes]) -> _NumberedRows:
    for number, line in enumerate(io.TextIOWrapper(file, "utf-8-sig"), start=1):
        if uri := line.strip():
            yield number, {"uri": uri}


def _csv_rows(file: IO[bytes], *, delimiter: str) -> _NumberedRows:
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    reader = csv.DictReader(text, strict=True, delimiter=delimiter)
    names = [name for name in reader.fieldnames or () if name]
    _refuse_repeated(names, reader.line_num)
    for row in reader:
        if None in row or None in row.values():
            raise _BadRow(reader.line_num, "not as many values as the first line has names")
        yield reader.line_num, {name: value.strip() if name in _URI_NAMES else value for name, value in row.items()}


def _json_rows(file: IO[bytes]) -> _NumberedRows:
    for number, line in enumerate(file, start=1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not text.strip():
            continue
        try:
            row = json.loads(text, object_pairs_hook=partial(_object, number), **_JSON_NUMBERS)
            if _SURROGATE.search(text):  # half of a pair alone is no text, and no table could hold it
                json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError):  # a decoding error is a ValueError, too
            raise _BadRow(number, "not JSON") from None
        if not isinstance(row, dict):
            raise _BadRow(number, "JSON, but not an object")
        yield number, row


def _object(number: int, pairs: list[tuple[str, Any]]) -> _Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse_repeated((name for name, _ in pairs), number)
    return found


def _no_constant(name: str) -> float:
    raise ValueError(name)


_JSON_NUMBERS: dict[str, Any] = {"parse_float": _Number, "parse_int": _Number, "parse_constant": _no_constant}


def _parquet_rows(file: IO[bytes]) -> _NumberedRows:
    opened = pq.ParquetFile(file)
    names = opened.schema_arrow.names
    _refuse_repeated(names, 1)
    number = 0
    for batch in opened.iter_batches():
        columns = [_as_text(batch.column(name), is_uri=name in _URI_NAMES) for name in names]
        for values in zip(*columns, strict=True):
            number += 1
            yield number, dict(zip(names, values, strict=True))


def _as_text(column: pa.Array, *, is_uri: bool) -> list[object]:
    """The values of a column as the CSV writer of Arrow gives them: Python has no dates beyond the year 9999, and no
    nanoseconds. Lists and structs are JSON; bytes that are no text are hex."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_uri and not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return [None] * len(column)
    if pa.types.is_nested(column.type):
        return [None if value is None else orjson.dumps(value, default=str).decode() for value in column.to_pylist()]
    try:
        texts: list[object] = pc.cast(column, pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        texts = [value.hex() if isinstance(value, bytes) else _text(value) for value in column.to_pylist()]
    return texts


def _text(value: object) -> str | None:
    return None if value is None else str(value)


_READERS: dict[str, Callable[[IO[bytes]], _NumberedRows]] = {
    ".txt": _text_rows,
    ".csv": partial(_csv_rows, delimiter=","),
    ".tsv": partial(_csv_rows, delimiter="\t"),
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".parquet": _parquet_rows,
}
_GZIP = ".gz"
_NOT_IMAGES = frozenset(
    [
        ".arrow",
        ".avro",
        ".bz2",
        ".doc",
        ".docx",
        ".feather",
        ".gz",
        ".htm",
        ".html",
        ".json",
        ".lst",
        ".list",
        ".ods",
        ".orc",
        ".rtf",
        ".tab",
        ".tar",
        ".tgz",
        ".xls",
        ".xlsx",
        ".xml",
        ".xz",
        ".yaml",
        ".yml",
        ".zip",
        ".zst",
    ]
)
"""Endings of lists and archives that are not read: taken for an image, each would be a dead letter and exit 0."""
_URI_NAMES = frozenset((*ONE_SIDE, *TWO_SIDES))
_UNREADABLE = (*CANNOT_OPEN, EOFError, csv.Error, zlib.error, pa.ArrowException)


def _format_of(uri: str) -> str:
    """The ending that says how a manifest is written, without that of gzip."""
    path = PurePosixPath(uri.lower())
    return (path.with_suffix("") if path.suffix == _GZIP and path.stem else path).suffix


def is_manifest(uri: str) -> bool:
    """Whether an input is a manifest and not a glob or folder."""
    return _format_of(uri) in _READERS


def unknown_list(uri: str) -> str | None:
    """What is wrong with an input that names a list or an archive in a format that is not read; None for any other."""
    suffix = PurePosixPath(uri.lower()).suffix
    if is_manifest(uri) or suffix not in _NOT_IMAGES:
        return None
    known = " ".join(_READERS)
    return (
        f"--input {uri}: a {suffix} file is neither an image nor a manifest; expected one of {known}, or these with .gz"
    )


def read_manifest(uri: str, operation: str, sides: int, *, is_trusted: bool = False) -> Iterator[Request]:
    """The requests of a manifest, in its order; their images are not checked yet.

    Where it `is_trusted`, its sizes and etags are those of the images, and no labels.

    Raises:
        SourceError: it cannot be opened, or a line is not as expected; names the line.
    """
    names = TWO_SIDES if sides == 2 else ONE_SIDE
    rows = _READERS[_format_of(uri)]
    number = 0
    try:
        with open_source(uri) as stored, _decompressed(uri, stored) as file:
            for numbered in rows(file):
                number, row = numbered
                yield _request(number, row, names, operation, is_trusted=is_trusted)
    except UnicodeDecodeError as error:
        raise SourceError(f"--input {uri}, after line {number}: not UTF-8 text") from error
    except FileNotFoundError as error:
        raise SourceError(f"--input {uri}: there is no such manifest") from error
    except _BadRow as error:
        raise SourceError(f"--input {uri}, line {error.number}: {error}") from error
    except _UNREADABLE as error:
        raise SourceError(f"--input {uri} cannot be read as a manifest, after line {number}: {error}") from error


@contextmanager
def _decompressed(uri: str, stored: IO[bytes]) -> Iterator[IO[bytes]]:
    """What a manifest holds. Parquet is read from its end, so it is decompressed to a file without a name first."""
    if not uri.lower().endswith(_GZIP):
        yield stored
        return
    with gzip.open(stored) as opened:
        unpacked = cast(IO[bytes], opened)
        if _format_of(uri) != ".parquet":
            yield unpacked
            return
        with TemporaryFile() as file:
            while chunk := unpacked.read(_CHUNK_BYTES):
                file.write(chunk)
            file.seek(0)
            yield file


def _request(number: int, row: _Row, names: tuple[str, ...], operation: str, *, is_trusted: bool) -> Request:
    if not any(name in row for name in names):
        raise _BadRow(number, f"expected {' and '.join(names)}, got {', '.join(map(str, row)) or 'nothing'}")
    sides = [(name, value) for name in names if isinstance(value := row.get(name), str) and value.strip()]
    if not sides:
        raise _BadRow(number, f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} empty, or no text")
    images = tuple(
        ImageRef(normal_uri(uri), *(_trusted_facts(number, row, name) if is_trusted else ())) for name, uri in sides
    )
    taken = _taken(names, is_trusted)
    labels = tuple((name, _label(value)) for name, value in row.items() if name not in taken and value is not None)
    return Request(operation, images, labels)


_TOLD_IN = {name: (name.replace("uri", "size"), name.replace("uri", "etag")) for name in (*ONE_SIDE, *TWO_SIDES)}
"""The columns of size and etag beside that of a URI."""


@cache
def _taken(names: tuple[str, ...], is_trusted: bool) -> frozenset[str]:
    """The columns that are no labels."""
    return frozenset((*names, *(column for name in names for column in _TOLD_IN[name] if is_trusted)))


def _trusted_facts(number: int, row: _Row, name: str) -> tuple[int | None, str | None]:
    """Size and version of an image as a manifest tells them; none where it tells only one of them."""
    size_name, etag_name = _TOLD_IN[name]
    size, etag = row.get(size_name), row.get(etag_name)
    if size in (None, "") or not etag:
        return None, None
    try:
        return int(_label(size)), _label(etag).removeprefix("W/").strip('"')
    except ValueError:
        raise _BadRow(number, f"{size_name} is no number of bytes") from None


def _label(value: object) -> str:
    if isinstance(value, str):
        return value
    return value.text if isinstance(value, _Number) else _as_json(value)


def _as_json(value: object) -> str:
    """Nested values of a JSON line as they stand there: numbers by their own text."""
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{_as_json(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(_as_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
