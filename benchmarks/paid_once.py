"""`bench paid_once`: what planning a run over past ones costs, and making its tables from a journal and a ledger.

Each measurement runs the real command line in a child process; peak memory is the
operating system's figure for that process. What kills pay twice, `python -m tests.pipeline.killing` measures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cardbeam.inputs.image_source import describe
from cardbeam.journal.record_format import encode, frames, header, key_of
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.model.request import ImageRef, Request
from cardbeam.model.result import FOUND
from cardbeam.run_state.layout import COUNTS_FILE, JOURNAL, LEDGER, of_run, parquet_file, run_file
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.parts.read_part import ledger_table
from schemas.documents import DOCUMENTS
from schemas.fields import Field, Kind

_ROWS_PER_FILE = 100_000
_LINKS_PER_FILE = 50_000
"""ext4 takes 65,000 names for a file."""

_SAMPLES: dict[Kind, object] = {
    Kind.TEXT: "Xã Quảng Thành, Thành phố Thanh Hóa",
    Kind.DATE: "12-03-2001",
    Kind.CONFIDENCE: 0.9941802024841309,
    Kind.BOX: [212, 340, 611, 398],
    Kind.IMAGE: "",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One child process: seconds of wall clock and of CPU, and peak memory."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str


def measure(command_name: str, *arguments: str) -> Measured:
    """Run a command in a child process.

    Raises:
        RuntimeError: it failed.
    """
    environment = {**os.environ, "CARD_API_KEY": "bench", "CARD_API_SECRET": "bench"}
    started_s = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        command = [sys.executable, "-m", "pipeline", command_name, *arguments]
        child = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - started_s
        out.seek(0)
        output = out.read()
    if child.returncode:
        raise RuntimeError(f"{command_name} ended with {child.returncode}: {output}")
    return Measured(round(wall_s, 2), round(usage.ru_utime + usage.ru_stime, 2), round(_peak_mb(usage), 1), output)


def _peak_mb(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024  # Linux counts in KiB


def _sample(field: Field, number: int) -> object:
    return f"{number:012}" if field.name == "id" else _SAMPLES[field.kind]


def sample_response(number: int, document_type: str) -> bytes:
    """A response with every field of a type, as long as a real one."""
    info = {field.name: _sample(field, number) for field in DOCUMENTS[document_type]}
    document = {
        "info": info,
        "type": document_type,
        "valid": "True",
        "invalidCode": "0",
        "invalidMessage": "Successful",
    }
    return json.dumps({"data": [document], "errorCode": "0", "errorMessage": "Success"}, ensure_ascii=False).encode()


def sample_record(request: Request, number: int, *, with_response: bool) -> JournalRecord:
    """An answered request; types take turns."""
    types = list(DOCUMENTS)
    now_us = 1_790_000_000_000_000 + number * 5_000
    return JournalRecord(
        item_id=hashlib.sha256(str(number).encode()).hexdigest()[:32],
        source_id=request.source_id,
        outcome=RecordStatus.SUCCEEDED.value,
        operation=request.operation,
        uris=request.uris,
        labels=request.labels,
        started_at=now_us,
        completed_at=now_us,
        http_status=200,
        attempts=1,
        latency_s=0.3,
        image_bytes=219_000,
        response=sample_response(number, types[number % len(types)]) if with_response else b"",
    )


def link_images(folder: Path, image: bytes, count: int) -> Iterator[Request]:
    """Many names of one image: they take no room, and are listed like any others."""
    folder.mkdir(parents=True)
    for number in range(count):
        original = folder.parent / f"image-{number // _LINKS_PER_FILE}.jpg"
        if number % _LINKS_PER_FILE == 0:
            original.write_bytes(image)
        path = folder / f"{number // 1000:04}" / f"{number:07}.jpg"
        path.parent.mkdir(exist_ok=True)
        os.link(original, path)
        yield Request("ekyc/card", (describe(str(path)),))


def plan_over(answered: int, new: int, image: bytes) -> dict[str, object]:
    """Seconds and memory of `plan` over so many answered and new images."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "out")
        write_ledger(output, link_images(Path(scratch, "in"), image, answered))
        for number in range(new):
            Path(scratch, "in", f"new-{number}.jpg").write_bytes(image + number.to_bytes(4, "big"))
        measured = measure("plan", f"--input={scratch}/in/**/*.jpg", f"--output={output}")
    found, before = (int(line.split()[-1].replace(",", "")) for line in measured.output.splitlines()[:2])
    if (found, before) != (answered + new, answered):
        raise RuntimeError(f"plan found {found} and {before} skipped, expected {answered + new} and {answered}")
    return {"succeeded": answered, "new": new, **_figures(measured)}


