"""Each question of the analytics page is answered as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from pipeline.views import connect
from tests.pipeline.nights import write_nights

PAGE = Path(__file__).resolve().parents[2] / "docs" / "analytics.md"
_QUESTION = re.compile(r"### (?P<question>.+)\n\n```sql\n(?P<sql>[^`]+)```\n\n```text\n(?P<answer>[^`]+)```")
QUESTIONS = [found.groupdict() for found in _QUESTION.finditer(PAGE.read_text())]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The views over two nights."""
    return connect(write_nights(tmp_path_factory.mktemp("nights")).root)


def test_ten() -> None:
    """There are ten."""
    assert len(QUESTIONS) == PAGE.read_text().count("### ") == 10


@pytest.mark.parametrize("asked", QUESTIONS, ids=[asked["question"] for asked in QUESTIONS])
def test_question(asked: dict[str, str], nights: duckdb.DuckDBPyConnection) -> None:
    """The SQL on the page gives the answer on the page."""
    assert str(nights.sql(asked["sql"])).strip() == asked["answer"].strip()
