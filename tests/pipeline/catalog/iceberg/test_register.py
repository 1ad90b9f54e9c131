"""Registered runs are read from Iceberg tables as from the files, which the tables never refer to."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cardbeam.run_state.layout import run_file
from cardbeam.run_state.receipt import RECEIPT_FILE
from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.iceberg.register import NotRegistered, register
from pipeline.catalog.table_ddl import TABLES
from pipeline.catalog.views import connect
from pipeline.cli.exit_codes import UsageError
from tests.pipeline import cli
from tests.pipeline.catalog.killed_commits import Killed, killed_at
from tests.pipeline.nights import FIRST, HALF, SECOND, write_nights
from tests.pipeline.test_schema_evolution import root as two_versions  # noqa: F401  # a fixture

pyiceberg = pytest.importorskip("pyiceberg.catalog.sql")


def open_sqlite(tmp_path: Path, name: str) -> Any:
    """pyiceberg's own SQL catalog, in a file."""
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    return pyiceberg.SqlCatalog(name, uri=f"sqlite:///{warehouse}/catalog.db", warehouse=warehouse.as_uri())


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    """An empty catalog."""
    return open_sqlite(tmp_path, "test")


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """Two runs and a half-finished one."""
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


def _snapshots(catalog: Any, name: str) -> list[tuple[str, str]]:
    snapshots = catalog.load_table(f"cards.{name}").metadata.snapshots
    return [(str(one.summary.operation.value), one.summary["cardbeam.run_id"]) for one in snapshots]


def _states(catalog: Any) -> dict[str, str]:
    """Every table, by where its metadata is: another place after any commit."""
    return {name: catalog.load_table(f"cards.{name}").metadata_location for name in [*TABLES, "runs"]}


def rewrite(folder: LocalFolder, run_id: str, message: str) -> None:
    """Rewrite the passports of a run under the same names with other content, as a new version may."""
    place = run_file(run_id, RECEIPT_FILE)
    receipt = json.loads(folder.read(place))
    for file in receipt["files"]:
        if "type=passport" in file["path"] and file["rows"]:
            path = Path(folder.root, file["path"])
            rows = pq.ParquetFile(path).read()
            at = rows.schema.get_field_index("invalid_message")
            pq.write_table(rows.set_column(at, rows.schema.field(at), pa.array([message] * len(rows))), path)
            file["bytes"] = path.stat().st_size
    folder.write(place, json.dumps(receipt).encode())


def _messages(catalog: Any, snapshot_id: int | None = None) -> set[tuple[str, str]]:
    table = catalog.load_table("cards.passport").scan(snapshot_id=snapshot_id)
    rows = table.to_arrow().select(["run_id", "invalid_message"]).to_pylist()
    return {(row["run_id"], row["invalid_message"]) for row in rows}


def test_unchanged(catalog: Any, folder: LocalFolder) -> None:
    """Runs whose files are unchanged are skipped: no table gets a commit."""
    register(catalog, "cards", folder, [FIRST, SECOND])
    before = _states(catalog)
    assert register(catalog, "cards", folder, [FIRST, SECOND]) == [FIRST, SECOND]
    assert _states(catalog) == before


def test_replaced(catalog: Any, folder: LocalFolder) -> None:
    """A run whose files changed is replaced by one snapshot, in the tables that changed; no snapshot lacks the run."""
    register(catalog, "cards", folder, [FIRST, SECOND])
    rewrite(folder, FIRST, "first")
    before = _states(catalog)
    register(catalog, "cards", folder, [FIRST, SECOND])
    rewrite(folder, FIRST, "again")
    register(catalog, "cards", folder, [FIRST, SECOND, FIRST])
    after = _states(catalog)
    assert [name for name in before if before[name] != after[name]] == ["passport"]
    assert _snapshots(catalog, "passport") == [
        ("append", FIRST), ("append", SECOND), ("overwrite", FIRST), ("overwrite", FIRST)
    ]  # fmt: skip
    *_, replaced, newest = catalog.load_table("cards.passport").metadata.snapshots
    kept = {(run_id, reported) for run_id, reported in _messages(catalog) if run_id == SECOND}
    assert _messages(catalog, newest.snapshot_id) == {(FIRST, "again"), *kept}
    assert _messages(catalog, replaced.snapshot_id) == {(FIRST, "first"), *kept}
    assert _counts(catalog, "passport") == [(FIRST, 30), (SECOND, 29)]


