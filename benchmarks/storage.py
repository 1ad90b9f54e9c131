"""`bench storage`: which library reads a bucket, how long a large one or a long manifest takes, what a backfill costs.

Against a real S3-compatible server on this machine, so the figures show the cost of the client and
of the protocol; the network of a real bucket comes on top, the same for all.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.images import write_images
from benchmarks.machine import CREDENTIALS, endpoint, medians
from cardbeam.config.settings import InputSettings
from cardbeam.inputs.listing import list_requests
from cardbeam.storage.object_store import list_objects, object_at
from tests.stores.servers import S3, StoreServer

_HERE = Path(__file__).resolve().parent.parent
_THREADS = 32
Read = Callable[[str], int]


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """All measurements."""
    parser = argparse.ArgumentParser(prog="run.sh bench storage", description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--image_bytes", type=int, default=219_000)
    parser.add_argument("--objects", type=int, default=100_000, help="Objects to list and plan, lines of the manifest.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--latency_s", type=float, default=0.3, help="Of the endpoint.")
    parser.add_argument("--only", nargs="*", choices=_MEASUREMENTS, default=list(_MEASUREMENTS))
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, StoreServer(S3, Path(folder, "store")) as store:
        os.environ.update(S3.environment(store.url))
        return {name: _MEASUREMENTS[name](asked, Path(folder)) for name in asked.only}


def _readers() -> Iterator[tuple[str, Read | None]]:
    """Each library as a function of a URI that reads it; None where it is not installed."""
    yield "obstore", lambda uri: len(object_at(uri).read())
    yield "smart-open", _smart_open()
    yield "fsspec (s3fs)", _fsspec()
    yield "beam", _beam()


def _smart_open() -> Read | None:
    try:
        import boto3  # noqa: PLC0415  # a contender
        import botocore.config  # noqa: PLC0415
        import smart_open  # noqa: PLC0415
    except ImportError:
        return None
    client = boto3.client("s3", config=botocore.config.Config(max_pool_connections=_THREADS))

    def read(uri: str) -> int:
        with smart_open.open(uri, "rb", transport_params={"client": client}) as file:
            return len(file.read())

    return read


def _fsspec() -> Read | None:
    try:
        import s3fs  # noqa: PLC0415  # a contender
    except ImportError:
        return None
    files = s3fs.S3FileSystem()
    return lambda uri: len(files.cat_file(uri))


def _beam() -> Read | None:
    try:
        from apache_beam.io.aws.clients.s3 import boto3_client  # noqa: PLC0415  # a contender
        from apache_beam.io.aws.s3io import S3IO  # noqa: PLC0415
    except ImportError:
        return None
    options = {"s3_endpoint_url": os.environ["AWS_ENDPOINT_URL"], "s3_region_name": os.environ["AWS_REGION"]}
    io = S3IO(boto3_client.Client(options))

    def read(uri: str) -> int:
        with io.open(uri, "r") as file:
            return len(file.read())

    return read


def _read(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Each library: ms an object one after another, objects/s and CPU ms an object by 32 threads."""
    uris = _put_images(folder, asked.images, asked.image_bytes)
    found: dict[str, Any] = {}
    for name, read in _readers():
        if read is None:
            found[name] = "not installed"
            continue
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(read, uris[:_THREADS]))  # connections and imports
            found[name] = medians([_timed(read, uris, pool) for _ in range(asked.runs)])
    return found


def _timed(read: Read, uris: Sequence[str], pool: ThreadPoolExecutor) -> dict[str, float]:
    few = uris[:200]
    began_s = time.perf_counter()
    for uri in few:
        read(uri)
    one_by_one_s = time.perf_counter() - began_s
    began_s, cpu_s = time.perf_counter(), time.process_time()
    read_bytes = sum(pool.map(read, uris))
    together_s = time.perf_counter() - began_s
    return {
        "ms_one_by_one": 1000 * one_by_one_s / len(few),
        "objects_per_s": len(uris) / together_s,
        "mb_per_s": read_bytes / 1e6 / together_s,
        "cpu_ms_per_object": 1000 * (time.process_time() - cpu_s) / len(uris),
    }


