"""A check counts the rows that should not be there, tells nothing of what is in them, and is validated beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.views import connect
from pipeline.cli.exit_codes import UsageError
from pipeline.launch.failure import exit_status
from pipeline.report.checks import CheckResult, check_run, has_failed, parse_checks, read_checks, run_checks
from pipeline.report.default_checks import Check, default_checks
from pipeline.runs.display.summary import summarize
from tests.pipeline.nights import FIRST, SECOND, ledger_record, write_nights, write_run

NAMES = st.text("abcdefghij_", min_size=1, max_size=9)
QUERIES = st.text("abc ();'\n", min_size=1, max_size=30).filter(lambda text: text.strip().strip(";").strip())


@given(st.dictionaries(NAMES, st.tuples(QUERIES, st.booleans()), max_size=5))
def test_what_is_written_is_read(checks: dict[str, tuple[str, bool]]) -> None:
    """Each query under its name, in order."""
    text = "".join(f"-- {'warn' if warns else 'name'}: {name}\n{query}\n" for name, (query, warns) in checks.items())
    expected = [Check(name, query.strip().rstrip(";"), warns) for name, (query, warns) in checks.items()]
    if all(check.query for check in expected):
        found = parse_checks("-- what we expect\n\n" + text)
        assert [(one.name, one.is_warning) for one in found] == [(one.name, one.is_warning) for one in expected]
        assert [one.query.split() for one in found] == [one.query.split() for one in expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1", "a query has no name: expected a line '-- name: NAME' before 'SELECT 1'"),
        ("-- name: a\n-- name: b\nSELECT 1", "a has no query"),
        ("-- name: a\nSELECT 1;\n-- warn: a\nSELECT 2", "a is there twice"),
        ("-- name: a\nSELEC 1", "a: Parser Error"),
        ("-- name: a\nSELECT nam FROM passport", "a: Binder Error"),
        ("-- name: a\nSELECT 1 FROM passports", "a: Catalog Error"),
    ],
)
def test_a_query_that_cannot_be_asked_is_refused_beforehand(tmp_path: Path, text: str, message: str) -> None:
    """With its name."""
    path = tmp_path / "checks.sql"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_checks(str(path))
    assert message in str(error.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_checks(f"{tmp_path}/none.sql")
    assert str(error.value) == f"--checks {tmp_path}/none.sql cannot be read: No such file or directory"
    assert read_checks("") == []


def test_results_are_in_the_receipt_and_decide_the_exit_status(tmp_path: Path) -> None:
    """A failed check ends a complete run with 6; a warning with 0. No value is told."""
    folder = write_nights(tmp_path)
    path = tmp_path / "checks.sql"
    path.write_text(
        "-- name: no_passport\nSELECT full_name FROM passport WHERE run_id = getvariable('run_id');\n"
        "-- name: no_bad_number\nSELECT CAST(full_name AS INT) FROM passport ORDER BY 1 -- a value cannot be cast\n"
        "-- warn: few\nSELECT 1\n-- name: fine\nSELECT 1 WHERE false\n"
    )
    receipt = read_receipt(folder, SECOND)
    assert receipt is not None
    checked = check_run(folder, receipt, read_checks(str(path)))
    own = {
        one["name"]: (one["status"], one["rows"], one["message"]) for one in checked.checks[len(default_checks([])) :]
    }
    assert own == {
        "no_passport": ("failed", 29, ""),
        "no_bad_number": ("failed", 0, "the query cannot be run: ConversionException"),
        "few": ("warning", 1, ""),
        "fine": ("passed", 0, ""),
    }
    assert read_receipt(folder, SECOND) == checked
    assert (has_failed(checked), exit_status(folder, checked), exit_status(folder, receipt)) == (True, 6, 0)
    assert "  check      no_passport: failed (29 rows)\n  check      no_bad_number: failed (" in summarize(
        checked, "out"
    )
    assert connect(folder.root).sql("SELECT len(checks) FROM runs ORDER BY run_id").fetchall() == [(0,), (9,)]


@pytest.mark.parametrize(
    ("most", "status", "ends_with"),
    [(1.0, None, 0), (0.25, "passed", 0), (0.24, "failed", 6), (0.0, "failed", 6)],
)
def test_a_run_with_many_failures_says_so(tmp_path: Path, most: float, status: str | None, ends_with: int) -> None:
    """More than the share that is allowed end a complete run with 6, whether its tables can be read or not."""
    folder = LocalFolder(str(tmp_path))
    failed = ledger_record(FIRST, 90, ("x",), outcome="failed", stage="call", code="error_1")
    receipt = write_run(folder, FIRST, [*passports(FIRST, 3, 0.9), failed])
    checked = check_run(folder, receipt, [], most)
    found = [(one["status"], one["message"]) for one in checked.checks if one["name"] == "max_failed_share"]
    message = f"1 of 4 images failed, more than {most:g} of them" if status == "failed" else ""
    assert found == ([(status, message)] if status else [])
    assert exit_status(folder, checked) == ends_with
    next((tmp_path / "documents").rglob("*.parquet")).unlink()
    assert exit_status(folder, check_run(folder, receipt, [], most)) == ends_with


def defaults(folder: LocalFolder, run_id: str) -> dict[str, int]:
    """The default checks that warn, and their rows."""
    receipt = read_receipt(folder, run_id)
    assert receipt is not None
    results = run_checks(folder, receipt, [])
    assert {one.status for one in results} <= {"passed", "warning"}
    assert all(not one.message for one in results)
    return {one.name: one.rows for one in results if one.status == "warning"}


def answer(document_type: str, info: dict[str, object]) -> bytes:
    """The endpoint's response with one document."""
    data = [{"type": document_type, "info": info, "valid": "True", "invalidCode": "0", "invalidMessage": ""}]
    return json.dumps({"errorCode": "0", "errorMessage": "", "data": data}).encode()