def test_own_files(catalog: Any, folder: LocalFolder) -> None:
    """Tables own their files: none is a file of the output, and no path is ever used again."""
    root, seen = Path(folder.root).as_uri(), set[str]()
    for number in range(3):
        rewrite(folder, FIRST, str(number))
        register(catalog, "cards", folder, [FIRST])
        for name in [*TABLES, "runs"]:
            table = catalog.load_table(f"cards.{name}")
            shown = {task.file.file_path for task in table.scan().plan_files()}
            assert not [path for path in shown if path.startswith(root)]
            assert name != "passport" or not shown & seen
            seen |= shown


def test_no_responses(catalog: Any, folder: LocalFolder) -> None:
    """Responses as received have one home, the ledger of the output; all other columns are in the tables."""
    register(catalog, "cards", folder, [FIRST])
    names = {name: [field.name for field in catalog.load_table(f"cards.{name}").schema().fields] for name in TABLES}
    expected = {name: [*table.schema.names, "run_id"] for name, table in TABLES.items()}
    expected["ledger"].remove("response")
    assert names == expected


def test_values(catalog: Any, folder: LocalFolder) -> None:
    """Every value of every table arrives as it is in the output."""
    register(catalog, "cards", folder, [FIRST, SECOND])
    views = connect(folder.root)
    for name in TABLES:
        rows = catalog.load_table(f"cards.{name}").scan().to_arrow()
        views.register("copied", rows)
        names = ", ".join(f'"{column}"' for column in rows.column_names)
        for one, other in (("copied", f'"{name}"'), (f'"{name}"', "copied")):
            assert views.sql(f"SELECT {names} FROM {one} EXCEPT ALL SELECT {names} FROM {other}").fetchall() == []
        views.unregister("copied")


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("number", [1, 4, 5])
def test_killed(
    catalog: Any, folder: LocalFolder, monkeypatch: pytest.MonkeyPatch, number: int, is_after: bool
) -> None:
    """Registration killed before or after any commit: `runs` names no run that is not whole; rerun, it is whole, once.

    The first commit is of a new run, the fourth is its row in `runs`, the fifth replaces a run.
    """
    register(catalog, "cards", folder, [FIRST])
    rewrite(folder, FIRST, "again")
    commit = killed_at(catalog.commit_table, number, is_after=is_after)
    with monkeypatch.context() as broken, suppress(Killed):
        broken.setattr(catalog, "commit_table", commit)
        register(catalog, "cards", folder, [SECOND, FIRST])
    shown = {run_id for run_id, _ in _counts(catalog, "runs")}
    passports = {run_id for run_id, _ in _counts(catalog, "passport")}
    assert FIRST in shown and shown <= passports
    register(catalog, "cards", folder, [SECOND, FIRST])
    assert _counts(catalog, "runs") == [(FIRST, 1), (SECOND, 1)]
    assert _counts(catalog, "passport") == [(FIRST, 30), (SECOND, 29)]
    assert (FIRST, "again") in _messages(catalog)


