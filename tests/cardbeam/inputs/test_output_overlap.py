"""An input that would give the run's own files is told from one that lies beside them or passes over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardbeam.inputs.output_overlap import input_contains_output


@pytest.mark.parametrize(
    ("source", "output", "gives"),
    [
        ("s3://cards", "s3://cards/tables", True),
        ("s3://cards/", "s3://cards/tables/", True),
        ("s3://cards/2026/**", "s3://cards/2026/tables", True),
        ("s3://cards/2026/**/*.*", "s3://cards/2026/tables", True),
        ("s3://cards", "s3://cards", True),
        ("s3://cards/2026", "s3://cards/2026-tables", False),
        ("s3://cards/**/*.jpg", "s3://cards/tables", False),
        ("s3://cards/*", "s3://cards/tables", False),
        ("s3://cards/tables/lists/night.csv", "s3://cards/tables", False),
        ("s3://cards", "s3://tables", False),
        ("s3://cards", "out", False),
        ("IN", "IN/tables", True),
        ("IN/**", "file://IN/tables", True),
        ("file://IN/", "IN/../in/tables", True),
        ("IN/*.jpg", "IN/tables", False),
        ("IN", "IN-tables", False),
        ("IN/a.jpg", "IN", False),
        ("https://x/a.jpg", "IN", False),
    ],
)
def test_gives_own_files(source: str, output: str, gives: bool, tmp_path: Path) -> None:
    """Folders and globs over them do, where the pattern takes in more than images."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").touch()
    assert input_contains_output(source.replace("IN", str(folder)), output.replace("IN", str(folder))) is gives
