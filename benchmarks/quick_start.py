"""`bench quick_start`: a backfill of one image, its report included, against the import of Beam and Arrow alone."""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.images import write_images
from benchmarks.machine import CREDENTIALS, endpoint

_HERE = Path(__file__).resolve().parent.parent
_IMPORT = ["-c", "import apache_beam, pyarrow"]
_BYTES = 219_000


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Medians of CPU and time of both, and what the one is of the other."""
    parser = argparse.ArgumentParser(prog="run.sh bench quick_start", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args(arguments)
    imports, backfills = [], []
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder, "in"), 1, _BYTES)
        with endpoint(0.0) as server:
            for number in range(asked.runs + 1):  # the first of each fills the disk's cache, and is left out
                given = [f"--input={folder}/in", f"--output={folder}/{number}", f"--endpoint_url={server.base_url}"]
                imports.append(_run(_IMPORT))
                backfills.append(_run(["-m", "pipeline", "backfill", *given]))
                if not list(Path(folder, str(number), "runs").glob("*/report.html")):
                    raise RuntimeError("the backfill left no report: install cardbeam[report]")
    found = {"import": _medians(imports[1:]), "backfill": _medians(backfills[1:])}
    ratios = [mine[0] / alone[0] for mine, alone in zip(backfills[1:], imports[1:], strict=True)]
    return {**found, "cpu_ratio": round(median(ratios), 2), "runs": asked.runs}


def _run(arguments: Sequence[str]) -> tuple[float, float]:
    """CPU and wall seconds of a Python process, what it starts included."""
    before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, **CREDENTIALS, "PYTHONPATH": str(_HERE)}
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s, time.monotonic() - started_s


def _medians(taken: Sequence[tuple[float, float]]) -> dict[str, float]:
    cpu_s, wall_s = (median(values) for values in zip(*taken, strict=True))
    return {"cpu_s": round(cpu_s, 3), "wall_s": round(wall_s, 3)}
