"""Iceberg's maintenance deletes files of its own alone: the output stays byte for byte, the tables stay readable."""

from __future__ import annotations

import hashlib
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.catalog.iceberg.register import register
from pipeline.catalog.table_ddl import TABLES
from pipeline.catalog.views import connect
from tests.pipeline.catalog.iceberg.test_register import open_sqlite, rewrite
from tests.pipeline.catalog.killed_commits import Killed, killed_at
from tests.pipeline.nights import FIRST, HALF, SECOND, write_nights
from tests.pipeline.test_schema_evolution import root as two_versions  # noqa: F401  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.nightly]
_MAINTAINED = ("passport", "ledger")


@pytest.fixture
def catalog(iceberg_spark: Any, tmp_path: Path) -> Any:
    """A catalog that Spark knows by the same name, which is new: Spark keeps the catalogs that it has opened."""
    name, warehouse = f"c{uuid.uuid4().hex}", tmp_path / "warehouse"
    opened = open_sqlite(tmp_path, name)
    settings = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "jdbc",
        ".cache-enabled": "false",
        ".uri": f"jdbc:sqlite:{warehouse}/catalog.db",
        ".warehouse": warehouse.as_uri(),
    }
    for key, value in settings.items():
        iceberg_spark.conf.set(f"spark.sql.catalog.{name}{key}", value)
    return opened


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """Two runs and a half-finished one."""
    return write_nights(tmp_path / "nights")


def _contents(folder: LocalFolder) -> dict[str, str]:
    """Every file of the output, and a hash of it."""
    return {file.path: hashlib.sha256(folder.read(file.path)).hexdigest() for file in folder.list("")}


def _by_java(spark: Any, catalog: Any) -> None:
    """Expire all snapshots but the newest, and remove files that no snapshot names, by Iceberg's Java API."""
    for name in _MAINTAINED:
        table = spark._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(
            spark._jsparkSession, f"{catalog.name}.cards.{name}"
        )
        table.expireSnapshots().expireOlderThan(int(time.time() * 1000) + 1).retainLast(1).commit()
        actions = spark._jvm.org.apache.iceberg.spark.actions.SparkActions.get(spark._jsparkSession)
        actions.deleteOrphanFiles(table).olderThan(int(time.time() * 1000) + 1).execute()


def _by_spark(spark: Any, catalog: Any) -> None:
    """Expire all snapshots but the newest by Spark's procedure."""
    now = datetime.now(timezone.utc) + timedelta(seconds=1)
    expiry = f"older_than => TIMESTAMP '{now:%Y-%m-%d %H:%M:%S}', retain_last => 1"
    for name in _MAINTAINED:
        spark.sql(f"CALL {catalog.name}.system.expire_snapshots(table => 'cards.{name}', {expiry})")


def _counts(spark: Any, catalog: Any, names: tuple[str, ...] = ("passport", "ledger")) -> list[tuple[Any, ...]]:
    counts = (f"SELECT '{name}', run_id, count(*) FROM {catalog.name}.cards.`{name}` GROUP BY 2" for name in names)
    return sorted(map(tuple, spark.sql(" UNION ALL ".join(counts)).collect()))


def _expected(folder: LocalFolder, names: tuple[str, ...] = ("passport", "ledger")) -> list[tuple[Any, ...]]:
    counts = (f"SELECT '{name}', run_id, count(*) FROM \"{name}\" GROUP BY 2" for name in names)
    return sorted(connect(folder.root).sql(" UNION ALL ".join(counts)).fetchall())


def test_spark(catalog: Any, folder: LocalFolder, iceberg_spark: Any) -> None:
    """Spark, by Iceberg's own reader over the same catalog, sees the same rows as the views, nested values included."""
    register(catalog, "cards", folder, [FIRST, SECOND, HALF])
    assert _counts(iceberg_spark, catalog, tuple(TABLES)) == _expected(folder, tuple(TABLES))
    passport = f"{catalog.name}.cards.passport"
    columns = "id, dob, dob_box.right, labels['customer_id'], run_id"
    found = iceberg_spark.sql(f"SELECT {columns} FROM {passport} WHERE run_id = '{SECOND}' ORDER BY id")
    asked = f"SELECT {columns} FROM passport WHERE run_id = '{SECOND}' ORDER BY id"
    assert [tuple(row) for row in found.collect()] == connect(folder.root).sql(asked).fetchall()
    history = iceberg_spark.sql(f"SELECT operation, summary['cardbeam.run_id'] FROM {passport}.snapshots")
    assert [tuple(row) for row in history.collect()] == [("append", FIRST), ("append", SECOND)]


