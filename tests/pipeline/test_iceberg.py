"""Registered runs are read from Iceberg tables as from the files; half-finished ones are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.ddl import TABLES
from pipeline.iceberg import register
from pipeline.views import connect
from tests.pipeline import cli
from tests.pipeline.nights import FIRST, HALF, SECOND, write_nights
from tests.pipeline.test_schema_evolution import root as two_versions  # noqa: F401  # a fixture
from transforms.storage import LocalFolder

pyiceberg = pytest.importorskip("pyiceberg.catalog.sql")


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    """pyiceberg's own SQL catalog, in a file."""
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    return pyiceberg.SqlCatalog("test", uri=f"sqlite:///{_file(tmp_path)}", warehouse=f"file://{warehouse}")


def _file(tmp_path: Path) -> Path:
    return tmp_path / "warehouse" / "catalog.db"


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """Two nights and a half-finished one."""
    return write_nights(tmp_path / "nights")


def _counts(catalog: Any, name: str) -> list[tuple[Any, ...]]:
    rows = catalog.load_table(f"cards.{name}").scan(selected_fields=("run_id",)).to_arrow()
    connection = duckdb.connect()
    connection.register("scanned", rows)
    return connection.sql("SELECT run_id, count(*) FROM scanned GROUP BY ALL ORDER BY ALL").fetchall()


def test_read_back(catalog: Any, folder: LocalFolder, caplog: pytest.LogCaptureFixture) -> None:
    """DuckDB over the Iceberg scan sees each row of each table that the views see, and no half-finished run."""
    assert register(catalog, "cards", folder, [FIRST, SECOND, HALF]) == [FIRST, SECOND]
    assert caplog.records == []
    views = connect(folder.root)
    for name in TABLES:
        counted = f'SELECT run_id, count(*) FROM "{name}" GROUP BY ALL ORDER BY ALL'
        assert _counts(catalog, name) == views.sql(counted).fetchall()
    scan = catalog.load_table("cards.passport").scan(row_filter=f"run_id = '{SECOND}'")
    columns = "id, dob, dob_box, labels['customer_id'], uris, called_at, run_id"
    connection = scan.to_duckdb("passport")
    connection.execute("SET TimeZone = 'UTC'")
    expected = views.sql(f"SELECT {columns} FROM passport WHERE run_id = '{SECOND}' ORDER BY id").fetchall()
    assert connection.sql(f"SELECT {columns} FROM passport ORDER BY id").fetchall() == expected


@pytest.mark.slow
def test_spark(catalog: Any, folder: LocalFolder, iceberg_spark: Any, tmp_path: Path) -> None:
    """Spark, by Iceberg's own reader over the same catalog, sees the same rows as the views, nested values included."""
    register(catalog, "cards", folder, [FIRST, SECOND, HALF])
    settings = {"": "org.apache.iceberg.spark.SparkCatalog", ".type": "jdbc", ".uri": f"jdbc:sqlite:{_file(tmp_path)}",
                ".warehouse": f"file://{tmp_path}/warehouse"}  # fmt: skip
    for name, value in settings.items():
        iceberg_spark.conf.set(f"spark.sql.catalog.test{name}", value)
    views = connect(folder.root)
    counts = " UNION ALL ".join(
        f"SELECT '{name}', run_id, count(*) FROM test.cards.`{name}` GROUP BY 2" for name in TABLES
    )
    expected = views.sql(counts.replace("test.cards.", "").replace("`", '"')).fetchall()
    assert sorted(map(tuple, iceberg_spark.sql(counts).collect())) == sorted(expected)
    columns = "id, dob, dob_box.right, labels['customer_id'], run_id"
    found = iceberg_spark.sql(f"SELECT {columns} FROM test.cards.passport WHERE run_id = '{SECOND}' ORDER BY id")
    asked = f"SELECT {columns} FROM passport WHERE run_id = '{SECOND}' ORDER BY id"
    assert [tuple(row) for row in found.collect()] == views.sql(asked).fetchall()
    history = iceberg_spark.sql("SELECT operation, summary['cardbeam.run_id'] FROM test.cards.passport.snapshots")
    assert [tuple(row) for row in history.collect()] == [("append", FIRST), ("append", SECOND)]


