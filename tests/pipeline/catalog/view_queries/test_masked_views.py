"""Masked views show none of what is on the cards, and `person_key` joins the sides of a card."""

from __future__ import annotations

import hmac
import random
from pathlib import Path
from typing import Any

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.catalog.dialects import DIALECTS
from pipeline.catalog.view_queries.masked_views import KEY_VARIABLE, MASKED_TABLES, masked_views
from pipeline.catalog.view_queries.view_dialects import translated
from pipeline.catalog.views import connect
from tests.pipeline.nights import FIRST, person, write_nights

_KEY = "a key for tests, of no use to anyone"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> LocalFolder:
    """Two runs."""
    return write_nights(tmp_path_factory.mktemp("nights"))


def _planted() -> set[str]:
    """Numbers, names and addresses of the first run's people."""
    rng = random.Random(8)
    people = [person(rng) for _ in range(60)]
    return {str(one[name]) for one in people for name in ("id", "name", "sur_name", "given_name", "address")}


def _columns(connection: Any, name: str) -> list[list[object]]:
    return list(connection.sql(f'FROM "{name}"').to_arrow_table().to_pydict().values())


@pytest.mark.parametrize("key", [b"", _KEY.encode()])
def test_no_planted_value_is_in_any_column(folder: LocalFolder, key: bytes) -> None:
    """Nor a URI, a label or a byte of an image; all rows are there; there is no other view."""
    connection, views = connect(folder.root, masked_by=key), connect(folder.root)
    names = {name for (name,) in connection.sql("SELECT table_name FROM information_schema.tables").fetchall()}
    assert names == {f"masked_{name}" for name in MASKED_TABLES}
    for name in MASKED_TABLES:
        columns = _columns(connection, f"masked_{name}")
        texts = {str(value) for column in columns for value in column}
        assert not [one for one in texts for planted in _planted() if planted in one]
        assert not [one for one in texts if "s3://" in one or "C-0" in one]
        assert {len(column) for column in columns} == {len(views.sql(f'FROM "{name}"'))}


def test_person_key_joins_front_and_back(folder: LocalFolder) -> None:
    """It is HMAC-SHA256 of the plain number, as Python's own."""
    connection, views = connect(folder.root, masked_by=_KEY.encode()), connect(folder.root)
    asked = (
        "SELECT count(*) FROM {0}chip_id_card_front AS f JOIN {0}chip_id_card_back AS b "
        "ON f.item_id = b.item_id AND f.{1} = b.{2}"
    )
    joined = connection.sql(asked.format("masked_", "person_key", "person_key")).fetchall()
    assert joined == views.sql(asked.format("", "id", "person_number")).fetchall()
    assert joined != [(0,)]
    numbers = [number for (number,) in views.sql("SELECT id FROM chip_id_card_front").fetchall()]
    expected = sorted(hmac.digest(_KEY.encode(), number.encode(), "sha256").hex() for number in numbers)
    keys = [key for (key,) in connection.sql("SELECT person_key FROM masked_chip_id_card_front").fetchall()]
    assert sorted(keys) == expected


def test_printed_views_are_those_of_sql(
    folder: LocalFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB takes what `ddl --masked` prints over what `ddl` prints, and shows the same."""
    import duckdb

    monkeypatch.setenv(KEY_VARIABLE, _KEY)
    connection = duckdb.connect()
    for more in ([], ["--masked"]):
        assert main(["ddl", f"--output={folder.root}", *more]) == 0
        connection.execute(capsys.readouterr().out)
    asked = "SELECT * FROM {}masked_passport WHERE run_id = '{}' ORDER BY ALL"
    expected = connect(folder.root, masked_by=_KEY.encode()).sql(asked.format("", FIRST)).fetchall()
    connection.execute("SET TimeZone = 'UTC'")
    assert connection.sql(asked.format("cardbeam.", FIRST)).fetchall() == expected
    assert main(["sql", f"--output={folder.root}", "--masked", "SELECT count(person_key) FROM masked_passport"]) == 0


@pytest.mark.parametrize("engine", sorted(DIALECTS.keys() - {"clickhouse"}))
def test_every_engine_has_them(engine: str) -> None:
    """In its own words; none names a macro of DuckDB's."""
    for view in masked_views(_KEY.encode()):
        assert "hmac_sha256_of" not in translated(view, engine, "cards").lower()


def test_short_key(folder: LocalFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Is refused: twelve digits are soon guessed under it."""
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    assert main(["sql", f"--output={folder.root}", "--masked", "SELECT 1"]) == 2
    assert "has 6 bytes, expected 16 or more" in capsys.readouterr().err


def test_an_output_elsewhere(tmp_path: Path) -> None:
    """A folder without a run has no masked view either."""
    assert main(["sql", f"--output={tmp_path}", "--masked", "SELECT 1"]) == 2