def passports(run_id: str, count: int, confidence: float, **extra: object) -> list[object]:
    """So many passports with one confidence."""
    info = {"full_name": "NGUYỄN VĂN MẪU", "full_name_confidence": confidence, **extra}
    return [
        ledger_record(run_id, number, (f"{run_id}{number}",), response=answer("passport", info))
        for number in range(count)
    ]


def test_the_default_checks_warn_of_what_is_unusual(tmp_path: Path) -> None:
    """Quiet for a run as the others; each names its own fault."""
    folder = LocalFolder(str(tmp_path))
    runs = [f"202611{day:02}T010000Z" for day in range(1, 6)]
    for run_id in runs[:4]:
        write_run(folder, run_id, passports(run_id, 30, 0.95))
    assert defaults(folder, runs[3]) == {}
    failed = [
        ledger_record(runs[4], 90 + n, (f"x{n}",), outcome="failed", stage="call", code="error_1") for n in range(10)
    ]
    new = ledger_record(runs[4], 80, ("y",), response=answer("driving_license", {"id": "1"}))
    write_run(folder, runs[4], [*passports(runs[4], 60, 0.3, unheard_of="x"), *failed, new])
    assert defaults(folder, runs[4]) == {
        "share_dead_lettered": 1,
        "share_low_confidence": 1,
        "images_found_against_last_runs": 1,
        "new_document_types": 1,
        "keys_in_extra": 1,
    }


def test_tables_that_cannot_be_read_fail_the_users_checks_alone(tmp_path: Path) -> None:
    """The default checks are left out then."""
    folder = LocalFolder(str(tmp_path))
    receipt = write_run(folder, FIRST, passports(FIRST, 1, 0.9))
    path = next((tmp_path / "runs").rglob("receipt.json"))
    path.unlink()
    assert check_run(folder, receipt, []).checks == []
    path.unlink()
    (found,) = check_run(folder, receipt, [Check("own", "SELECT 1")]).checks
    assert (CheckResult(**found).status, CheckResult(**found).name) == ("failed", "own")
