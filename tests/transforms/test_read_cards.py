"""ReadCards in a pipeline that is not ours: tables from URIs, and no call for what the store holds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.typehints import TypeCheckError

from cardbeam.storage.folder import LocalFolder
from schemas.document_tables import schema_of
from schemas.run_tables import DEAD_LETTERS_SCHEMA, LEDGER_SCHEMA
from tests.records import stored_records
from tests.servers import Answer, CardServer, failure, success
from tests.wire import Received, key_of
from transforms import ReadCards
from transforms.read_cards import NotAllAnswered

OPTIONS = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]


def images(folder: Path, draw: Callable[..., bytes], count: int) -> list[str]:
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(draw(number))
    return [str(folder / f"{number}.jpg") for number in range(count)]


def read(rows: list[Any], folder: Path, server: CardServer) -> dict[str, list[dict[str, Any]]]:
    """All rows that a pipeline gives, by output, as Beam's own sink wrote them."""
    sinks = {"passport": schema_of("passport"), "dead_letters": DEAD_LETTERS_SCHEMA, "responses": LEDGER_SCHEMA}
    with beam.Pipeline(options=PipelineOptions(OPTIONS)) as pipeline:
        cards = (
            pipeline
            | beam.Create(rows)
            | ReadCards(str(folder / "store"), endpoint_url=server.base_url, max_requests_per_second=0)
        )
        outputs = {"passport": cards.documents["passport"], **cards._asdict()}
        for name, schema in sinks.items():
            outputs[name] | name >> beam.io.WriteToParquetBatched(f"{folder}/{name}", schema)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in sinks:
        files = list(folder.glob(f"{name}-*"))
        found[name] = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
        for file in files:
            file.unlink()
    return found


@pytest.mark.usefixtures("credentials")
def test_a_second_pipeline_gets_the_stored_responses(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Documents and dead letters come with labels joined by item_id; run again, the same rows come without a call."""
    uris = images(tmp_path, draw, 5)
    rows = [*uris[:4], {"uri": uris[4], "customer": "C-5"}]
    bad = key_of(draw(3))
    with CardServer(
        lambda got: failure("1") if got.key == bad else success(("passport", {"id": got.key[:12]}))
    ) as server:
        first = read(rows, tmp_path, server)
        calls = dict(server.calls)
        again = read(rows, tmp_path, server)
        fewer = read(rows[3:], tmp_path, server)
        assert (dict(server.calls), sorted(set(calls.values())), len(calls)) == (calls, [1], 5)
    assert sorted(uri for row in first["passport"] for uri in row["uris"]) == [*uris[:3], uris[4]]
    assert [(row["code"], row["uris"]) for row in first["dead_letters"]] == [("error_1", [uris[3]])]
    labelled = [row for row in first["responses"] if row["labels"]]
    assert [(row["uris"], row["labels"]) for row in labelled] == [([uris[4]], [("customer", "C-5")])]
    assert {name: sorted(map(str, found)) for name, found in again.items()} == {
        name: sorted(map(str, found)) for name, found in first.items()
    }
    assert [len(found) for found in fewer.values()] == [1, 1, 2]


@pytest.mark.usefixtures("credentials")
def test_a_pipeline_that_is_stopped_fails(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Where the account has no requests left, nothing goes on as if it were whole; the message says what to do."""
    uris = images(tmp_path, draw, 2)
    with CardServer(lambda got: failure("4")) as server, pytest.raises(Exception, match="Rerun the pipeline to resume"):
        read(uris, tmp_path, server)
    assert issubclass(NotAllAnswered, RuntimeError)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_request": 5}, "unknown option max_request"),
        ({"max_requests_per_second": -1}, "max_requests_per_second is -1, expected 0 or more"),
        ({"operation": "ekyc/card", "endpoint_url": "ftp://x"}, "endpoint_url is not a URL"),
    ],
)
def test_options_are_checked_when_it_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReadCards("store", **options)


def test_wrong_elements_fail_at_construction() -> None:
    pipeline = beam.Pipeline(options=PipelineOptions(OPTIONS))
    with pytest.raises(TypeCheckError):
        pipeline | beam.Create([1, 2]) | ReadCards("store")


@pytest.mark.slow
@pytest.mark.usefixtures("credentials")
def test_a_pipeline_that_is_killed_and_run_again(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """What was answered when it was killed is not called again; the rest is, and all of it comes."""
    uris = images(tmp_path, draw, 6)
    answered: set[str] = set()
    released, one_by_one = Event(), Lock()

    def answer(got: Received) -> Answer:
        with one_by_one:
            if len(answered) < 3:
                answered.add(got.key)
        assert got.key in answered or released.wait(300)
        return success(("passport", {"id": got.key[:12]}))

    with CardServer(answer) as server:
        store = tmp_path / "store"
        script = [sys.executable, "-c", _PIPELINE, str(store), server.base_url, *uris]
        child = subprocess.Popen(script, cwd=Path(__file__).parents[2])
        try:
            until_s = time.monotonic() + 300
            while len(stored_records(LocalFolder(str(store)))) < 3:
                assert child.poll() is None and time.monotonic() < until_s
                time.sleep(0.1)
        finally:
            child.kill()
            child.wait()
        released.set()
        found = read(uris, tmp_path, server)
        assert {key: calls for key, calls in server.calls.items() if key in answered} == dict.fromkeys(answered, 1)
    assert sorted(uri for row in found["passport"] for uri in row["uris"]) == uris


_PIPELINE = """
import sys
import apache_beam as beam
from transforms import ReadCards

store, url, *uris = sys.argv[1:]
with beam.Pipeline(runner="FnApiRunner") as pipeline:
    _ = pipeline | beam.Create(uris) | ReadCards(store, endpoint_url=url, max_requests_per_second=0, timeout_s=300)
"""
