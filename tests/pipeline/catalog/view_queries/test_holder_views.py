"""`holders` shows one person alike on every type of document, and the tables of codes know what the contract knows."""

from __future__ import annotations

import json
from datetime import date

import duckdb
import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.view_queries import dimensions
from pipeline.catalog.views import connect
from schemas.documents import DOCUMENTS
from tests.pipeline.nights import FIRST, ledger_record, write_run

_DOB = {"dob": "29-02-1992"}
_PEOPLE = {
    "chip_id_card_front": {"id": "079 192 000 001", "name": "Ðặng  Thị Mẫu", "gender": "Nữ", "address_town_code": "1",
                           "due_date": "Không thời hạn", **_DOB},
    "chip_id_card_back": {"person_number": "079192000001", "document_number": "192000001", "sur_name": "DANG",
                          "given_name": "THI MAU", "gender": "F", "due_date": "29-02-2032", **_DOB},
    "passport": {"id": "B1234567", "person_number": "079192000001", "full_name": "ĐẶNG THỊ MẪU", "gender": "nữ",
                 "due_date": "29-02-2032", **_DOB},
    "driving_license": {"id": "790123456789", "name": "ĐẶNG THỊ MẪU", "address_town_code": "-1", **_DOB},
}  # fmt: skip


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """One person on four documents."""
    data = [{"type": name, "info": info} for name, info in _PEOPLE.items()]
    response = json.dumps({"errorCode": "0", "data": data}).encode()
    root = tmp_path_factory.mktemp("output")
    write_run(LocalFolder(str(root)), FIRST, [ledger_record(FIRST, 0, ("a.pdf",), response=response)])
    return connect(str(root))


def test_holders(views: duckdb.DuckDBPyConnection) -> None:
    """Number, folded name, sex and dates agree; a card without end says so; codes have two digits."""
    asked = (
        "SELECT type, number, document_number, name_folded, sex, dob, due_date, never_expires, province_code, "
        "birth_province_code FROM latest_holders ORDER BY document_index"
    )
    born, due = date(1992, 2, 29), date(2032, 2, 29)
    number, name = "079192000001", "DANG THI MAU"
    assert views.sql(asked).fetchall() == [
        ("chip_id_card_front", number, number, name, "female", born, None, True, "01", "79"),
        ("chip_id_card_back", number, "192000001", name, "female", born, due, False, None, "79"),
        ("passport", number, "B1234567", name, "female", born, due, False, None, "79"),
        ("driving_license", None, "790123456789", name, None, born, None, None, None, None),
    ]


def test_ages_are_whole_years(views: duckdb.DuckDBPyConnection) -> None:
    """Ages and days until expiry are those that Python counts from today."""
    ((today, age, days),) = views.sql(
        "SELECT current_date, any_value(age), max(days_to_expiry) FROM holders"
    ).fetchall()
    birthday_is_over = (today.month, today.day) >= (2, 29)
    assert age == today.year - 1992 - (not birthday_is_over)
    assert days == (date(2032, 2, 29) - today).days


def test_dimensions(views: duckdb.DuckDBPyConnection) -> None:
    """Every field of the contract is listed once; units have unique codes of their era, and every ward a province."""
    listed = views.sql("SELECT type, field FROM fields").fetchall()
    assert listed == [(name, field.name) for name, of_type in DOCUMENTS.items() for field in of_type]
    assert views.sql("SELECT remedy FROM codes WHERE code = 'http_503'").fetchall() == [
        ("nothing: the next backfill tries again",)
    ]
    counts = "SELECT era, count(*), count(DISTINCT code) FROM {} GROUP BY era ORDER BY era"
    eras = (dimensions.BEFORE, dimensions.SINCE)
    assert views.sql(counts.format("provinces")).fetchall() == [(eras[0], 63, 63), (eras[1], 34, 34)]
    assert views.sql(counts.format("districts")).fetchall() == [(eras[0], 696, 696)]
    assert views.sql(counts.format("wards")).fetchall() == [(eras[0], 10035, 10035), (eras[1], 3321, 3321)]
    homeless = "SELECT count(*) FROM wards ANTI JOIN provinces ON code = province_code AND wards.era = provinces.era"
    homeless = homeless.replace("ON code", "ON provinces.code")
    assert views.sql(homeless).fetchall() == [(0,)]


def test_everything_is_told(views: duckdb.DuckDBPyConnection) -> None:
    """Each view and table has a comment, and each column of a type is listed once, with its documentation."""
    silent = "SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL"
    assert views.sql(silent).fetchall() == []
    assert views.sql("SELECT table_name FROM duckdb_tables() WHERE comment IS NULL").fetchall() == []
    columns = "SELECT count(*), count(DISTINCT column_name), count(comment) FROM duckdb_columns() WHERE table_name = "
    for name in DOCUMENTS:
        ((rows, names, comments),) = views.sql(f"{columns}'{name}'").fetchall()
        assert rows == names == comments
