"""`./run.sh bench [NAME …]`: the benchmarks, each a module; results as JSON with the machine they are from."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import machine

_RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class _Benchmark:
    module: str
    does: str


BENCHMARKS = {
    "throughput": _Benchmark("benchmarks.throughput", "a whole backfill beside what users write today"),
    "rate": _Benchmark("benchmarks.rate", "how much of the allowed rate is used, by how many workers; never above it"),
    "memory": _Benchmark("benchmarks.memory", "peak memory of one worker as the images grow in number"),
    "calls": _Benchmark("benchmarks.calls", "where the CPU of a call goes, step by step"),
    "tail": _Benchmark("benchmarks.tail", "how long a run goes on after its last call has started"),
    "paid_once": _Benchmark("benchmarks.paid_once", "what planning over past runs and publishing cost"),
    "quick_start": _Benchmark("benchmarks.quick_start", "one image, all set up, against the import of Beam and Arrow"),
    "tables": _Benchmark("benchmarks.tables", "publishing, and queries of the tables, for up to a million documents"),
    "journal": _Benchmark("benchmarks.journal", "what making each answer durable costs"),
    "reading": _Benchmark("benchmarks.reading", "how well the embedded endpoint reads"),
    "runners": _Benchmark("benchmarks.runners", "local runners side by side: start, rate, memory"),
    "cluster": _Benchmark("benchmarks.cluster", "a Flink cluster, as images and workers grow in number"),
    "flink": _Benchmark("tests.engines.night", "a run on a Flink cluster whose task managers are killed"),
    "scale": _Benchmark("benchmarks.scale", "start, plan and backfill over millions of processed images"),
    "sql": _Benchmark("benchmarks.sql_runs", "opening sql over a thousand runs: CPU and memory"),
    "storage": _Benchmark("benchmarks.storage", "listing, reading and journal on object storage"),
}


def main(arguments: Sequence[str]) -> int:
    """Run one benchmark with its options, or the first five as they are; print and keep the results."""
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print("usage: run.sh bench [NAME [options]]; without a name, throughput, rate, memory, calls and tail\n")
        print("\n".join(f"  {name:<12} {known.does}" for name, known in BENCHMARKS.items()))
        return 0
    if arguments and arguments[0] not in BENCHMARKS:
        print(f"run.sh bench: {arguments[0]} is none of {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    status = 0
    names = arguments[:1] or list(BENCHMARKS)[:5]
    for name in names:
        where = machine()
        found = importlib.import_module(BENCHMARKS[name].module).main(list(arguments[1:]))
        if not isinstance(found, dict):  # it has printed what it found, and may say that a promise was not kept
            status = status or int(found or 0)
            continue
        result = json.dumps({"benchmark": name, "machine": where, **found}, indent=1)
        print(result, flush=True)
        _RESULTS.mkdir(exist_ok=True)
        _RESULTS.joinpath(f"{name}.json").write_text(result + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
