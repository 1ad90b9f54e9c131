"""Answered ledger rows of one type, or of any -> rows of the documents tables, and dead letters for the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cardbeam.run_state.layout import DOCUMENTS as DOCUMENTS_FOLDER
from cardbeam.tables.parsing.batch import parse_batch
from cardbeam.tables.parsing.single import parse_single
from schemas.document_tables import schema_of
from schemas.documents import DOCUMENTS
from schemas.outcomes import OUTCOMES, Stage
from schemas.response_batch import Documents
from schemas.run_tables import DEAD_LETTERS_SCHEMA

RESPONSE_COLUMNS = (
    "item_id",
    "operation",
    "uris",
    "labels",
    "http_status",
    "attempts",
    "started_at",
    "completed_at",
    "response",
)
"""Columns of the ledger that rows are made from, of documents and of dead letters."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """Documents by table folder, dead letters, and how many answers gave no document."""

    documents: dict[str, pa.Table]
    dead_letters: pa.Table
    without_row: int


def parse_responses(answered: pa.Table, document_type: str, duplicates: Mapping[str, list[str]]) -> Parsed:
    """Every document of answered ledger rows, which are quickly read where they are of that type and in the usual form.

    Of the ledger, `RESPONSE_COLUMNS` are enough. `duplicates` are URIs of duplicates by item id; they follow the sent
    ones.
    """
    found: dict[str, list[Documents]] = defaultdict(list)
    left = list(range(len(answered)))
    if document_type in DOCUMENTS:
        found[document_type], left = parse_batch(answered["response"], document_type)
    rows_left = np.array(left, np.int64)
    others, failures = parse_single(answered["response"].take(pa.array(rows_left)).to_pylist())
    for name, pieces in others.items():
        found[name] += [Documents(rows_left[one.responses], one.indexes, one.columns) for one in pieces]
    documents = {
        f"{DOCUMENTS_FOLDER}/type={name}": _table(name, pieces, answered, duplicates)
        for name, pieces in sorted(found.items())
        if pieces
    }
    dead_letters = _dead_letters(answered, [(left[response], code) for response, code in failures])
    without_row = len(left) - len(
        {row for pieces in others.values() for one in pieces for row in one.responses.tolist()}
    )
    return Parsed(documents, dead_letters, without_row)


def _dead_letters(rows: pa.Table, failures: list[tuple[int, str]]) -> pa.Table:
    if not failures:
        return DEAD_LETTERS_SCHEMA.empty_table()
    taken = rows.take(pa.array([row for row, _ in failures], pa.int64()))
    outcomes = [OUTCOMES[code] for _, code in failures]
    text: dict[str, list[object]] = {
        "stage": [Stage.PARSE.value] * len(outcomes),
        "code": [outcome.code for outcome in outcomes],
        "message": [outcome.message for outcome in outcomes],
        "retriable": [outcome.retriable for outcome in outcomes],
    }
    columns = [
        pa.array(text[field.name], field.type) if field.name in text else taken[field.name]
        for field in DEAD_LETTERS_SCHEMA
    ]
    return pa.table(columns, schema=DEAD_LETTERS_SCHEMA)


def _table(
    document_type: str, pieces: list[Documents], answered: pa.Table, duplicates: Mapping[str, list[str]]
) -> pa.Table:
    """The documents of one type, in the order of their answers."""
    rows = np.concatenate([one.responses for one in pieces])
    own = pa.table({name: pa.chunked_array([one.columns[name] for one in pieces]) for name in pieces[0].columns})
    own = own.append_column("document_index", pa.array(np.concatenate([one.indexes for one in pieces])))
    if (np.diff(rows) < 0).any():
        order = np.argsort(rows, kind="stable")
        rows, own = rows[order], own.take(pa.array(order))
    taken = answered.select(["item_id", "operation", "uris", "labels", "completed_at"])
    if not np.array_equal(rows, np.arange(len(answered))):  # usually each answer is a document
        taken = taken.take(pa.array(rows))
    taken = taken.set_column(2, "uris", _with_duplicates(taken, duplicates)).rename_columns(
        {"completed_at": "called_at"}
    )
    schema = schema_of(document_type)
    names = frozenset(taken.column_names)
    return pa.table([(taken if name in names else own)[name] for name in schema.names], schema=schema)


def _with_duplicates(taken: pa.Table, duplicates: Mapping[str, list[str]]) -> pa.ChunkedArray:
    if not duplicates:
        return taken["uris"]
    pairs = zip(taken["item_id"].to_pylist(), taken["uris"].to_pylist(), strict=True)
    named = [
        uris + [uri for uri in dict.fromkeys(duplicates.get(item_id, ())) if uri not in uris] for item_id, uris in pairs
    ]
    return pa.chunked_array([pa.array(named, taken["uris"].type)])