def _put_images(folder: Path, count: int, size_bytes: int) -> list[str]:
    images = folder / "images"
    if not images.exists():
        write_images(images, count, size_bytes)
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(_put, images.iterdir()))
    return [f"{S3.uri}/in/{path.name}" for path in sorted(images.iterdir())]


def _put(path: Path) -> None:
    object_at(f"{S3.uri}/in/{path.name}").put(path.read_bytes())


@cache
def _put_many(count: int) -> list[str]:
    uris = [f"{S3.uri}/many/{number % 100:02}/{number:07}.jpg" for number in range(count)]
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda uri: object_at(uri).put(b"x"), uris))
    return uris


def _manifest(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Lines a second and CPU a line to learn size and etag: of all objects in a folder, and of a few among many."""
    uris = _put_many(asked.objects)
    sparse = [uri for number, uri in enumerate(uris) if number // 100 % 10 == 0]
    lines = {"all, by listing": uris, "one in ten, by HEAD": sparse}
    return {name: medians([_looked_at(folder / "list.txt", of_kind) for _ in range(asked.runs)])
            for name, of_kind in lines.items()}  # fmt: skip


def _looked_at(manifest: Path, uris: Sequence[str]) -> dict[str, float]:
    manifest.write_text("\n".join(uris))
    began_s, cpu_s = time.perf_counter(), time.process_time()
    count = sum(1 for _ in list_requests(str(manifest), InputSettings((str(manifest),))))
    return {
        "lines_per_s": count / (time.perf_counter() - began_s),
        "cpu_ms_per_line": 1000 * (time.process_time() - cpu_s) / count,
    }


def _plan(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Listing alone, and `plan` over it: seconds and peak memory."""
    _put_many(asked.objects)
    began_s = time.perf_counter()
    listed = sum(1 for _ in list_objects(f"{S3.uri}/many"))
    list_s = time.perf_counter() - began_s
    planned = _cli("plan", f"--input={S3.uri}/many/**/*.jpg", f"--output={S3.uri}/planned", "--endpoint_url=http://x")
    return {"objects": listed, "list_s": round(list_s, 2), **planned}


def _backfill(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The same images from a local folder and from the bucket, tables beside them, in turn."""
    _put_images(folder, asked.images, asked.image_bytes)
    ends = {"local": (str(folder / "images"), str(folder / "tables")), "bucket": (f"{S3.uri}/in", f"{S3.uri}/tables")}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in ends}
    for number in range(asked.runs):
        for name, (images, tables) in ends.items():
            with endpoint(asked.latency_s) as server:
                run = _cli(
                    "backfill",
                    f"--input={images}/*.jpg",
                    f"--output={tables}-{number}",
                    f"--endpoint_url={server.base_url}",
                    "--max_requests_per_second=0",
                    "--max_in_flight=64",
                )
                came_s = server.served().came_s
            calls_s = max(came_s) - min(came_s) + asked.latency_s
            runs[name].append({**run, "calls_per_s": asked.images / calls_s, "per_s": asked.images / run["wall_s"]})
    found = {name: medians(figures) for name, figures in runs.items()}
    ratios = {key: round(found["bucket"][key] / found["local"][key], 3) for key in ("calls_per_s", "per_s")}
    return {"latency_s": asked.latency_s, **found, "bucket_to_local": ratios}


def _cli(command: str, *arguments: str) -> dict[str, float]:
    """Run a command in a child: its wall time, CPU and peak memory, start included."""
    with _measured() as cost:
        child = subprocess.Popen(
            [sys.executable, "-m", "pipeline", command, *arguments],
            cwd=_HERE,
            env={**os.environ, **CREDENTIALS},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        given = child.stdout.read() if child.stdout else ""
        _, status, used = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(re.sub(r"\s+", " ", given)[-1000:])
    return {**cost, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": _mb(used)}


def _mb(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / 1024


@contextmanager
def _measured() -> Iterator[dict[str, float]]:
    cost: dict[str, float] = {}
    began_s = time.perf_counter()
    yield cost
    cost["wall_s"] = time.perf_counter() - began_s


_MEASUREMENTS = {"read": _read, "plan": _plan, "manifest": _manifest, "backfill": _backfill}
