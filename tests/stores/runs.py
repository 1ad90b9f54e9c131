"""Backfills with both ends in a bucket: images put there, the real command line, tables read back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from cardbeam.run_state.replaced_files import runs_with_replaced, unnamed_files
from cardbeam.storage.folder import Folder, open_folder
from tests.servers import Answer, CardServer, failure, success
from tests.stores.conftest import Bucket
from tests.wire import Received, key_of

IN_FLIGHT = 8


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the images of a test are, and where its tables go."""

    images: Folder
    output: Folder

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Put images by name."""
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda item: self.images.write(*item), contents.items()))

    def arguments(self, server: CardServer, *more: str) -> list[str]:
        """The options of a backfill over them."""
        return [
            f"--input={self.images.root}/**/*.jpg",
            f"--output={self.output.root}",
            f"--endpoint_url={server.base_url}",
            "--max_requests_per_second=0",
            f"--max_in_flight={IN_FLIGHT}",
            "--journal_flush_s=0.2",
            *more,
        ]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table, of every run, without files that were replaced and are kept for queries."""
        runs = runs_with_replaced(self.output)
        replaced = frozenset[str]().union(*(unnamed_files(self.output, run_id) for run_id in runs))
        found = [one for one in self.output.list(table) if one.path.endswith(".parquet") and one.path not in replaced]
        tables = [pq.read_table(pa.BufferReader(self.output.read(file.path))) for file in found]
        return pa.concat_tables(tables).to_pylist() if tables else []

    def receipts(self) -> list[dict[str, Any]]:
        """The receipts, by run."""
        found = [file.path for file in self.output.list("runs") if file.path.endswith("receipt.json")]
        return [json.loads(self.output.read(path)) for path in found]

    def paths(self, *tables: str) -> list[str]:
        """What stands in some folders of the output."""
        return [file.path for table in tables for file in self.output.list(table)]


def new_ends(bucket: Bucket) -> Ends:
    """Two folders that nobody used before."""
    name = uuid4().hex
    return Ends(open_folder(f"{bucket.uri}/{name}/in"), open_folder(f"{bucket.uri}/{name}/out"))


def wait(is_there: Callable[[], bool], within_s: float = 120.0) -> None:
    """Until it is there."""
    until_s = time.monotonic() + within_s
    while not is_there():
        assert time.monotonic() < until_s
        time.sleep(0.1)


def answer_by_content(latency_s: float = 0.0) -> Callable[[Received], Answer]:
    """Answers a passport whose id is the hash of the image, whichever way it came."""

    def answer(got: Received) -> Answer:
        content = got.images[0].content
        if got.query.get("format_type") == "url":
            try:
                with urlopen(content.decode()) as response:
                    content = response.read()
            except OSError:
                return failure(2)
        answered = success(("passport", {"id": key_of(content)[:16]}))
        return Answer(answered.body, headers=answered.headers, latency_s=latency_s)

    return answer


def ids_of(contents: Mapping[str, bytes]) -> Iterator[str]:
    """The ids that the answers to some images hold."""
    return (key_of(content)[:16] for content in contents.values())
