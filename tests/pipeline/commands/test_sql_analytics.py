"""Each question of the pages for analysts is answered as the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest

from cardbeam.model.record import JournalRecord
from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.views import connect
from tests.pipeline.nights import FIRST, ledger_record, write_nights, write_run

_DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = {name: (_DOCS / f"{name}.md").read_text() for name in ("kyc", "holders", "quality", "questions")}
_QUESTION = re.compile(r"### (?P<question>.+)\n\n```sql\n(?P<sql>[^`]+)```\n\n```text\n(?P<answer>[^`]+)```")
QUESTIONS = [found.groupdict() for page in PAGES.values() for found in _QUESTION.finditer(page)]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The views over two runs."""
    return connect(write_nights(tmp_path_factory.mktemp("nights")).root)


def test_each_question_is_found() -> None:
    """Twenty in all; none is written in a way that is not asked."""
    assert sum(page.count("### ") for page in PAGES.values()) == len(QUESTIONS) == 20


@pytest.mark.parametrize("asked", QUESTIONS, ids=[asked["question"] for asked in QUESTIONS])
def test_question(asked: dict[str, str], nights: duckdb.DuckDBPyConnection) -> None:
    """The SQL on the page gives the answer on the page."""
    assert str(nights.sql(asked["sql"])).strip() == asked["answer"].strip()


def _asked(question: str) -> str:
    return next(asked["sql"] for asked in QUESTIONS if asked["question"].startswith(question))


def _passport(**verdict: str) -> bytes:
    return json.dumps({"errorCode": "0", "data": [{"type": "passport", "info": {}, **verdict}]}).encode()


def test_shares_count_documents_without_a_verdict(tmp_path: Path) -> None:
    """A document that the endpoint did not judge counts among all of its branch."""
    verdicts: tuple[dict[str, str], ...] = ({"valid": "False"}, {}, {"valid": "True"}, {})
    records = [
        ledger_record(FIRST, 2 * number, (f"{number}.jpg",), response=_passport(**verdict))
        for number, verdict in enumerate(verdicts)
    ]
    found = connect(write_whole(tmp_path, records)).sql(_asked("Which branch sends")).fetchall()
    assert found == [("north", 4, 1, 25.0)]


def test_ages_are_of_the_day(tmp_path: Path) -> None:
    """Who has a birthday tomorrow is still a year younger today."""
    births = ("22-11-1996", "23-11-1996", "01-01-1997", "31-12-1986")
    records = [
        ledger_record(
            FIRST,
            number,
            (f"{number}.jpg",),
            response=json.dumps(
                {"errorCode": "0", "data": [{"type": "chip_id_card_front", "info": {"id": str(number), "dob": birth}}]}
            ).encode(),
        )
        for number, birth in enumerate(births)
    ]
    found = connect(write_whole(tmp_path, records)).sql(_asked("How old are")).fetchall()
    assert found == [(20, 2), (30, 2)]


def write_whole(root: Path, records: list[JournalRecord]) -> str:
    """The output folder of one run."""
    write_run(LocalFolder(str(root)), FIRST, records)
    return str(root)