def write_ledger(output: Path, requests: Iterator[Request]) -> None:
    """A past run's ledger, without responses: reading keys does not touch them."""
    folder = output / of_run(LEDGER, "past")
    folder.mkdir(parents=True)
    records: list[JournalRecord] = []
    for number, request in enumerate(requests, start=1):
        records.append(sample_record(request, number, with_response=False))
        if len(records) == _ROWS_PER_FILE:
            _write(output, records)
            records = []
    if records:
        _write(output, records)


def _write(output: Path, records: list[JournalRecord]) -> None:
    table: pa.Table = ledger_table(records)
    path = output / parquet_file(LEDGER, "past", f"part-{records[0].item_id[:16]}")
    pq.write_table(table, path, compression="zstd")


def publish_of(answers: int) -> dict[str, object]:
    """Documents a second and memory of `publish` from a journal of so many answers, and again from the ledger."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, of_run(JOURNAL, "past"))
        folder.mkdir(parents=True)
        key = key_of("writer-000000")
        with Path(folder, "writer-000000.journal").open("wb") as segment:
            segment.write(header(key))
            for number in range(answers):
                request = Request("ekyc/card", (ImageRef(f"/in/{number}.jpg", 219_000, f"{number:x}"),))
                segment.write(frames(key, number, [encode(sample_record(request, number, with_response=True))]))
        found = LocalFolder(scratch)
        found.write(run_file("past", COUNTS_FILE), json.dumps({FOUND: answers}).encode())  # as a killed run leaves it
        first = measure("publish", f"--output={scratch}")
        again = measure("publish", f"--output={scratch}")
        empty = f"--output={_empty_run(Path(scratch, 'empty'))}"
        no_journal, no_ledger = measure("publish", empty), measure("publish", empty)
        files = list(Path(scratch, "documents").rglob("*.parquet"))
    return {
        "answers": answers,
        "from_journal": {**_figures(first), "documents_per_cpu_s": round(answers / (first.cpu_s - no_journal.cpu_s))},
        "from_ledger": {**_figures(again), "documents_per_cpu_s": round(answers / (again.cpu_s - no_ledger.cpu_s))},
        "start_up": [_figures(no_journal), _figures(no_ledger)],
        "files": len(files),
    }


def _empty_run(output: Path) -> Path:
    folder = output / of_run(JOURNAL, "past")
    folder.mkdir(parents=True)
    Path(folder, "writer-000000.journal").write_bytes(header(key_of("writer-000000")))
    return output


def _figures(measured: Measured) -> dict[str, object]:
    return {name: value for name, value in asdict(measured).items() if name != "output"}


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Seconds and memory of planning, and of publishing, for each number of answers."""
    parser = argparse.ArgumentParser(prog="run.sh bench paid_once", description=main.__doc__)
    parser.add_argument("--answered", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--answers", type=int, nargs="*", default=[10_000, 100_000])
    asked = parser.parse_args(list(arguments))
    image = _image()
    return {
        "plan": [plan_over(answered, 1000, image) for answered in asked.answered],
        "publish": [publish_of(answers) for answers in asked.answers],
    }


def _image() -> bytes:
    return Path(__file__).resolve().parent.parent.joinpath("cards", "chip-front-01.jpg").read_bytes()
