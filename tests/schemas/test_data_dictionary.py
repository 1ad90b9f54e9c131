"""The page of the columns is what the schemas are."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.data_dictionary import data_dictionary, main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-dictionary.md"


def test_the_page_is_written_from_the_schemas() -> None:
    assert PAGE.read_text() == data_dictionary(), "python -m schemas.data_dictionary > docs/data-dictionary.md"


def test_the_command_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main([]), capsys.readouterr().out) == (0, data_dictionary())
    assert (main(["x"]), capsys.readouterr().out) == (2, "")
