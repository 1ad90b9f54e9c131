"""Answered ledger rows -> rows of the documents tables, by type, and dead letters for the rest.

The replies of a slice are read one after another, their documents sorted by type, and each
field of a type becomes a column at once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from schemas.arrow import LABELS, schema_of
from schemas.cells import Cells, read_cells
from schemas.contract import SUCCESS
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from schemas.outcomes import OUTCOMES
from schemas.reply import BadReply, Document, Reply, parse_reply
from schemas.tables import DEAD_LETTERS_SCHEMA
from transforms.layout import DOCUMENTS as DOCUMENTS_FOLDER

_SLICE_ROWS = 2048
"""Rows parsed at once: their objects fit a processor's cache."""
_JUDGEMENT = (("valid", "valid"), ("invalidCode", "invalid_code"), ("invalidMessage", "invalid_message"))
_NO_DOCUMENT = Reply(SUCCESS)
_TOO_DEEP = '"nested too deeply for JSON; the ledger holds the reply"'
_TRUTHS: dict[str, bool] = {"True": True, "False": False, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Parsed:
    """Documents by table folder, dead letters, and how many answers gave no document."""

    documents: dict[str, pa.Table]
    dead_letters: pa.Table
    without_row: int


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

    def add(self, row: int, index: int, document: Document, info: Mapping[str, object], reply: Reply) -> None:
        self.rows.append(row)
        self.indexes.append(index)
        self.infos.append(info)
        self.documents.append(document)
        self.beside.append(reply.undocumented)


def parse_answers(answered: pa.Table, copies: Mapping[str, list[str]]) -> Parsed:
    """Every document of answered ledger rows.

    `copies` are URIs of copies by item id; they follow the URIs that were sent.
    """
    documents: dict[str, list[pa.Table]] = defaultdict(list)
    dead_letters = [DEAD_LETTERS_SCHEMA.empty_table()]
    without_row = 0
    for start in range(0, len(answered), _SLICE_ROWS):
        rows = answered.slice(start, _SLICE_ROWS).combine_chunks()
        found, deaths = _sort(rows)
        for name, of_type in found.items():
            documents[f"{DOCUMENTS_FOLDER}/type={name}"].append(_documents(name, of_type, rows, copies))
        dead_letters.append(_dead_letters(rows, deaths))
        without_row += len(rows) - len({row for of_type in found.values() for row in of_type.rows})
    return Parsed(
        {table: pa.concat_tables(tables) for table, tables in sorted(documents.items())},
        pa.concat_tables(dead_letters),
        without_row,
    )


def _sort(rows: pa.Table) -> tuple[dict[str, _OfType], list[tuple[int, str]]]:
    """Documents by type, and (row, code) for what is no document."""
    found: dict[str, _OfType] = defaultdict(_OfType)
    deaths: list[tuple[int, str]] = []
    for row, body in enumerate(rows["reply"].to_pylist()):
        try:
            reply = parse_reply(body)
        except BadReply:  # an older version took it for an answer
            reply = _NO_DOCUMENT
        if not reply.documents:
            deaths.append((row, "no_document"))
        for index, document in enumerate(reply.documents):
            if document.type not in DOCUMENTS:
                deaths.append((row, "unknown_type"))
            elif document.info is None:
                deaths.append((row, "bad_document"))
            else:
                found[document.type].add(row, index, document, document.info, reply)
    return found, deaths


def _dead_letters(rows: pa.Table, deaths: list[tuple[int, str]]) -> pa.Table:
    taken = rows.take(pa.array([row for row, _ in deaths], pa.int64()))
    outcomes = [OUTCOMES[code] for _, code in deaths]
    said: dict[str, list[object]] = {
        "stage": [outcome.stage.value for outcome in outcomes],
        "code": [outcome.code for outcome in outcomes],
        "message": [outcome.message for outcome in outcomes],
        "retriable": [outcome.retriable for outcome in outcomes],
    }
    columns = [
        pa.array(said[field.name], field.type) if field.name in said else taken[field.name]
        for field in DEAD_LETTERS_SCHEMA
    ]
    return pa.table(columns, schema=DEAD_LETTERS_SCHEMA)


def _documents(document_type: str, found: _OfType, rows: pa.Table, copies: Mapping[str, list[str]]) -> pa.Table:
    taken = rows.take(pa.array(found.rows, pa.int64()))
    extras: list[dict[str, object]] = [{} for _ in found.rows]
    columns: dict[str, pa.Array] = {
        "item_id": taken["item_id"],
        "document_index": pa.array(found.indexes, pa.int32()),
        "operation": taken["operation"],
        "uris": _with_copies(taken, copies),
        "labels": taken["labels"],
        "called_at": taken["last_at"],
    }
    for wire_name, name in _JUDGEMENT:
        values = [getattr(document, name) for document in found.documents]
        cells = _truths(values) if name == "valid" else read_cells(Kind.TEXT, values)
        columns[name] = _take(cells, wire_name, values, extras)[0]
    for spec in DOCUMENTS[document_type]:
        wire_name = spec.name
        values = [info.get(wire_name) for info in found.infos]
        arrays = _take(read_cells(spec.kind, values), wire_name, values, extras)
        columns.update(zip([wire_name, f"{wire_name}_text"], arrays, strict=False))
    _keep_undocumented(document_type, found, extras)
    columns["extra"] = _as_map(extras)
    schema = schema_of(document_type)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _with_copies(taken: pa.Table, copies: Mapping[str, list[str]]) -> pa.ChunkedArray:
    if not copies:
        return taken["uris"]
    pairs = zip(taken["item_id"].to_pylist(), taken["uris"].to_pylist(), strict=True)
    named = [
        uris + [uri for uri in dict.fromkeys(copies.get(item_id, ())) if uri not in uris] for item_id, uris in pairs
    ]
    return pa.chunked_array([pa.array(named, taken["uris"].type)])


def _take(cells: Cells, name: str, values: list[object], extras: list[dict[str, object]]) -> tuple[pa.Array, ...]:
    """The columns of a field; what did not fit them goes to the extras under its name."""
    for row in cells.misfits:
        extras[row][name] = values[row]
    return cells.arrays


def _truth(value: object) -> bool | None:
    if isinstance(value, str):
        return _TRUTHS.get(value.lower())
    return value if isinstance(value, bool) else None


def _truths(values: list[object]) -> Cells:
    truths = [_TRUTHS[value] if type(value) is str and value in _TRUTHS else _truth(value) for value in values]
    misfits = [row for row, truth in enumerate(truths) if truth is None and values[row] not in (None, "")]
    return Cells((pa.array(truths, pa.bool_()),), tuple(misfits))


def _keep_undocumented(document_type: str, found: _OfType, extras: list[dict[str, object]]) -> None:
    """Keys the contract does not name; where two levels use one name, the inner one keeps it."""
    documented = frozenset(field.name for field in DOCUMENTS[document_type])
    for info, document, beside, extra in zip(found.infos, found.documents, found.beside, extras, strict=True):
        inner: Mapping[str, object] = {}
        if not info.keys() <= documented:
            inner = {key: value for key, value in info.items() if key not in documented}
        for level, others in (("info", inner), ("data", document.undocumented), ("reply", beside)):
            for key, value in others.items():
                is_taken = key in extra or (key in info and level != "info")
                extra[f"{level}.{key}" if is_taken else key] = value


def _as_map(extras: list[dict[str, object]]) -> pa.Array:
    if not any(extras):
        offsets = pa.array(np.zeros(len(extras) + 1, np.int32))
        return pa.MapArray.from_arrays(offsets, pa.array([], pa.string()), pa.array([], pa.string()))
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
