"""`bench scale`: what processes take over millions of processed images: start, plan, a backfill of what is new.

The outputs are synthetic (see `scale_output`); each figure is of a process of its own. Peak memory is the operating
system's for that process.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.images import write_images
from benchmarks.machine import endpoint, run_child
from benchmarks.paid_once import measure
from benchmarks.processes import run_backfill
from benchmarks.scale_output import image_of, write_manifest
from cardbeam.inputs.image_source import describe
from cardbeam.model.request import Request

_RENAMED = 100
"""Of the new names, so many are of images that the same run processes under another one."""


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Figures for each number of processed images; plan and backfill for those up to a bound."""
    parser = argparse.ArgumentParser(prog="run.sh bench scale", description=__doc__)
    parser.add_argument("--processed", type=int, nargs="*", default=[1_000_000, 10_000_000, 30_000_000])
    parser.add_argument("--new", type=int, default=10_000)
    parser.add_argument(
        "--most_planned", type=int, default=10_000_000, help="plan and backfill over no more than these"
    )
    parser.add_argument("--folder", default="", help="keep the outputs here, and use those that are here")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(asked.folder or scratch)
        return {str(count): _measure(root, count, asked) for count in sorted(asked.processed)}


def _measure(root: Path, processed: int, asked: argparse.Namespace) -> dict[str, Any]:
    output = root / str(processed)
    built = {} if output.exists() else run_child("benchmarks.scale_output", str(output), str(processed))
    found: dict[str, Any] = {"built": built, "start": run_child("benchmarks.scale", "start", str(output))}
    if processed <= asked.most_planned:
        found["plan"] = _plan(root, output, processed, asked.new)
        found["backfill"] = _backfill(root, output, processed, asked.new)
    if not asked.folder:
        shutil.rmtree(output)
    return found


def _start(output: str) -> dict[str, float]:
    """What a worker does until its first call: load the index, look up one request by source and by content."""
    from cardbeam.index.history import history_of  # noqa: PLC0415  # its CPU is counted from here
    from cardbeam.index.on_disk.source_join import looked_up  # noqa: PLC0415
    from cardbeam.index.refresh import IndexFollower  # noqa: PLC0415
    from transforms.call_endpoint import CallEndpoint  # noqa: PLC0415

    del CallEndpoint  # a worker has Beam loaded
    before_s = time.process_time()
    index = IndexFollower(_folder(output), "run-new").index
    (request,) = looked_up([Request("ekyc/card", (image_of(0),))], index)
    known = history_of(index, request)
    status, item_id = known.of_source(request.source_id)
    new = history_of(index, Request("ekyc/card", ())).of_item("0" * 32, 200_000)
    if not (status.is_earlier_run and item_id and not new.is_earlier_run):
        raise RuntimeError(f"{output}: a processed image is {status.name}, a new one {new.name}")
    cpu_s = time.process_time() - before_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": round(cpu_s, 3), "peak_mb": round(peak_mb, 1), "keys": index.count_items()}


def _folder(output: str) -> Any:
    from cardbeam.storage.folder import open_folder  # noqa: PLC0415

    return open_folder(output)


def _plan(root: Path, output: Path, processed: int, new: int) -> dict[str, Any]:
    """All processed images and some new ones, listed by a manifest with sizes and etags."""
    manifest = root / "plan.parquet"
    write_manifest(manifest, processed, [image_of(processed + number) for number in range(new)])
    measured = measure("plan", f"--input={manifest}", f"--output={output}", "--trust_manifest", "--format=json")
    printed = json.loads(measured.output)
    expected = {"found": processed + new, "answered_before": processed, "to_call": new}
    if {name: printed[name] for name in expected} != expected:
        raise RuntimeError(f"plan printed {printed}, expected {expected}")
    return {"cpu_s": measured.cpu_s, "wall_s": measured.wall_s, "peak_mb": measured.peak_mb}


def _backfill(root: Path, output: Path, processed: int, new: int) -> dict[str, Any]:
    """The same with new images on disk, some of them under two names: each is called for once. Then all are known, and
    under a new name again too."""
    images = root / "images"
    shutil.rmtree(images, ignore_errors=True)
    write_images(images, new, 2000)
    paths = sorted(images.glob("*"))
    duplicates = [path.with_name(f"copy-{path.name}") for path in paths[:_RENAMED]]
    for path, copy in zip(paths, duplicates, strict=False):
        shutil.copyfile(path, copy)
    manifest = root / "backfill.parquet"
    write_manifest(manifest, processed, [describe(str(path)) for path in (*paths, *duplicates)])
    given = [f"--input={manifest}", f"--output={output}", "--trust_manifest", "--max_requests_per_second=0"]
    with endpoint() as server:
        first = run_backfill(server, given)
        for copy in duplicates:
            copy.rename(copy.with_name(f"renamed-{copy.name}"))
        again = run_backfill(server, [f"--input={images}", f"--output={output}", "--max_requests_per_second=0"])
    return {
        "calls": len(first.came_s),
        "calls_for_renamed": len(again.came_s),
        "cpu_s": round(first.cpu_s, 1),
        "wall_s": round(first.ended_s - first.started_s, 1),
        "peak_mb": round(first.peak_mb, 1),
    }


if __name__ == "__main__":
    print(json.dumps(_start(sys.argv[2])))
