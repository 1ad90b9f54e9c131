"""Drop the responses and thumbnails of a large output: `python -m benchmarks.retention FOLDER IMAGES`.

It writes an output of one run of passports with thumbnails, where FOLDER is not there yet, and prints what `retain`
takes in a process of its own: once with rules about all images, and once by type and label.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.model.part import WrittenFile
from cardbeam.run_state.layout import DOCUMENTS, LEDGER
from cardbeam.run_state.receipt import Receipt, write_receipt
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.files.table_file import TableRows, open_parquet
from pipeline.__main__ import main as cardbeam
from schemas.document_tables import schema_of
from schemas.run_tables import LEDGER_SCHEMA

_RUN_ID, _FILE_ROWS, _GROUP_ROWS = "20260101T010000Z", 100_000, 10_000
_FIRST_US = 1_767_229_200_000_000
_THUMBNAIL_LETTERS = 400
_ALL = "[[rule]]\nresponses = 90\nthumbnails = 30\n"
_SOME = '[[rule]]\nthumbnails = 30\ntypes = ["passport"]\nlabels = ["branch=north"]\n'


def write_output(root: Path, images: int) -> None:
    """One run of so many passports, half of them of branch north."""
    folder, files = LocalFolder(str(root)), []
    for table, rows in ((LEDGER, _ledger), (f"{DOCUMENTS}/type=passport", _passports)):
        for start in range(0, images, _FILE_ROWS):
            files.append(_write(folder, table, rows, range(start, min(start + _FILE_ROWS, images))))
    requests = {"found": images, "called": images, "succeeded": images}
    none = ("skipped", "duplicates", "dead_lettered", "deferred", "erased")
    listed = [{"path": one.path, "rows": one.rows, "bytes": one.size_bytes} for one in files]
    rate = dict.fromkeys(("allowed_per_s", "achieved_per_s", "busy_s", "throttled_s"), 0.0)
    counts, calls = {**requests, **dict.fromkeys(none, 0)}, {"sent": images, "retried": 0, "answered": images}
    at, documents = "2026-01-01T01:00:00Z", {"passport": images}
    receipt = Receipt(_RUN_ID, "complete", counts, calls, documents, {}, listed, rate, 0.0, at, at, {}, reconciled=True)
    write_receipt(folder, receipt)


def _write(folder: LocalFolder, table: str, rows: Callable[[range], pa.Table], numbers: range) -> WrittenFile:
    groups = [range(start, min(start + _GROUP_ROWS, numbers.stop)) for start in numbers[::_GROUP_ROWS]]
    first = rows(groups[0])
    with open_parquet(folder, TableRows(table, _RUN_ID, f"part-{numbers.start:012}", first)) as file:
        for group in groups:
            file.write(rows(group))
    return file.written


def _common(numbers: range) -> dict[str, pa.Array]:
    count = len(numbers)
    labels = [[("branch", "north" if number % 2 else "south")] for number in numbers]
    return {
        "item_id": pa.array([f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:016x}" for number in numbers]),
        "operation": pa.repeat("ekyc/card", count),
        "uris": pa.array([[f"s3://cards/{number:010}.jpg"] for number in numbers]),
        "labels": pa.array(labels, LEDGER_SCHEMA.field("labels").type),
    }


def _thumbnails(numbers: range) -> pa.Array:
    letters = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)
    drawn = np.random.default_rng(numbers.start).integers(0, 64, (len(numbers), _THUMBNAIL_LETTERS), np.uint8)
    raw = pa.py_buffer(letters[drawn].tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(_THUMBNAIL_LETTERS), len(numbers), [None, raw]).cast(
        pa.binary()
    )


def _times(numbers: range) -> pa.Array:
    return pa.array(_FIRST_US + np.arange(numbers.start, numbers.stop, dtype=np.int64))


def _numbers(numbers: range) -> pa.Array:
    return pa.array([f"N{number:08}" for number in numbers])


def _ledger(numbers: range) -> pa.Table:
    pieces = (b'{"errorCode":"0","data":[{"type":"passport","info":{"id":"', b'","image":"', b'"}}]}')
    head, between, tail = (pa.scalar(piece, pa.binary()) for piece in pieces)
    ids, images = _numbers(numbers).cast(pa.binary()), _thumbnails(numbers)
    response = pc.binary_join_element_wise(head, ids, between, images, tail, pa.scalar(b"", pa.binary()))
    common, at = _common(numbers), _times(numbers)
    own = {"source_id": common["item_id"], "outcome": pa.repeat("succeeded", len(numbers)), "response": response}
    own |= {"started_at": at, "completed_at": at, "attempts": pa.array(np.ones(len(numbers), np.int32))}
    return _table({**common, **own, "retriable": pa.array(np.zeros(len(numbers), bool))}, LEDGER_SCHEMA)


def _passports(numbers: range) -> pa.Table:
    own = {"called_at": _times(numbers), "id": _numbers(numbers), "image": _thumbnails(numbers)}
    index = pa.array(np.zeros(len(numbers), np.int32))
    return _table({**_common(numbers), **own, "document_index": index}, schema_of("passport"))


def _table(columns: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    count = len(columns["item_id"])
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def main(arguments: Sequence[str]) -> int:
    """Write the output if it is not there; print what each `retain` took."""
    root, images = Path(arguments[0]), int(arguments[1])
    if not root.exists():
        write_output(root, images)
    for name, policy in (("some, dry run", _SOME), ("some", _SOME), ("all", _ALL), ("again", _ALL)):
        path = root.with_suffix(".toml")
        path.write_text(policy)
        arguments = [f"--output={root}", f"--policy={path}", *(["--dry_run"] if "dry" in name else [])]
        measured = [sys.executable, "-m", "benchmarks.retention", "--retain", *arguments]
        print(name, subprocess.run(measured, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return 0


def measure(arguments: Sequence[str]) -> int:
    """Run the command here, and print the CPU time and memory of this process."""
    began_s = time.perf_counter()
    assert cardbeam(["retain", *arguments]) == 0
    used = resource.getrusage(resource.RUSAGE_SELF)
    text = {"cpu_s": used.ru_utime + used.ru_stime, "wall_s": time.perf_counter() - began_s}
    print(json.dumps({name: round(value, 1) for name, value in text.items()} | {"peak_mb": used.ru_maxrss // 1024}))
    return 0


if __name__ == "__main__":
    sys.exit(measure(sys.argv[2:]) if sys.argv[1] == "--retain" else main(sys.argv[1:]))
