"""`bench sql`: what opening `sql` takes over many runs, each with a file of every table.

The runs are copies of one, which holds a document of each type and a dead letter. The figures are of a process of its
own; peak memory is the operating system's for it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.machine import run_child
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.receipt import RECEIPT_FILE
from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.views import connect
from schemas.documents import DOCUMENT_TYPES

_FIRST = datetime(2023, 1, 1, 1)
_nights: Any = importlib.import_module("tests.pipeline.nights")  # tests are not type-checked


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Write the runs, and open them."""
    parser = argparse.ArgumentParser(prog="run.sh bench sql", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as root:
        _write_runs(root, asked.runs)
        return {str(asked.runs): run_child("benchmarks.sql_runs", root)}


def _write_runs(root: str, runs: int) -> None:
    """One run, and links to its files as those of the others."""
    first, *others = ((_FIRST + timedelta(days=day)).strftime("%Y%m%dT%H%M%SZ") for day in range(runs))
    rng = random.Random(8)
    records = [
        _nights.ledger_record(
            first,
            number,
            (f"s3://photos/{number}.jpg",),
            response=_nights.response(rng, (name, _nights.person(rng))),
        )
        for number, name in enumerate(DOCUMENT_TYPES)
    ]
    records.append(_nights.failure(first, len(records), "s3://photos/failed.jpg", "http_503", "busy", True))
    files = [file["path"] for file in _nights.write_run(LocalFolder(root), first, records).files]
    receipt = Path(root, run_file(first, RECEIPT_FILE)).read_text()
    for run_id in others:
        for path in files:
            linked = Path(root, path.replace(first, run_id))
            linked.parent.mkdir(parents=True)
            os.link(Path(root, path), linked)
        own = Path(root, run_file(run_id, RECEIPT_FILE))
        own.parent.mkdir(parents=True)
        own.write_text(receipt.replace(first, run_id))


def _open(root: str) -> dict[str, float]:
    before_s = time.process_time()
    connect(root)
    cpu_s = time.process_time() - before_s
    return {"cpu_s": round(cpu_s, 2), "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}


if __name__ == "__main__":
    print(json.dumps(_open(sys.argv[1])))
