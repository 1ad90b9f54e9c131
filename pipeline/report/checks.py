"""Checks of a run: named SQL queries over the views that must return no row.

    -- name: no_future_birthdays
    SELECT item_id FROM passport WHERE run_id = getvariable('run_id') AND dob > current_date;

Each query follows a line with its name; `-- warn: NAME` in place of `-- name: NAME` never changes the exit status.
What a query returns is counted and not shown, for it may be of a card.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cardbeam.run_state.layout import DEAD_LETTERS
from cardbeam.run_state.receipt import Receipt, read_receipt, write_receipt
from cardbeam.storage.folder import Folder
from cardbeam.storage.open_uri import CANNOT_OPEN, open_source
from pipeline.catalog.views import connect, connect_empty
from pipeline.cli.exit_codes import UsageError
from pipeline.report.default_checks import Check, default_checks
from schemas.documents import DOCUMENT_TYPES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PASSED, WARNING, FAILED = "passed", "warning", "failed"
MAX_FAILED_SHARE = "max_failed_share"
ALL_MAY_FAIL = 1.0
_HEAD = re.compile(r"--\s*(name|warn)\s*:\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of it: `rows` that should not be there, and why it could not be asked, if it could not."""

    name: str
    status: str
    rows: int = 0
    message: str = ""


def parse_checks(text: str) -> list[Check]:
    """The checks of a file.

    Raises:
        ValueError: a query has no name, a name has no query, or two have the same name.
    """
    found: list[tuple[str, str, list[str]]] = []
    for line in text.splitlines():
        if head := _HEAD.fullmatch(line.strip()):
            found.append((head[1], head[2], []))
        elif found:
            found[-1][2].append(line)
        elif line.strip() and not line.lstrip().startswith("--"):
            raise ValueError(f"a query has no name: expected a line '-- name: NAME' before {line.strip()[:40]!r}")
    checks = [Check(name, "\n".join(lines).strip().rstrip(";"), kind == "warn") for kind, name, lines in found]
    names = [check.name for check in checks]
    for check in checks:
        if not check.query:
            raise ValueError(f"{check.name} has no query")
        if names.count(check.name) > 1:
            raise ValueError(f"{check.name} is there twice")
    return checks


def read_checks(uri: str) -> list[Check]:
    """The checks of a file, each of which the views of this version can answer; none without a file.

    Raises:
        UsageError: it cannot be read, or a query is not valid.
    """
    if not uri:
        return []
    try:
        with open_source(uri) as file:
            checks = parse_checks(file.read().decode())
    except ValueError as error:  # of the text, or bytes that are none
        raise UsageError(f"--checks {uri}: {error}") from None
    except CANNOT_OPEN as error:
        raise UsageError(f"--checks {uri} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    connection = connect_empty()
    for check in checks:
        if message := _run(connection, check).message:
            raise UsageError(f"--checks {uri}, {check.name}: {message}")
    return checks


def run_checks(folder: Folder, receipt: Receipt, checks: Iterable[Check]) -> list[CheckResult]:
    """Run the default checks over a run, and the user's over the output, which has all views.

    Raises:
        UsageError: DuckDB is not installed.
    """
    run_id, checks = receipt.run_id, list(checks)
    types = [name for name in DOCUMENT_TYPES if receipt.documents.get(name)]
    own = connect(folder.root, only_run=run_id, only_tables=[DEAD_LETTERS, *types])
    results = list(_run_all(own, run_id, default_checks(types)))
    if checks:
        results += _run_all(connect(folder.root), run_id, checks)
    return results


def _run_all(connection: DuckDBPyConnection, run_id: str, checks: Iterable[Check]) -> Iterator[CheckResult]:
    connection.execute("SET VARIABLE run_id = $1", [run_id])
    for check in checks:
        yield _run(connection, check)


def _run(connection: DuckDBPyConnection, check: Check) -> CheckResult:
    """Count what a query returns. Only errors of the query's own text are quoted: others may quote a value."""
    import duckdb  # noqa: PLC0415  # an extra

    at_fault = WARNING if check.is_warning else FAILED
    try:
        found = connection.execute(f"SELECT count(*) FROM ({check.query}\n)").fetchone()
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        return CheckResult(check.name, at_fault, message=str(error).splitlines()[0])
    except duckdb.Error as error:
        return CheckResult(check.name, at_fault, message=f"the query cannot be run: {type(error).__name__}")
    rows = int(found[0]) if found else 0
    return CheckResult(check.name, at_fault if rows else PASSED, rows)


def check_run(
    folder: Folder, receipt: Receipt, checks: Iterable[Check], max_failed_share: float = ALL_MAY_FAIL
) -> Receipt:
    """The receipt with the results of the checks, as it is written now.

    The default checks never fail a run: without DuckDB, or a table that can be read, there are none.
    """
    checks = list(checks)
    try:
        results = run_checks(folder, receipt, checks)
    except (UsageError, OSError) as error:
        results = [CheckResult(check.name, FAILED, message=f"the tables cannot be read: {error}") for check in checks]
    current = read_receipt(folder, receipt.run_id) or receipt
    results += _check_failed_share(current, max_failed_share)
    known: list[dict[str, Any]] = [asdict(result) for result in results]
    return write_receipt(folder, replace(current, checks=known))


def _check_failed_share(receipt: Receipt, max_share: float) -> Iterator[CheckResult]:
    """`max_failed_share`, where it is asked for: from the receipt alone, whether tables can be read or not."""
    if max_share >= ALL_MAY_FAIL:
        return
    failed = receipt.requests["dead_lettered"]
    processed = failed + receipt.requests["succeeded"]
    if failed > max_share * processed:
        message = f"{failed:,} of {processed:,} images failed, more than {max_share:g} of them"
        yield CheckResult(MAX_FAILED_SHARE, FAILED, failed, message)
    else:
        yield CheckResult(MAX_FAILED_SHARE, PASSED)


def has_failed(receipt: Receipt) -> bool:
    """Whether a check failed, warnings aside."""
    return any(check["status"] == FAILED for check in receipt.checks)
