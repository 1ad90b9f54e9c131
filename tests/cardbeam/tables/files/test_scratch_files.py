"""Scratch files are read as they were written, and leave nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from cardbeam.tables.files.scratch_files import ScratchFiles


def test_no_name_leads_to_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even while they are there, so that a killed process leaves none."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    contents = {"a/one": b"1" * 100_000, "a/two": b""}
    with ScratchFiles() as files:
        for path, content in contents.items():
            with files.writer(path) as file:
                file.write(content)
        for _ in range(2):
            for path, content in contents.items():
                with files.open(path) as file:
                    assert file.read() == content
        assert list(tmp_path.iterdir()) == []
