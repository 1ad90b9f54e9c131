"""`bench tables`: how fast tables are made from a ledger, what they weigh, and how fast DuckDB answers from them.

Documents are synthetic but vary as real ones do: numbers, names, dates, places, confidences and boxes are drawn again
for each, because constant values would compress and prune better than any run. CPU seconds are given beside wall
seconds, for the machine may be shared; queries run on one thread, each the median of five on files in the page cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.paid_once import measure
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.run_state.layout import LEDGER
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.parts.read_part import ledger_table
from pipeline.catalog.views import connect
from schemas.documents import DOCUMENTS
from schemas.fields import Field, Kind

_RUN = "20261122T010000Z"
_ROWS_PER_FILE = 100_000
_SHARES = {"chip_id_card_front": 42, "chip_id_card_back": 40, "passport": 6, "driving_license": 4, "9_id_card_front": 3}
"""Of a hundred; each other type has one now and then."""
_DISTRICTS = 700
_NAMES = ("Nguyễn Văn", "Trần Thị", "Lê Minh", "Phạm Thu", "Hoàng Đức", "Vũ Ngọc", "Đặng Hải", "Bùi Lan")

_QUERIES = {
    "by_item_id": "SELECT id, name FROM chip_id_card_front WHERE item_id = '{item_id}'",
    "by_number": "SELECT id, name FROM chip_id_card_front WHERE id = '{id}'",
    "by_uri": "SELECT id, name FROM chip_id_card_front WHERE uris[1] = '{uri}'",
    "by_date": "SELECT count(*) FROM passport WHERE due_date BETWEEN DATE '2027-01-01' AND DATE '2027-01-31'",
    "count_by_district": "SELECT address_district, count(*) FROM chip_id_card_front GROUP BY ALL ORDER BY 2 DESC",
    "documents_by_type": "SELECT type, count(*) FROM documents GROUP BY ALL",
    "cards_that_disagree": "SELECT count(*) FROM cards WHERE NOT sides_agree",
}


def _box(rng: random.Random) -> list[int]:
    left, top = rng.randrange(600), rng.randrange(400)
    return [left, top, left + rng.randrange(50, 400), top + 40]


_DRAWN: dict[Kind, Callable[[random.Random], object]] = {
    Kind.CONFIDENCE: lambda rng: round(1 - rng.expovariate(20), 8),
    Kind.BOX: _box,
    Kind.DATE: lambda rng: f"{rng.randint(1, 28):02}-{rng.randint(1, 12):02}-{rng.randint(1950, 2040)}",
    Kind.IMAGE: lambda _: "",
}


def _value(rng: random.Random, field: Field) -> object:
    if field.kind is not Kind.TEXT:
        return _DRAWN[field.kind](rng)
    if field.name in ("id", "person_number", "document_number"):
        return f"{rng.randrange(10**12):012}"
    if "_code" in field.name or field.name.endswith(("_town", "_district", "_ward")):
        return f"Đơn vị {rng.randrange(_DISTRICTS)}"
    return f"{rng.choice(_NAMES)} {rng.choice(_NAMES)} {rng.randrange(1000)}"


def _response(rng: random.Random, document_type: str) -> bytes:
    info = {field.name: _value(rng, field) for field in DOCUMENTS[document_type]}
    judgement = {"valid": "True", "invalidCode": "0", "invalidMessage": "Successful"}
    document = {"info": info, "type": document_type, **judgement}
    return json.dumps({"data": [document], "errorCode": "0"}, ensure_ascii=False).encode()


def records(count: int) -> Iterator[JournalRecord]:
    """So many answered requests over one run, always the same ones; URIs in no order, as calls return."""
    rng = random.Random(count)
    kinds = [*_SHARES, *DOCUMENTS]
    weights = [*_SHARES.values(), *[0.4] * len(DOCUMENTS)]
    for number in range(count):
        place = rng.randrange(10**9)
        at = 1_790_000_000_000_000 + number * 20_000
        yield JournalRecord(
            item_id=hashlib.sha256(str(number).encode()).hexdigest()[:32],
            source_id=hashlib.sha256(f"source {number}".encode()).hexdigest()[:32],
            outcome=RecordStatus.SUCCEEDED.value,
            operation="ekyc/card",
            uris=(f"s3://photos/2026/11/{place % 30:02}/{place:09}.jpg",),
            labels=(("customer_id", f"C-{place}"),),
            started_at=at,
            completed_at=at,
            http_status=200,
            attempts=1,
            latency_s=0.3,
            image_bytes=219_000,
            response=_response(rng, rng.choices(kinds, weights)[0]),
        )


def write_ledger(folder: LocalFolder, count: int) -> None:
    """A past run's ledger with responses, in parts as a run leaves them."""
    batch: list[JournalRecord] = []
    for number, record in enumerate(records(count), start=1):
        batch.append(record)
        if len(batch) == _ROWS_PER_FILE or number == count:
            write_parquet(folder, TableRows(LEDGER, _RUN, f"part-{record.item_id[:16]}", ledger_table(batch)))
            batch = []
    folder.write(f"runs/{_RUN}/run.json", b"{}")


def shape(root: Path) -> dict[str, Any]:
    """How many files and row groups the documents have, and what they weigh."""
    files = list(root.joinpath("documents").rglob("*.parquet"))
    groups = [pq.ParquetFile(path).metadata for path in files]
    rows = sum(one.num_rows for one in groups)
    return {
        "files": len(files),
        "row_groups": sum(one.num_row_groups for one in groups),
        "bytes_per_document": round(sum(path.stat().st_size for path in files) / rows),
        "largest_file_mb": round(max(path.stat().st_size for path in files) / 1e6, 1),
    }


def ask(root: Path) -> dict[str, float]:
    """Seconds of each query on one thread."""
    started_s = time.perf_counter()
    connection = connect(str(root), unfinished=True)
    taken_s = {"connect": round(time.perf_counter() - started_s, 3)}
    connection.execute("SET threads = 1")
    found = connection.sql("SELECT item_id, id, uris[1] AS uri FROM chip_id_card_front LIMIT 1 OFFSET 77")
    known = dict(zip(found.columns, found.fetchall()[0], strict=True))
    for name, query in _QUERIES.items():
        taken_s[name] = round(statistics.median(_timed(connection, query.format(**known)) for _ in range(5)), 3)
    return taken_s


def _timed(connection: Any, query: str) -> float:
    started_s = time.perf_counter()
    if not connection.execute(query).fetchall():
        raise RuntimeError(f"no row: {query}")
    return time.perf_counter() - started_s


def tables_of(count: int) -> dict[str, object]:
    """All figures of so many documents."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "out")
        write_ledger(LocalFolder(str(root)), count)
        measured = measure("publish", f"--output={root}")
        figures = {name: value for name, value in asdict(measured).items() if name != "output"}
        return {
            "publish": {**figures, "documents_per_cpu_s": round(count / measured.cpu_s)},
            "shape": shape(root),
            "seconds": ask(root),
        }


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Make and ask tables of some sizes: figures by the number of documents."""
    parser = argparse.ArgumentParser(prog="run.sh bench tables", description=main.__doc__)
    parser.add_argument("--documents", type=int, nargs="*", default=[1_000, 100_000, 1_000_000])
    return {str(count): tables_of(count) for count in parser.parse_args(list(arguments)).documents}
