"""A run's receipt and tables -> what its report says: counts, quantiles and shares, never a value of a card."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cardbeam.run_state.layout import DEAD_LETTERS, LEDGER
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import Folder
from pipeline.catalog.views import connect
from schemas.contract import WARNING_CODES
from schemas.document_tables import schema_of
from schemas.documents import DOCUMENT_TYPES, DOCUMENTS
from schemas.fields import Kind
from schemas.outcomes import remedy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

UNSURE_UNDER = 0.8
"""A reading with a lower confidence is worth a look."""
TREND_RUNS = 30
_BINS = 100
_QUANTILES = (0.5, 0.9, 0.99, 1.0)
_SPREAD = (0.05, 0.25, 0.5, 0.75, 0.95)
_SHOWN = 5

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to print; columns after the first `texts` ones are numbers."""

    columns: tuple[str, ...]
    rows: list[Row]
    texts: int = 1


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests by the time they were sent: `per_s` in bins of `bin_s` seconds, the first at the first call.

    The ledger knows when the last attempt of a request was sent; earlier ones count beside it.
    """

    bin_s: float
    per_s: list[float]
    allowed_per_s: float


@dataclass(frozen=True, slots=True)
class FieldConfidence:
    """How sure the endpoint was of one field of one type: the quantiles of `_SPREAD`."""

    name: str
    quantiles: tuple[float, ...]
    share_unsure: float


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report shows."""

    run: dict[str, Any]
    rate: Rate
    latencies_s: npt.NDArray[np.float32]
    latency: Table
    documents: Table
    dead_letters: Table
    warnings: Table
    checks: Table
    missing: Table
    never: dict[str, list[str]]
    """By type the fields that no document of the run has."""
    slowest: Table
    largest: Table
    trend: list[dict[str, Any]]
    confidences: dict[str, list[FieldConfidence]] = field(default_factory=dict)


def connect_to_run(folder: Folder, run_id: str, *, scratch: str = "") -> DuckDBPyConnection:
    """A connection with the views that `facts_of` asks about this run; those of types without a document are not made.

    Raises:
        UsageError: DuckDB is not installed, or the run has not ended.
        DamagedFile: its receipt is damaged.
    """
    receipt = read_receipt(folder, run_id)
    types = _types(receipt.documents) if receipt else []
    return connect(folder.root, only_run=run_id, only_tables=[LEDGER, DEAD_LETTERS, *types], scratch=scratch)


def _types(documents: Iterable[str]) -> list[str]:
    """The types of these that this version knows, in its order."""
    return [name for name in DOCUMENT_TYPES if name in documents]


