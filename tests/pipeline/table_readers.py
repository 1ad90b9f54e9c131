"""Readers of the Iceberg tables beside a writer that publishes every second: `python -m tests.pipeline.table_readers`.

The writer adds runs and replaces them. Each reader, in a process of its own, counts the rows of a table again and
again: no query may fail, no row be there twice, and no count be smaller than the one before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.iceberg import register
from tests.pipeline.catalog.test_iceberg import rewrite
from tests.pipeline.nights import ledger_record, person, response, write_run
from tests.pipeline.spark import session

_NAME = "readers"
_TABLE = "cards.passport"
_RUNS = 12
"""Runs are added until there are so many; from then on they are replaced in turn."""
_KEY = "run_id, item_id, document_index"
_COUNT = f"SELECT count(*), count(DISTINCT struct({_KEY})) FROM {{}}"
_ENDS_WITHIN_S = 120.0


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


_ENGINES = {"pyarrow": _pyarrow, "duckdb": _duckdb, "spark": _spark}


def read(engine: str, root: Path, until_s: float) -> None:
    """Count until the time is over, and leave what was met in a file."""
    seen = Seen(engine)
    with _ENGINES[engine](root) as count:
        while time.time() < until_s:
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


def write(root: Path, until_s: float) -> int:
    """Publish every second; how often that was."""
    folder, catalog, rng = LocalFolder(str(root / "output")), _catalog(root), random.Random(20)
    published = 0
    while time.time() < until_s or not published:
        began_s = time.time()
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
        published += 1
        print(f"publication {published} took {time.time() - began_s:.1f} s", file=sys.stderr)
        if published == 1:
            start(root, until_s)
        time.sleep(max(0.0, 1.0 - (time.time() - began_s)))
    return published


_READERS: list[Any] = []


def start(root: Path, until_s: float) -> None:
    """Start the readers, now that there is a table."""
    spawn = multiprocessing.get_context("spawn")
    for engine in _ENGINES:
        reader = spawn.Process(target=read, args=(engine, root, until_s), daemon=True)
        reader.start()
        _READERS.append(reader)


def main() -> int:
    """Print what each reader met; 1 where it is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "warehouse").mkdir()
        with sqlite3.connect(root / "catalog.db") as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer of the catalog do not wait
        published = write(root, time.time() + 60 * asked.minutes)
        for reader in _READERS:
            reader.join(_ENDS_WITHIN_S)
        print(f"{published} publications in {asked.minutes:g} minutes, of {_RUNS} runs")
        all_seen = [json.loads(path.read_text()) for path in sorted(root.glob("*.json"))]
        for seen in all_seen:
            error = seen.pop("error")
            print(", ".join(f"{name} {value}" for name, value in seen.items()) + (f"\n{error}" if error else ""))
        is_good = all(one["queries"] and not (one["failed"] or one["with_repeats"] or one["falls"]) for one in all_seen)
        return 0 if is_good and len(all_seen) == len(_ENGINES) else 1


if __name__ == "__main__":
    sys.exit(main())
