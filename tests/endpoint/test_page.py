"""The language file is found where it may lie, and its absence says which package to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from endpoint import page


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