@pytest.mark.parametrize("publishes", [1, 2, 5])
@pytest.mark.parametrize("maintain", [_by_java, _by_spark])
def test_maintenance(catalog: Any, folder: LocalFolder, iceberg_spark: Any, maintain: Any, publishes: int) -> None:
    """After any number of publishes, and again after another, maintenance deletes nothing of the output."""
    for number in range(publishes):
        rewrite(folder, FIRST, str(number))
        register(catalog, "cards", folder, [FIRST, SECOND])
    before = _contents(folder)
    maintain(iceberg_spark, catalog)
    assert _contents(folder) == before
    rewrite(folder, FIRST, "after")
    register(catalog, "cards", folder, [FIRST, SECOND])
    before = _contents(folder)
    maintain(iceberg_spark, catalog)
    assert _contents(folder) == before
    assert _counts(iceberg_spark, catalog) == _expected(folder)
    passport = f"{catalog.name}.cards.passport"
    message = iceberg_spark.sql(f"SELECT DISTINCT invalid_message FROM {passport} WHERE run_id = '{FIRST}'")
    assert [tuple(row) for row in message.collect()] == [("after",)]


def test_compacted(catalog: Any, folder: LocalFolder, iceberg_spark: Any) -> None:
    """A run whose files were compacted is replaced as any other: its rows are there once."""
    register(catalog, "cards", folder, [FIRST, SECOND])
    everything = "options => map('rewrite-all', 'true')"
    iceberg_spark.sql(f"CALL {catalog.name}.system.rewrite_data_files(table => 'cards.passport', {everything})")
    register(catalog, "cards", folder, [FIRST])
    _by_spark(iceberg_spark, catalog)
    assert _counts(iceberg_spark, catalog) == _expected(folder)


def test_after_kills(catalog: Any, folder: LocalFolder, iceberg_spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor after registrations that were killed anywhere: files without a snapshot go, all others stay."""
    commit = catalog.commit_table
    before = _contents(folder)
    for number in (3, 19, 2, 4):
        with monkeypatch.context() as broken, pytest.raises(Killed):
            broken.setattr(catalog, "commit_table", killed_at(commit, number))
            register(catalog, "cards", folder, [FIRST, SECOND])
    register(catalog, "cards", folder, [FIRST, SECOND])
    _by_java(iceberg_spark, catalog)
    assert _contents(folder) == before
    assert _counts(iceberg_spark, catalog) == _expected(folder)
    for name in _MAINTAINED:
        table = catalog.load_table(f"cards.{name}")
        shown = sorted(Path(task.file.file_path).name for task in table.scan().plan_files())
        assert sorted(path.name for path in Path(table.location()[7:]).rglob("*.parquet")) == shown


def test_dropped(catalog: Any, folder: LocalFolder, iceberg_spark: Any) -> None:
    """Dropping a table with its files leaves the output as it is; the next publish makes the table again."""
    register(catalog, "cards", folder, [FIRST])
    before = _contents(folder)
    iceberg_spark.sql(f"DROP TABLE {catalog.name}.cards.ledger PURGE")
    assert _contents(folder) == before
    register(catalog, "cards", folder, [FIRST])
    assert _counts(iceberg_spark, catalog) == [row for row in _expected(folder) if row[1] == FIRST]


def test_time_travel(catalog: Any, two_versions: str, iceberg_spark: Any) -> None:  # noqa: F811  # the fixture
    """Every snapshot reads in Spark, by the columns of its time, after `publish` brought the runs to a new schema."""
    folder = LocalFolder(two_versions)
    register(catalog, "cards", folder, [FIRST])
    register(catalog, "cards", folder, [FIRST, SECOND])
    assert main(["publish", f"--output={two_versions}"]) == 0
    register(catalog, "cards", folder, [FIRST, SECOND])
    snapshots = [snapshot.snapshot_id for snapshot in catalog.load_table("cards.passport").metadata.snapshots]
    asked = f"SELECT id, place_of_birth, birthplace FROM {catalog.name}.cards.passport VERSION AS OF {{}} ORDER BY id"
    found = [[tuple(row) for row in iceberg_spark.sql(asked.format(one)).collect()] for one in snapshots]
    older, upgraded = ("A0000001", None, "Huyện Thử"), ("A0000001", "Tỉnh Mẫu", None)
    second = ("B0000002", "Tỉnh Mẫu", None)
    assert (found[:2], found[-1]) == ([[older], [older, second]], [upgraded, second])
