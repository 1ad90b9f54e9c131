"""An output with as many processed images as are asked for: ledgers of runs of a million each, and their manifest.

`python -m benchmarks.scale_output FOLDER PROCESSED` writes it; responses are small, for nothing here reads them.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cardbeam.index.on_disk.update import update_index
from cardbeam.model.request import ImageRef, Request
from cardbeam.run_state.layout import LEDGER, parquet_file
from cardbeam.run_state.receipt import Receipt, write_receipt
from cardbeam.storage.folder import LocalFolder, open_folder
from schemas.run_tables import LEDGER_SCHEMA

RUN_ROWS, FILE_ROWS = 1_000_000, 100_000
_FIRST_US = 1_760_000_000_000_000
_SIZES = (150_000, 250_000)
_RESPONSE = b'{"errorCode":"0","data":[]}'


def image_of(number: int) -> ImageRef:
    """An image that an earlier run processed."""
    size_bytes = _SIZES[0] + number * 7919 % (_SIZES[1] - _SIZES[0])
    return ImageRef(f"s3://cards/2026/{number // 10_000:05}/{number:010}.jpg", size_bytes, f"{number:032x}")


def main(arguments: Sequence[str]) -> int:
    """Write an output; print what the index on disk took."""
    root, processed = arguments[0], int(arguments[1])
    folder = LocalFolder(root)
    for first in range(0, processed, RUN_ROWS):
        _write_run(folder, first, min(first + RUN_ROWS, processed))
    before_s = time.process_time()
    update_index(open_folder(root), min_files=0)
    sizes = [file.size_bytes for file in folder.list("index")]
    print(
        json.dumps(
            {
                "index_cpu_s": round(time.process_time() - before_s, 2),
                "index_bytes_a_key": round(sum(sizes) / processed, 1),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            }
        )
    )
    return 0


def _write_run(folder: LocalFolder, first: int, end: int) -> None:
    run_id = f"20260101T{first // RUN_ROWS:06}Z"
    files = []
    for start in range(first, end, FILE_ROWS):
        path = parquet_file(LEDGER, run_id, f"part-{start:012}")
        Path(folder.root, path).parent.mkdir(parents=True, exist_ok=True)
        rows = _rows(range(start, min(start + FILE_ROWS, end)))
        pq.write_table(rows, Path(folder.root, path), compression="zstd", write_page_checksum=True)
        size_bytes = Path(folder.root, path).stat().st_size
        files.append({"path": path, "rows": len(rows), "bytes": size_bytes})
    write_receipt(folder, _receipt(run_id, end - first, files))


def _receipt(run_id: str, rows: int, files: list[dict[str, object]]) -> Receipt:
    none = ("skipped", "duplicates", "dead_lettered", "deferred", "erased")
    requests = {"found": rows, "called": rows, "succeeded": rows, **dict.fromkeys(none, 0)}
    calls = {"sent": rows, "retried": 0, "answered": rows}
    rate = dict.fromkeys(("allowed_per_s", "achieved_per_s", "busy_s", "throttled_s"), 0.0)
    at = "2026-01-01T00:00:00Z"
    return Receipt(run_id, "complete", requests, calls, {}, {}, files, rate, 0.0, at, at, {}, reconciled=True)


def _rows(numbers: range) -> pa.Table:
    count = len(numbers)
    images = [image_of(number) for number in numbers]
    columns = {
        "item_id": pa.array(_item_ids(numbers)),
        "source_id": pa.array([Request("ekyc/card", (image,)).source_id for image in images]),
        "outcome": pa.repeat("succeeded", count),
        "operation": pa.repeat("ekyc/card", count),
        "uris": pa.array([[image.uri] for image in images]),
        "labels": pa.array([[]] * count, LEDGER_SCHEMA.field("labels").type),
        "attempts": pa.array(np.ones(count, np.int32)),
        "retriable": pa.array(np.zeros(count, bool)),
        "started_at": pa.array(_FIRST_US + np.arange(numbers.start, numbers.stop)),
        "completed_at": pa.array(_FIRST_US + np.arange(numbers.start, numbers.stop)),
        "image_bytes": pa.array([image.size_bytes for image in images]),
        "response": pa.repeat(_RESPONSE, count),
    }
    types = {field.name: field.type for field in LEDGER_SCHEMA}
    arrays = [columns[name].cast(kind) if name in columns else pa.nulls(count, kind) for name, kind in types.items()]
    return pa.table(arrays, schema=LEDGER_SCHEMA)


def _item_ids(numbers: range) -> Iterator[str]:
    """Spread as hashes are."""
    words = np.random.default_rng(numbers.start).bytes(16 * len(numbers)).hex()
    return (words[32 * row : 32 * row + 32] for row in range(len(numbers)))


def write_manifest(path: Path, processed: int, new: Sequence[ImageRef]) -> None:
    """All images that were processed and some others, as a Parquet manifest with sizes and etags."""
    schema = pa.schema([("uri", pa.string()), ("size", pa.int64()), ("etag", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, processed, FILE_ROWS):
            images = [image_of(number) for number in range(first, min(first + FILE_ROWS, processed))]
            writer.write_table(_table(images, schema))
        writer.write_table(_table(new, schema))


def _table(images: Sequence[ImageRef], schema: pa.Schema) -> pa.Table:
    return pa.table(
        [[one.uri for one in images], [one.size_bytes for one in images], [one.version for one in images]],
        schema=schema,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