def facts_of(connection: DuckDBPyConnection, run_id: str) -> Facts:
    """Ask the views of `connect_to_run` about its run.

    Raises:
        KeyError: there is no such run.
    """
    runs = connection.sql("SELECT * FROM runs ORDER BY run_id").to_arrow_table().to_pylist()
    run = {one["run_id"]: one for one in runs}[run_id]
    asked, types = _Asked(connection, run_id), _types(dict(run["documents"]))
    missing, never = _missing(asked, types)
    return Facts(
        run=run,
        rate=_rate(asked, run["rate"]["allowed_per_s"]),
        latencies_s=asked.array("SELECT latency_s FROM ledger WHERE {run} AND latency_s IS NOT NULL"),
        latency=_latency(asked),
        documents=Table(("type", "documents"), sorted(run["documents"], key=lambda row: -row[1])),
        dead_letters=_dead_letters(asked),
        warnings=_warnings(asked, types),
        checks=_checks(run),
        missing=missing,
        never=never,
        slowest=_top(asked, "latency_s", "seconds"),
        largest=_top(asked, "image_bytes / 1e6", "MB"),
        trend=[one for one in runs if one["run_id"] <= run_id][-TREND_RUNS:],
        confidences=dict(_confidences(asked, types)),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """Queries about one run: `{run}` in them is its condition."""

    connection: DuckDBPyConnection
    run_id: str

    def __call__(self, query: str) -> list[Row]:
        return self._relation(query).fetchall()

    def array(self, query: str) -> npt.NDArray[np.float32]:
        """The only column of a query."""
        (column,) = self._relation(query).fetchnumpy().values()
        return np.asarray(column, np.float32)

    def _relation(self, query: str) -> DuckDBPyRelation:
        condition = "run_id = '" + self.run_id.replace("'", "''") + "'"
        return self.connection.sql(query.replace("{run}", condition))


_SENT = "epoch(completed_at) - coalesce(latency_s, 0)"


def _rate(asked: _Asked, allowed_per_s: float) -> Rate:
    ((first, last),) = asked(f"SELECT min({_SENT}), max({_SENT}) FROM ledger WHERE {{run}} AND attempts > 0")
    if first is None:
        return Rate(1.0, [], allowed_per_s)
    bin_s = max(1.0, (last - first) / _BINS)
    counted: dict[int, int] = dict(
        asked(
            f"SELECT CAST(floor(({_SENT} - {first}) / {bin_s}) AS INT), sum(attempts) FROM ledger "
            "WHERE {run} AND attempts > 0 GROUP BY ALL"
        )
    )
    return Rate(bin_s, [float(counted.get(at, 0)) / bin_s for at in range(max(counted) + 1)], allowed_per_s)


def _latency(asked: _Asked) -> Table:
    quantiles = ", ".join(f"quantile_cont(latency_s, {quantile})" for quantile in _QUANTILES)
    (row,) = asked(f"SELECT {quantiles} FROM ledger WHERE {{run}} AND latency_s IS NOT NULL")
    names = ("half within", "90 % within", "99 % within", "slowest")
    return Table(("share of calls", "seconds"), [pair for pair in zip(names, row, strict=True) if pair[1] is not None])


def _dead_letters(asked: _Asked) -> Table:
    found = asked(
        "SELECT code, count(*), bool_or(retriable) FROM dead_letters WHERE {run} GROUP BY code ORDER BY 2 DESC, 1"
    )
    rows = [(code, remedy(code, retriable), count) for code, count, retriable in found]
    return Table(("code", "what to do", "images"), rows, texts=2)


def _warnings(asked: _Asked, types: Sequence[str]) -> Table:
    codes = " UNION ALL ".join(f'SELECT invalid_code FROM "{name}" WHERE {{run}}' for name in types)
    query = f"SELECT invalid_code, count(*) FROM ({codes}) WHERE invalid_code NOT IN ('', '0') GROUP BY ALL"
    found = asked(f"{query} ORDER BY 2 DESC, 1") if types else []
    rows = [(code, WARNING_CODES.get(code, "a code outside the contract"), count) for code, count in found]
    return Table(("code", "warning", "documents"), rows, texts=2)


def _checks(run: dict[str, Any]) -> Table:
    """The message of a check is of its query's text, which the user wrote."""
    rows = [(one["name"], one["message"] or one["status"], one["rows"]) for one in run["checks"] or ()]
    return Table(("check", "result", "rows"), rows, texts=2)


def _missing(asked: _Asked, types: Sequence[str]) -> tuple[Table, dict[str, list[str]]]:
    """The fields that some documents of a type lack; by type those that all lack, which would crowd the others out."""
    rows: list[Row] = []
    never: dict[str, list[str]] = {}
    for document_type in types:
        names = [one.name for one in DOCUMENTS[document_type] if one.kind in (Kind.TEXT, Kind.DATE)]
        columns = {field.name: field.type for field in schema_of(document_type)}
        shares = ", ".join(f"avg(({_is_missing(name, columns[name])})::INT)" for name in names)
        ((total, *found),) = asked(f'SELECT count(*), {shares} FROM "{document_type}" WHERE {{run}}')
        if not total:
            continue
        by_name = dict(zip(names, found, strict=True))
        rows += [(document_type, name, 100 * share) for name, share in by_name.items() if 0 < share < 1]
        if everywhere := [name for name, share in by_name.items() if share == 1]:
            never[document_type] = everywhere
    return Table(("type", "field", "% missing"), sorted(rows, key=lambda row: (-row[2], row[:2]))[:15], texts=2), never


def _is_missing(name: str, kind: pa.DataType) -> str:
    return f'"{name}" IS NULL' + (f" OR \"{name}\" IN ('', '-1')" if pa.types.is_string(kind) else "")


def _top(asked: _Asked, measure: str, unit: str) -> Table:
    rows = asked(
        f"SELECT item_id, {measure} FROM ledger WHERE {{run}} AND {measure} IS NOT NULL "
        f"ORDER BY 2 DESC, 1 LIMIT {_SHOWN}"
    )
    return Table(("item_id", unit), rows)


def _confidences(asked: _Asked, types: Sequence[str]) -> Iterator[tuple[str, list[FieldConfidence]]]:
    """One query a type: to bind a query takes longer than to answer it."""
    for document_type in types:
        names = [one.name for one in DOCUMENTS[document_type] if one.kind is Kind.CONFIDENCE]
        asks = [f'quantile_cont("{name}", {list(_SPREAD)}), avg(("{name}" < {UNSURE_UNDER})::INT)' for name in names]
        (row,) = asked(f'SELECT {", ".join(asks)} FROM "{document_type}" WHERE {{run}}')
        found = [
            FieldConfidence(name.removesuffix("_confidence"), tuple(quantiles), share)
            for name, quantiles, share in zip(names, row[::2], row[1::2], strict=True)
            if share is not None
        ]
        if found:
            yield document_type, sorted(found, key=lambda one: -one.share_unsure)


def shares_unsure(facts: Facts) -> Table:
    """The fields with most readings under the threshold, over all types."""
    rows = [
        (document_type, one.name, 100 * one.share_unsure)
        for document_type, fields in facts.confidences.items()
        for one in fields
        if one.share_unsure
    ]
    ordered: Sequence[Row] = sorted(rows, key=lambda row: (-row[2], row[:2]))
    return Table(("type", "field", f"% under {UNSURE_UNDER:g}"), list(ordered[:15]), texts=2)
