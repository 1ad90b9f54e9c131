"""Dimension tables of `sql`: document types, fields, codes and warnings, and the administrative units of the country.

The units are those of vietnamadminunits (MIT licence), which has the codes of the General Statistics Office, before and
after the merger of 1 July 2025; `python -m pipeline.catalog.view_queries.dimensions` writes their file again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalog.view_queries.view import View
from schemas.contract import WARNING_CODES
from schemas.documents import DOCUMENTS
from schemas.outcomes import OUTCOMES, Outcome, outcome_of_code, remedy

if TYPE_CHECKING:
    import duckdb

_Row = dict[str, Any]
UNITS_FILE = Path(__file__).parents[1] / "data" / "administrative_units.parquet"
BEFORE, SINCE = "before 2025-07-01", "since 2025-07-01"
_UNITS_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("level", "era", "code", "name", "short_name", "province_code", "district_code")]
)
_TYPES = {str: "VARCHAR", int: "BIGINT", bool: "BOOLEAN"}
_ONE_ERA = "code, name, short_name"
_SELECT_UNITS = f"FROM read_parquet('{UNITS_FILE}') WHERE level ="  # a path of ours, without quotes

_UNITS = (
    View("provinces", "Provinces with their official codes; era tells the merger of 1 July 2025",
         f"SELECT era, {_ONE_ERA} {_SELECT_UNITS} 'province'"),
    View("districts", "Districts with their official codes; there are none since 1 July 2025",
         f"SELECT era, {_ONE_ERA}, province_code {_SELECT_UNITS} 'district'"),
    View("wards", "Wards and communes with their official codes; era tells the merger of 1 July 2025",
         f"SELECT era, {_ONE_ERA}, province_code, district_code {_SELECT_UNITS} 'ward'"),
)  # fmt: skip


def tables() -> dict[str, tuple[str, list[_Row]]]:
    """Name -> what a table holds, and its rows, which are at least one."""
    fields = [
        {"type": name, "field": field.name, "kind": field.kind.value, "documentation": field.doc}
        for name, of_type in DOCUMENTS.items()
        for field in of_type
    ]
    codes = [
        {"code": code, "stage": outcome.stage.value, "message": outcome.message, "retriable": outcome.retriable,
         "remedy": remedy(code, outcome.retriable)}
        for code, outcome in [*OUTCOMES.items(), *_statuses()]
    ]  # fmt: skip
    return {
        "document_types": (
            "Document types, and how many fields each has",
            [{"type": name, "fields": len(of_type)} for name, of_type in DOCUMENTS.items()],
        ),
        "fields": ("Every field of every document type, with its documentation", fields),
        "codes": ("Codes of dead letters, and what to do about each", codes),
        "warning_codes": (
            "Warnings of the endpoint about a document: invalid_code",
            [{"code": code, "message": text} for code, text in WARNING_CODES.items()],
        ),
    }


def _statuses() -> Iterator[tuple[str, Outcome]]:
    """What HTTP statuses of the endpoint become, those of the registry."""
    codes = (f"http_{status.value}" for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST)
    return ((code, outcome_of_code(code)) for code in codes if code not in OUTCOMES)


def add_dimensions(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables: queries reach no file beside those of the output."""
    for name, (comment, rows) in tables().items():
        given = ", ".join(f'"{column}": "{_TYPES[type(value)]}"' for column, value in rows[0].items())
        connection.execute(
            f"CREATE TABLE \"{name}\" AS SELECT unnest(from_json(?, '[{{{given}}}]'), recursive := true)",
            [orjson.dumps(rows).decode()],
        )
        connection.execute(f"COMMENT ON TABLE \"{name}\" IS '{comment}'")
    for view in _UNITS:
        connection.execute(f'CREATE TABLE "{view.name}" AS {view.query}')
        connection.execute(f"COMMENT ON TABLE \"{view.name}\" IS '{view.comment}'")


def _units(database: Path) -> Iterator[dict[str, str | None]]:
    """The units of vietnamadminunits' database, each once."""
    queries = (
        ("province", BEFORE, "provinceCode, province, provinceShort, NULL, NULL", "admin_units_legacy"),
        ("district", BEFORE, "districtCode, district, districtShort, provinceCode, NULL", "admin_units_legacy"),
        ("ward", BEFORE, "wardCode, ward, wardShort, provinceCode, districtCode", "admin_units_legacy"),
        ("province", SINCE, "provinceCode, province, provinceShort, NULL, NULL", "admin_units"),
        ("ward", SINCE, "wardCode, ward, wardShort, provinceCode, NULL", "admin_units"),
    )
    with sqlite3.connect(database) as connection:
        for level, era, columns, table in queries:
            for row in connection.execute(f"SELECT DISTINCT {columns} FROM {table} ORDER BY 1"):
                if row[0]:
                    yield dict(zip(_UNITS_SCHEMA.names, (level, era, *row), strict=True))


def main() -> None:
    """Write the file of units from the installed vietnamadminunits."""
    found = find_spec("vietnamadminunits")
    if found is None or found.origin is None:
        raise SystemExit("vietnamadminunits is not installed; pip install 'cardbeam[endpoint]'")
    database = Path(found.origin).parent / "data" / "dataset.db"
    metadata = {"source": "vietnamadminunits (MIT), codes of the General Statistics Office of Viet Nam"}
    rows = pa.Table.from_pylist(list(_units(database)), schema=_UNITS_SCHEMA.with_metadata(metadata))
    UNITS_FILE.parent.mkdir(exist_ok=True)
    pq.write_table(rows, UNITS_FILE, compression="zstd", compression_level=19)


if __name__ == "__main__":
    main()
