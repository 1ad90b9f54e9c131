"""What users write today, and cardbeam: `python -m benchmarks.contenders NAME PICTURES URL THREADS OUTPUT [OPTION …]`.

Each takes a folder of images (or cardbeam a manifest) to Parquet over one endpoint, in a process of its own, and
prints wall clock, CPU of the process and its children, and peak memory as JSON. Imports are not counted; to list the
folder is part of what each does.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import requests
from requests.adapters import HTTPAdapter

Row = dict[str, Any]


def open_session(threads: int) -> requests.Session:
    """A session with a connection for each thread."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=threads))
    session.auth = ("bench", "bench")
    return session


def read_and_call(session: requests.Session, url: str, path: str) -> Row:
    """One image -> one row, as in the vendor's sample code."""
    content = Path(path).read_bytes()
    parameters = {"format_type": "file", "get_thumb": "false"}
    answer = session.post(
        f"{url}/ekyc/card", params=parameters, files={"img": (Path(path).name, content, "image/jpeg")}, timeout=30
    ).json()
    return {"path": path, **answer["data"][0]["info"]}


def _paths(images: Path) -> list[str]:
    return sorted(map(str, images.glob("*.jpg")))


def _pool(images: Path, url: str, threads: int, output: str) -> None:
    session = open_session(threads)
    with ThreadPoolExecutor(threads) as executor:
        rows = list(executor.map(lambda path: read_and_call(session, url, path), _paths(images)))
    pq.write_table(pa.Table.from_pylist(rows), f"{output}.parquet")


def _beam_one_by_one(images: Path, url: str, threads: int, output: str) -> None:
    import apache_beam as beam  # noqa: PLC0415  # each contender pays for its own imports only

    class Call(beam.DoFn):
        def setup(self) -> None:
            self._session = open_session(threads)

        def process(self, path: str) -> Any:
            yield read_and_call(self._session, url, path)

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        calls = pipeline | beam.Create(_paths(images)) | beam.Reshuffle() | beam.ParDo(Call())
        _ = calls | beam.Map(json.dumps) | beam.io.WriteToText(output)


def _request_response_io(images: Path, url: str, threads: int, output: str) -> None:
    import apache_beam as beam  # noqa: PLC0415
    from apache_beam.io.requestresponse import Caller, RequestResponseIO  # noqa: PLC0415

    class Call(Caller[str, Row]):
        def __enter__(self) -> Call:
            self._session = open_session(threads)
            return self

        def __exit__(self, *_: object) -> None:
            self._session.close()

        def __call__(self, path: str, *_: object, **__: object) -> Row:
            return read_and_call(self._session, url, path)

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        calls = pipeline | beam.Create(_paths(images)) | beam.Reshuffle() | RequestResponseIO(Call())
        _ = calls | beam.Map(json.dumps) | beam.io.WriteToText(output)


def _ray(images: Path, url: str, threads: int, output: str) -> None:
    import ray  # noqa: PLC0415

    class Call:
        def __init__(self) -> None:
            self._session, self._executor = open_session(threads), ThreadPoolExecutor(threads)

        def __call__(self, batch: dict[str, Any]) -> pa.Table:
            called = self._executor.map(lambda path: read_and_call(self._session, url, str(path)), batch["item"])
            return pa.Table.from_pylist(list(called))

    dataset = ray.data.from_items(_paths(images), override_num_blocks=1)
    dataset.map_batches(Call, batch_size=4 * threads, concurrency=1).write_parquet(output)


def _cardbeam(images: Path, url: str, threads: int, output: str, *options: str) -> None:
    """Journal, tables and receipt, as `backfill` does it; not the page about the run that it ends with."""
    from pipeline import graph  # noqa: PLC0415
    from pipeline.cli.options import parse_run  # noqa: PLC0415
    from pipeline.launch.batch_run import launch  # noqa: PLC0415

    settings, runner = parse_run("backfill", "", _arguments(images, url, threads, output, *options))
    if status := launch("backfill", settings, runner, graph.backfill, leaves_page=False):
        raise SystemExit(status)


def _cardbeam_and_page(images: Path, url: str, threads: int, output: str, *options: str) -> None:
    """All that `backfill` does."""
    from pipeline.__main__ import main  # noqa: PLC0415

    if status := main(["backfill", *_arguments(images, url, threads, output, *options)]):
        raise SystemExit(status)


def _arguments(images: Path, url: str, threads: int, output: str, *options: str) -> list[str]:
    return [
        f"--input={images}" if images.is_file() else f"--input={images}/*.jpg",
        f"--output={output}",
        f"--endpoint_url={url}",
        f"--max_in_flight={threads}",
        *(options or ("--max_requests_per_second=0",)),
    ]


def _import(*modules: str) -> Callable[[], None]:
    def load() -> None:
        for module in modules:
            __import__(module)

    return load


def _start_ray() -> None:
    import ray  # noqa: PLC0415
    import ray.data  # noqa: PLC0415

    ray.init(include_dashboard=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False


_BACKFILL = ("pipeline.commands.backfill", "apache_beam.runners.portability.fn_api_runner")
"""Beam loads a runner when it is named, which is within the clock."""

CONTENDERS: dict[str, tuple[Callable[[], None], Callable[..., None]]] = {
    "cardbeam": (_import(*_BACKFILL), _cardbeam),
    "cardbeam_and_page": (_import(*_BACKFILL), _cardbeam_and_page),
    "pool": (lambda: None, _pool),
    "beam": (_import("apache_beam"), _beam_one_by_one),
    "request_response_io": (_import("apache_beam.io.requestresponse"), _request_response_io),
    "ray": (_start_ray, _ray),
}
"""What a contender loads before the clock starts, and what it does."""


class _Cost:
    """CPU seconds and peak memory of this process and its children, living ones included."""

    def __init__(self) -> None:
        import psutil  # noqa: PLC0415  # of the extra

        self._process = psutil.Process()
        self._peak_bytes, self._stopped = 0, threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()
        self._before_s = self.cpu_s()

    def cpu_s(self) -> float:
        own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        total = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
        for child in self._process.children(recursive=True):
            times = child.cpu_times()
            total += times.user + times.system
        return float(total)

    def _sample(self) -> None:
        while not self._stopped.wait(0.2):
            family = [self._process, *self._process.children(recursive=True)]
            self._peak_bytes = max(self._peak_bytes, sum(one.memory_info().rss for one in family))

    def end(self) -> tuple[float, float]:
        """CPU seconds since the start, and the peak in MB."""
        cpu_s = self.cpu_s() - self._before_s
        self._stopped.set()
        return cpu_s, max(self._peak_bytes, _own_peak_bytes()) / 1e6


def _own_peak_bytes() -> int:
    """Of this process since it began, by Linux, which misses no moment; 0 elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def main(arguments: Sequence[str]) -> None:
    """Run one contender and print what it cost."""
    name, given, url, threads, output, *options = arguments
    images = Path(given)
    load, run = CONTENDERS[name]
    load()
    cost, started_s = _Cost(), time.monotonic()
    run(images, url, int(threads), output, *options)
    wall_s = time.monotonic() - started_s
    cpu_s, peak_mb = cost.end()
    count = len(images.read_text().splitlines() if images.is_file() else _paths(images))
    figures = {
        "images_per_s": count / wall_s,
        "cpu_ms_per_image": 1000 * cpu_s / count,
        "peak_mb": peak_mb,
        "wall_s": wall_s,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
