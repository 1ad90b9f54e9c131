"""The language file is found where it may lie, and its absence says which package to install."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from endpoint.ocr import engine as page


def test_the_environment_comes_before_the_installation_and_debian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, installed, debian = tmp_path / "named", tmp_path / "env/share/tessdata", tmp_path / "debian/5/tessdata"
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setattr(page, "_DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("TESSDATA_PREFIX", str(named))
    found = []
    for folder in (debian, installed, named):
        folder.mkdir(parents=True)
        (folder / "vie.traineddata").touch()
        found.append(page.tessdata_folder())
    assert found == [debian, installed, named]


def test_without_the_file_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(page, "_DEBIAN", tmp_path)
    monkeypatch.delenv("TESSDATA_PREFIX", raising=False)
    with pytest.raises(page.LanguageMissing, match="tesseract-ocr-vie"):
        page.tessdata_folder()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("issue.20/02/2018,", ["issue.", "20/02/2018,"]),
        ("tên:TRẦN", ["tên:", "TRẦN"]),
        ("No.:0123", ["No.:", "0123"]),
        ("tịch/Nationality:", ["tịch/Nationality:"]),
        ("TP.5", ["TP.5"]),
        ("20/02/2018", ["20/02/2018"]),
        ("12:30", ["12:30"]),
    ],
)
def test_a_label_and_its_value_read_as_one_word_are_parted(text: str, expected: list[str]) -> None:
    parts = list(page.parted(page.Word(text, 100, 10, 200, 30, 0.9)))
    assert [part.text for part in parts] == expected
    assert [parts[0].left, parts[-1].right] == [100, 200]
    assert all(one.right == other.left for one, other in pairwise(parts))


def test_an_engine_laid_aside_reads_as_before() -> None:
    engine = page.TextEngine()
    grey = np.full((80, 400), 235, dtype=np.uint8)
    cv2.putText(grey, "20/02/2018", (20, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (20,), 2)
    before = engine.words(grey)
    engine.release()
    engine.release()
    assert engine.words(grey) == before
    assert [word.text for word in before] == ["20/02/2018"]
