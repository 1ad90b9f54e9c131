"""truth.csv -> what is printed on each card: columns `uri`, `type` if there is one, and fields by the vendor's names.

An empty cell is not judged. A URI may be the end of the one in the tables: the file's name, where it is unique. An
image with several documents has a line for each.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.exit_codes import UsageError
from schemas.documents import DOCUMENT_TYPES, DOCUMENTS
from schemas.fields import Kind

_KINDS = (Kind.TEXT, Kind.DATE)
KNOWN_FIELDS = {field.name for fields in DOCUMENTS.values() for field in fields if field.kind in _KINDS}


@dataclass(frozen=True, slots=True)
class TrueCard:
    """One card: the image that shows it, its type, empty where it is not told, and what is printed on it by field."""

    uri: str
    document_type: str
    values: dict[str, str]


def read_truth(path: str) -> list[TrueCard]:
    """The cards of a file, in its order.

    Raises:
        UsageError: it cannot be read, or has a column or a type that the contract does not know.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames or ())
            cards = list(_cards(path, reader))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--truth {path} cannot be read: {error}") from None
    if not cards:
        raise UsageError(f"--truth {path} holds no card; each line needs a uri and the value of a field")
    return cards


def _check_columns(path: str, columns: Sequence[str]) -> None:
    if "uri" not in columns:
        raise UsageError(f"--truth {path} must have a column 'uri' (found: {', '.join(columns) or 'none'})")
    if unknown := sorted(set(columns) - KNOWN_FIELDS - {"uri", "type"}):
        raise UsageError(f"--truth {path} has columns that are no fields of the contract: {', '.join(unknown)}")


def _cards(path: str, reader: csv.DictReader[str]) -> Iterator[TrueCard]:
    for row in reader:
        document_type = (row.get("type") or "").strip()
        where = f"--truth {path}, line {reader.line_num}"
        if None in row:
            raise UsageError(f"{where}: more cells than columns; quote a value that holds a comma")
        if document_type and document_type not in DOCUMENT_TYPES:
            raise UsageError(f"{where}: unknown type {document_type!r}; expected one of {', '.join(DOCUMENT_TYPES)}")
        if not (uri := (row["uri"] or "").strip()):
            raise UsageError(f"{where}: the uri is empty")
        fields = [name for name in row if name not in ("uri", "type")]
        yield TrueCard(uri, document_type, {name: value for name in fields if (value := (row[name] or "").strip())})
