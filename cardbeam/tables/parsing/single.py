"""Answered ledger rows -> documents by type, and what is none, response by response: any answer is read this way.

The responses of a slice are read one after another, their documents sorted by type, and each
field of a type becomes a column at once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from schemas.document_tables import LABELS, no_extras
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from schemas.response import BadResponse, Document, Response, parse_response
from schemas.response_batch import VALIDITY_FIELDS, Documents
from schemas.value_converters import ColumnValues, read_truths, read_values

_SLICE_ROWS = 2048
"""Responses parsed at once: their objects fit a processor's cache."""
_TOO_DEEP = '"nested too deeply for JSON; the ledger holds the response"'


@dataclass(frozen=True, slots=True)
class _OfType:
    """The documents of one type in a slice, as parallel lists."""

    rows: list[int] = field(default_factory=list)
    """Where their answers stand in the slice."""
    indexes: list[int] = field(default_factory=list)
    """Their places in the answers."""
    infos: list[Mapping[str, object]] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    beside: list[Mapping[str, object]] = field(default_factory=list)
    """Undocumented keys beside `data` in their answers."""

    def add(self, row: int, index: int, document: Document, info: Mapping[str, object], response: Response) -> None:
        self.rows.append(row)
        self.indexes.append(index)
        self.infos.append(info)
        self.documents.append(document)
        self.beside.append(response.undocumented)


def parse_single(bodies: Sequence[bytes]) -> tuple[dict[str, list[Documents]], list[tuple[int, str]]]:
    """Documents by type, and (response, code) for what is no document."""
    found: dict[str, list[Documents]] = defaultdict(list)
    failures: list[tuple[int, str]] = []
    for start in range(0, len(bodies), _SLICE_ROWS):
        for name, of_type in _sort(bodies, range(start, min(start + _SLICE_ROWS, len(bodies))), failures).items():
            found[name].append(_documents(name, of_type))
    return found, failures


def _sort(bodies: Sequence[bytes], rows: range, failures: list[tuple[int, str]]) -> dict[str, _OfType]:
    """The documents of some responses by type; what is none joins the failures."""
    found: dict[str, _OfType] = defaultdict(_OfType)
    for row in rows:
        try:
            response = parse_response(bodies[row])
        except BadResponse:  # an older version took it for an answer
            failures.append((row, "bad_reply"))
            continue
        if not response.documents:
            failures.append((row, "no_document"))
        for index, document in enumerate(response.documents):
            if document.type not in DOCUMENTS:
                failures.append((row, "unknown_type"))
            elif document.info is None:
                failures.append((row, "bad_document"))
            else:
                found[document.type].add(row, index, document, document.info, response)
    return found


def _documents(document_type: str, found: _OfType) -> Documents:
    extras: list[dict[str, object]] = [{} for _ in found.rows]
    columns: dict[str, pa.Array] = {}
    for wire_name, name in VALIDITY_FIELDS:
        values = [getattr(document, name) for document in found.documents]
        cells = read_truths(values) if name == "valid" else read_values(Kind.TEXT, values)
        columns[name] = _take(cells, wire_name, values, extras)[0]
    for spec in DOCUMENTS[document_type]:
        wire_name = spec.name
        values = [info.get(wire_name) for info in found.infos]
        arrays = _take(read_values(spec.kind, values), wire_name, values, extras)
        columns.update(zip([wire_name, f"{wire_name}_text"], arrays, strict=False))
    _keep_undocumented(document_type, found, extras)
    columns["extra"] = _as_map(extras)
    return Documents(np.array(found.rows, np.int64), np.array(found.indexes, np.int32), columns)


def _take(
    cells: ColumnValues, name: str, values: list[object], extras: list[dict[str, object]]
) -> tuple[pa.Array, ...]:
    """The columns of a field; what did not fit them goes to the extras under its name."""
    for row in cells.invalid_rows:
        extras[row][name] = values[row]
    return cells.arrays


def _keep_undocumented(document_type: str, found: _OfType, extras: list[dict[str, object]]) -> None:
    """Keys the contract does not name; where two levels use one name, the inner one keeps it."""
    documented = frozenset(field.name for field in DOCUMENTS[document_type])
    for info, document, beside, extra in zip(found.infos, found.documents, found.beside, extras, strict=True):
        inner: Mapping[str, object] = {}
        if not info.keys() <= documented:
            inner = {key: value for key, value in info.items() if key not in documented}
        for level, others in (("info", inner), ("data", document.undocumented), ("response", beside)):
            for key, value in others.items():
                is_taken = key in extra or (key in info and level != "info")
                extra[f"{level}.{key}" if is_taken else key] = value


def _as_map(extras: list[dict[str, object]]) -> pa.Array:
    if not any(extras):
        return no_extras(len(extras))
    return pa.array([list(_encoded(extra)) for extra in extras], LABELS)


def _encoded(extra: dict[str, object]) -> Iterator[tuple[str, str]]:
    for key, value in extra.items():
        try:
            text = json.dumps(value, ensure_ascii=False)
            text.encode()
        except UnicodeEncodeError:  # a lone surrogate
            text = json.dumps(value)
        except RecursionError:
            text = _TOO_DEEP
        yield key.encode(errors="backslashreplace").decode(), text