def test_again(catalog: Any, folder: LocalFolder) -> None:
    """A run that is registered again replaces itself, in one commit a table; `runs` says which are whole."""
    register(catalog, "cards", folder, [FIRST])
    before = catalog.load_table("cards.passport").metadata.snapshots
    register(catalog, "cards", folder, [FIRST])
    register(catalog, "cards", folder, [SECOND])
    table = catalog.load_table("cards.passport")
    assert _counts(catalog, "passport") == [(FIRST, 30), (SECOND, 29)]
    assert _counts(catalog, "runs") == [(FIRST, 1), (SECOND, 1)]
    assert len(before) == 1
    old = table.scan(snapshot_id=before[0].snapshot_id).to_arrow()
    assert len(old) == 30


def test_crash(catalog: Any, folder: LocalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registration that breaks off leaves a run that `runs` does not name; registered again, it is whole and once."""
    register(catalog, "cards", folder, [FIRST])
    commits = []

    def break_off(*arguments: Any) -> Any:
        commits.append(arguments)
        if len(commits) == len(TABLES) // 2:
            raise ConnectionError("the catalog is gone")
        return commit(*arguments)

    commit = catalog.commit_table
    with monkeypatch.context() as broken:
        broken.setattr(catalog, "commit_table", break_off)
        with pytest.raises(ConnectionError):
            register(catalog, "cards", folder, [SECOND])
    assert _counts(catalog, "runs") == [(FIRST, 1)]
    register(catalog, "cards", folder, [SECOND])
    assert _counts(catalog, "runs") == [(FIRST, 1), (SECOND, 1)]
    assert _counts(catalog, "passport") == [(FIRST, 30), (SECOND, 29)]


def test_evolution(catalog: Any, two_versions: str) -> None:  # noqa: F811  # the fixture
    """Nights by two versions of the schema are read together; a column has one field id for good."""
    folder = LocalFolder(two_versions)
    register(catalog, "cards", folder, [FIRST, SECOND])
    rows = catalog.load_table("cards.passport").scan(selected_fields=("id", "place_of_birth", "birthplace")).to_arrow()
    assert sorted(rows.to_pylist(), key=lambda row: row["id"]) == [
        {"id": "A0000001", "place_of_birth": None, "birthplace": "Huyện Thử"},
        {"id": "B0000002", "place_of_birth": "Tỉnh Mẫu", "birthplace": None},
    ]


def test_documentation(catalog: Any, folder: LocalFolder) -> None:
    """Columns keep their documentation."""
    register(catalog, "cards", folder, [FIRST])
    assert catalog.load_table("cards.passport").schema().find_field("dob").doc == "Date of birth"


@pytest.mark.slow
def test_publish(folder: LocalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`publish --catalog` registers what it published, in the catalog that the environment configures."""
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    uri = f"sqlite:///{warehouse}/catalog.db"
    monkeypatch.setitem(cli.ENVIRONMENT, "PYICEBERG_CATALOG__CARDS__URI", uri)
    monkeypatch.setitem(cli.ENVIRONMENT, "PYICEBERG_CATALOG__CARDS__WAREHOUSE", f"file://{warehouse}")
    told = [f"--output={folder.root}", f"--run_id={SECOND}", "--catalog=cards", "--namespace=cards"]
    ended = cli.run("publish", *told)
    assert (ended.returncode, ended.stdout) == (0, f"run {SECOND}: 29 passport\n"), ended.stderr
    assert _counts(pyiceberg.SqlCatalog("cards", uri=uri), "passport") == [(SECOND, 29)]
