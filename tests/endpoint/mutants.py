"""Send files after accidents through the pipeline, and each of them to the embedded endpoint; print what came of them.

python -m tests.endpoint.mutants --files=2000
python -m tests.endpoint.mutants --files=200 --start=1800
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from PIL import Image

from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.runs.registry import ended_runs
from tests.endpoint.conftest import ROOT, RunningEndpoint, running_endpoint
from tests.endpoint.hostile import mutated
from tests.pipeline import cli
from tests.servers import CardServer, success

MAX_CPU_S = 10.0
_CARD = ROOT / "cards" / "chip-front-02.jpg"
_WIDTH_PX = 480
_WITHIN_S = 600.0
"""Of the clock, on a machine that may be busy."""
_KINDS = ("JPEG", "PNG", "PDF", "WEBP", "TIFF", "GIF", "BMP", "MPO")
_ENDS = ("skipped", "duplicates", "succeeded", "dead_lettered", "deferred")


@dataclass(frozen=True, slots=True)
class MutantResults:
    """What came of the files: codes of the endpoint, dead letters of the pipeline, and what is wrong."""

    codes: dict[str, int]
    dead_letters: dict[str, int]
    longest_cpu_s: float
    wrong: list[str]


def mutants(count: int, start: int = 0) -> Iterator[tuple[str, bytes]]:
    """Files of each kind that is sent, after an accident each; some are as good as before. `start` is the first's
    number, by which the same accident happens to it each time."""
    with Image.open(_CARD) as opened:
        card = opened.convert("RGB").resize((_WIDTH_PX, round(_WIDTH_PX * opened.height / opened.width)))
    wholes = []
    for kind in _KINDS:
        out = io.BytesIO()
        card.save(out, kind)
        wholes.append((kind.lower(), out.getvalue()))
    wholes.append(("heic", (ROOT / "tests" / "data" / "turned.heic").read_bytes()))
    for seed in range(start, start + count):
        kind, whole = wholes[seed % len(wholes)]
        yield f"{seed:05}.{kind}", mutated(whole, seed)


def try_all(folder: Path, count: int, start: int = 0) -> MutantResults:
    """Make the files in a folder, and have both take them."""
    images = folder / "in"
    images.mkdir()
    for name, content in mutants(count, start):
        (images / name).write_bytes(content)
    dead_letters, wrong = _through_pipeline(images, folder / "out", count)
    with running_endpoint(folder, "--workers=1", reader="endpoint.reader.card_reader:CardReader") as endpoint:
        codes, longest_cpu_s, more = _through_endpoint(endpoint, images)
    return MutantResults(codes, dead_letters, longest_cpu_s, [*wrong, *more])


def _through_pipeline(images: Path, output: Path, count: int) -> tuple[dict[str, int], list[str]]:
    with CardServer(lambda _: success(("passport", {"id": "B1"})), keeps_content=False) as server:
        to = [f"--input={images}/*", f"--output={output}", f"--endpoint_url={server.base_url}"]
        ended = cli.run("backfill", *to, "--max_requests_per_second=0", timeout_s=600)
    folder = LocalFolder(str(output))
    receipts = [receipt for run_id in ended_runs(folder) if (receipt := read_receipt(folder, run_id))]
    if ended.returncode or not receipts:
        return {}, [f"backfill ended with {ended.returncode}: {ended.stderr[-300:]}"]
    (receipt,) = receipts
    found, total = receipt.requests["found"], sum(receipt.requests[name] for name in _ENDS)
    adds_up = receipt.reconciled and found == total == count
    return receipt.dead_letters, [] if adds_up else [f"the receipt does not add up: {receipt.requests}"]


def _through_endpoint(endpoint: RunningEndpoint, images: Path) -> tuple[dict[str, int], float, list[str]]:
    codes, longest_s, wrong = Counter[str](), 0.0, []
    for path in sorted(images.iterdir()):
        before_s = _cpu_s(endpoint)
        response = endpoint.post_file("ekyc/card", path.read_bytes(), timeout_s=_WITHIN_S)
        took_s = _cpu_s(endpoint) - before_s
        longest_s = max(longest_s, took_s)
        if response.status_code != 200:
            wrong.append(f"{path.name}: HTTP {response.status_code}")
        elif took_s > MAX_CPU_S:
            wrong.append(f"{path.name}: {took_s:.1f} s of CPU")
        else:
            codes[response.json()["errorCode"]] += 1
    return dict(codes), longest_s, wrong


def _cpu_s(endpoint: RunningEndpoint) -> float:
    """Of the server and its workers; one that was replaced between two looks counts as none."""
    total_s = 0.0
    for process in (psutil.Process(endpoint.process.pid), *endpoint.workers()):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total_s += times.user + times.system
    return total_s


def main(arguments: Sequence[str]) -> int:
    """Print what came of them; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0, help="the number of the first")
    asked = parser.parse_args(list(arguments))
    with tempfile.TemporaryDirectory() as scratch:
        found = try_all(Path(scratch), asked.files, asked.start)
    print(f"{asked.files} files from {asked.start}: endpoint {found.codes}, longest {found.longest_cpu_s:.1f} s of CPU")
    print(f"pipeline: dead letters {found.dead_letters}")
    print("\n".join(found.wrong) or "every receipt adds up, no HTTP 500, none beyond its CPU")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
