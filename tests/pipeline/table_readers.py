"""Readers of the tables beside a writer that publishes every second: `python -m tests.pipeline.table_readers`.

By Iceberg, the writer adds runs and replaces them; by receipts, it publishes a run that goes on, as `watch` does, and
merges its files. Each reader, in a process of its own, counts the rows of a table again and again: no query may fail,
no row be there twice, and no count be smaller than the one before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import random
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.run_state.layout import JOURNAL, of_run
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.publisher import Publisher
from pipeline.catalog.current_files import current_files
from pipeline.catalog.iceberg.register import register
from pipeline.catalog.table_ddl import RUN_ID
from pipeline.catalog.views import connect
from schemas.document_tables import schema_of
from tests.pipeline.catalog.iceberg.test_register import rewrite
from tests.pipeline.nights import ledger_record, person, response, write_run
from tests.pipeline.spark import session
from tests.records import write_segment

_NAME = "readers"
_TABLE = "cards.passport"
_RUNS = 12
"""Runs are added until there are so many; from then on they are replaced in turn."""
_KEY = "run_id, item_id, document_index"
_COUNT = f"SELECT count(*), count(DISTINCT struct({_KEY})) FROM {{}}"
_BEGINS_AND_ENDS_WITHIN_S = 180.0
_BEGUN_AGAIN_EACH = 50


@dataclass
class Seen:
    """What one reader met."""

    engine: str
    queries: int = 0
    failed: int = 0
    with_repeats: int = 0
    falls: int = 0
    rows: int = 0
    error: str = ""


def _catalog(root: Path) -> Any:
    from pyiceberg.catalog.sql import SqlCatalog

    return SqlCatalog(_NAME, uri=f"sqlite:///{root}/catalog.db", warehouse=(root / "warehouse").as_uri())


@contextmanager
def _pyarrow(root: Path) -> Iterator[Callable[[], tuple[int, int]]]:
    catalog = _catalog(root)

    def count() -> tuple[int, int]:
        scan = catalog.load_table(_TABLE).scan(selected_fields=tuple(_KEY.split(", ")))
        rows = scan.to_arrow()
        return len(rows), len(rows.group_by(_KEY.split(", ")).aggregate([]))

    yield count


@contextmanager
def _duckdb(root: Path) -> Iterator[Callable[[], tuple[int, int]]]:
    catalog = _catalog(root)

    def count() -> tuple[int, int]:
        connection = catalog.load_table(_TABLE).scan(selected_fields=tuple(_KEY.split(", "))).to_duckdb("passport")
        query = f"SELECT count(*), count(DISTINCT ({_KEY})) FROM passport"
        ((rows, different),) = connection.sql(query).fetchall()
        return rows, different

    yield count


@contextmanager
def _spark(root: Path) -> Iterator[Callable[[], tuple[int, int]]]:
    with session(root / "spark") as spark:
        options = {
            "": "org.apache.iceberg.spark.SparkCatalog",
            ".type": "jdbc",
            ".uri": f"jdbc:sqlite:{root}/catalog.db",
            ".warehouse": (root / "warehouse").as_uri(),
            ".cache-enabled": "false",
        }
        for key, value in options.items():
            spark.conf.set(f"spark.sql.catalog.{_NAME}{key}", value)

        def count() -> tuple[int, int]:
            (row,) = spark.sql(_COUNT.format(f"{_NAME}.{_TABLE}")).collect()
            return int(row[0]), int(row[1])

        yield count


def _files(root: Path) -> list[str]:
    return current_files(str(root / "output"), "passport")


@contextmanager
def _pyarrow_files(root: Path) -> Iterator[Callable[[], tuple[int, int]]]:
    import pyarrow.dataset as ds

    schema = schema_of("passport").append(RUN_ID)

    def count() -> tuple[int, int]:
        rows = ds.dataset(_files(root), schema=schema, partitioning="hive").to_table(_KEY.split(", "))
        return len(rows), len(rows.group_by(_KEY.split(", ")).aggregate([]))

    yield count


@contextmanager
def _duckdb_files(root: Path) -> Iterator[Callable[[], tuple[int, int]]]:
    def count() -> tuple[int, int]:
        with connect(str(root / "output"), only_tables=["passport"]) as connection:
            query = f"SELECT count(*), count(DISTINCT ({_KEY})) FROM passport"
            ((rows, different),) = connection.sql(query).fetchall()
        return rows, different

    yield count


@contextmanager
def _spark_files(root: Path) -> Iterator[Callable[[], tuple[int, int]]]:
    with session(root / "spark") as spark:

        def count() -> tuple[int, int]:
            spark.read.option("basePath", str(root / "output/documents/type=passport")).parquet(
                *_files(root)
            ).createOrReplaceTempView("passport")
            (row,) = spark.sql(_COUNT.format("passport")).collect()
            return int(row[0]), int(row[1])

        yield count


_ENGINES = {
    "iceberg": {"pyarrow": _pyarrow, "duckdb": _duckdb, "spark": _spark},
    "receipts": {"pyarrow": _pyarrow_files, "duckdb": _duckdb_files, "spark": _spark_files},
}


def read(by: str, engine: str, root: Path, for_s: float) -> None:
    """Count for a time, once the engine is there, and leave what was met in a file."""
    seen = Seen(engine)
    with _ENGINES[by][engine](root) as count:
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s:
            seen.queries += 1
            try:
                rows, different = count()
            except Exception:  # whatever an engine raises is what is counted here
                seen.failed += 1
                seen.error = seen.error or traceback.format_exc()[-2000:]
                continue
            seen.with_repeats += rows != different
            seen.falls += rows < seen.rows
            seen.rows = rows
            (root / f"{engine}.json").write_text(json.dumps(asdict(seen)))


def _registering(root: Path) -> Iterator[None]:
    """Publish runs, and register each."""
    folder, catalog, rng = LocalFolder(str(root / "output")), _catalog(root), random.Random(20)
    for published in itertools.count():
        run_id = f"202611{1 + published % _RUNS:02}T010000Z"
        if published < _RUNS:
            records = (
                ledger_record(run_id, number, (f"{number}.jpg",), response=response(rng, ("passport", person(rng))))
                for number in range(40)
            )
            write_run(folder, run_id, records)
        else:
            rewrite(folder, run_id, f"publication {published}")
        register(catalog, "cards", folder, [run_id])
        yield


def _watching(root: Path) -> Iterator[None]:
    """Publish a run that goes on, and begin it again as a killed watch does."""
    folder, rng = LocalFolder(str(root / "output")), random.Random(20)
    run_id = "20261101T010000Z"
    settings = Settings(InputSettings(), EndpointSettings(), RateSettings(), OutputSettings(folder.root, run_id))
    publisher = Publisher(folder, settings, datetime(2026, 11, 1, 1, tzinfo=timezone.utc))
    for published in itertools.count():
        if published % _BEGUN_AGAIN_EACH == _BEGUN_AGAIN_EACH - 1:
            publisher = Publisher(folder, settings, datetime(2026, 11, 1, 1, tzinfo=timezone.utc))
            publisher.publish_all()
        answer = response(rng, ("passport", person(rng)))
        record = ledger_record(run_id, published, (f"{published}.jpg",), response=answer)
        write_segment(folder, f"{of_run(JOURNAL, run_id)}/a-{published:06}.journal", [record])
        publisher.publish_new()
        publisher.write_receipt(0, datetime.now(timezone.utc))
        yield


_WRITERS = {"iceberg": _registering, "receipts": _watching}


def write(by: str, engines: Sequence[str], root: Path, for_s: float) -> int:
    """Publish every second while the readers read; how often that was."""
    publications = _WRITERS[by](root)
    published, readers, until_s = 0, list[Any](), time.monotonic() + for_s + _BEGINS_AND_ENDS_WITHIN_S
    while not published or (any(reader.is_alive() for reader in readers) and time.monotonic() < until_s):
        began_s = time.monotonic()
        next(publications)
        published += 1
        print(f"publication {published} took {time.monotonic() - began_s:.1f} s", file=sys.stderr)
        if published == 1:
            readers = start(by, engines, root, for_s)
        time.sleep(max(0.0, 1.0 - (time.monotonic() - began_s)))
    return published


def start(by: str, engines: Sequence[str], root: Path, for_s: float) -> list[Any]:
    """Start the readers, now that there is a table."""
    spawn = multiprocessing.get_context("spawn")
    readers = [spawn.Process(target=read, args=(by, engine, root, for_s), daemon=True) for engine in engines]
    for reader in readers:
        reader.start()
    return readers


def main() -> int:
    """Print what each reader met; 1 where it is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--by", choices=tuple(_ENGINES), default="iceberg")
    parser.add_argument("--engines", default="pyarrow,duckdb,spark")
    asked = parser.parse_args()
    engines = asked.engines.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "warehouse").mkdir()
        with sqlite3.connect(root / "catalog.db") as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer of the catalog do not wait
        published = write(asked.by, engines, root, 60 * asked.minutes)
        print(f"{published} publications in {asked.minutes:g} minutes, by {asked.by}")
        all_seen = [json.loads(path.read_text()) for path in sorted(root.glob("*.json"))]
        for seen in all_seen:
            error = seen.pop("error")
            print(", ".join(f"{name} {value}" for name, value in seen.items()) + (f"\n{error}" if error else ""))
        is_good = all(one["queries"] and not (one["failed"] or one["with_repeats"] or one["falls"]) for one in all_seen)
        return 0 if is_good and len(all_seen) == len(engines) else 1


if __name__ == "__main__":
    sys.exit(main())