def test_an_error_of_the_catalog(catalog: Any, folder: LocalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog that is gone ends the registration by its own error."""
    register(catalog, "cards", folder, [FIRST])

    def break_off(*arguments: Any) -> Any:
        raise ConnectionError("the catalog is gone")

    with monkeypatch.context() as broken, pytest.raises(ConnectionError):
        broken.setattr(catalog, "commit_table", break_off)
        register(catalog, "cards", folder, [SECOND])


@pytest.mark.parametrize("damage", ["gone", "cut", "page"])
def test_a_run_that_cannot_be_read(catalog: Any, folder: LocalFolder, damage: str) -> None:
    """A file of one run is gone or damaged: that run stays as it was, all others are registered, both are told."""
    register(catalog, "cards", folder, [FIRST])
    rewrite(folder, FIRST, "again")
    (path,) = Path(folder.root).glob(f"documents/type=passport/run_id={FIRST}/*.parquet")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:100] + bytes(2000) + content[2100:])
    with pytest.raises(NotRegistered, match=f"run {FIRST} is not registered: .*{path.name}.* --run_id="):
        register(catalog, "cards", folder, [FIRST, SECOND])
    assert _counts(catalog, "passport") == [(FIRST, 30), (SECOND, 29)]
    assert _counts(catalog, "runs") == [(FIRST, 1), (SECOND, 1)]
    assert (FIRST, "again") not in _messages(catalog)
    path.write_bytes(content)
    register(catalog, "cards", folder, [FIRST, SECOND])
    assert (FIRST, "again") in _messages(catalog)


def test_tables_of_others(catalog: Any, folder: LocalFolder) -> None:
    """A table that was not made here may refer to files of the output: it is refused, and left as it is."""
    catalog.create_namespace("cards")
    catalog.create_table("cards.passport", TABLES["passport"].schema)
    before = catalog.load_table("cards.passport").metadata_location
    with pytest.raises(UsageError, match=r"cards\.passport was not made by .* drop it without PURGE"):
        register(catalog, "cards", folder, [FIRST])
    assert catalog.load_table("cards.passport").metadata_location == before


@pytest.mark.parametrize("namespace", ["ledger", "documents", "runs"])
def test_a_warehouse_within_the_output(tmp_path: Path, folder: LocalFolder, namespace: str) -> None:
    """Tables are never put among the files of the output: Iceberg deletes files that it does not know."""
    uri = f"sqlite:///{tmp_path}/catalog.db"
    inside = pyiceberg.SqlCatalog("test", uri=uri, warehouse=Path(folder.root).as_uri())
    with pytest.raises(UsageError, match=f"places {namespace}.9_id_card_front at .*, which holds files of"):
        register(inside, namespace, folder, [FIRST])
    register(inside, "beside", folder, [FIRST])
    assert inside.load_table("beside.passport").scan().to_arrow().num_rows == 30


def test_a_table_around_the_output(tmp_path: Path) -> None:
    """Nor around them: who removes unknown files of the table would remove the ledger."""
    uri, warehouse = f"sqlite:///{tmp_path}/catalog.db", tmp_path / "warehouse"
    around = pyiceberg.SqlCatalog("test", uri=uri, warehouse=warehouse.as_uri())
    folder = write_nights(warehouse / "cards" / "9_id_card_front" / "output")
    with pytest.raises(UsageError, match="which holds files of"):
        register(around, "cards", folder, [FIRST])


def test_merged_manifests(catalog: Any, folder: LocalFolder) -> None:
    """Where Iceberg merges manifests, as it does after a hundred runs, each run is still there once."""
    register(catalog, "cards", folder, [])
    for name in TABLES:
        with catalog.load_table(f"cards.{name}").transaction() as transaction:
            transaction.set_properties({"commit.manifest.min-count-to-merge": "2"})
    for number in range(3):
        rewrite(folder, FIRST, str(number))
        register(catalog, "cards", folder, [FIRST])
    register(catalog, "cards", folder, [SECOND])
    table = catalog.load_table("cards.passport")
    assert len(table.current_snapshot().manifests(table.io)) == 1
    assert _counts(catalog, "passport") == [(FIRST, 30), (SECOND, 29)]


def test_evolution(catalog: Any, two_versions: str) -> None:  # noqa: F811  # the fixture
    """Runs by two versions of the schema are read together; a column has one field id for good."""
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
    reported = [f"--output={folder.root}", f"--run_id={SECOND}", "--catalog=cards", "--namespace=cards"]
    ended = cli.run("publish", *reported)
    assert (ended.returncode, ended.stdout) == (0, f"run {SECOND}: 29 passport\n"), ended.stderr
    assert _counts(pyiceberg.SqlCatalog("cards", uri=uri), "passport") == [(SECOND, 29)]
