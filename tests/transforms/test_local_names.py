"""Files of a disk are found as Python's `glob` finds them, one after the other."""

from __future__ import annotations

import glob
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from transforms.local_names import list_names

FILES = ["a.jpg", "b.png", ".hidden.jpg", "[x].jpg", "in/a.jpg", "in/deep/c.jpg", "in/.secret/d.jpg", "other/a.jpg"]
PATTERNS = [
    "*.jpg",
    "*",
    "**",
    "**/*.jpg",
    "**/a.jpg",
    "in/**",
    "in/**/*.jpg",
    "in/*",
    "*/a.jpg",
    "*/*.jpg",
    "*/**/*",
    "o*/**",
    ".*.jpg",
    "in/.s*/*",
    "[[]x].jpg",
    "a.jpg",
    "[!b]*",
    "none/*.jpg",
    "a.jpg/*",
    "./in/*",
    "in//*.jpg",
]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files, which is the working folder."""
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("is_absolute", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_glob_finds_them(tree: Path, pattern: str, *, is_absolute: bool) -> None:
    """Any pattern, from here or from the root, gives the files that `glob` gives, by the same names."""
    whole = f"{tree}/{pattern}" if is_absolute else pattern
    expected = glob.glob(whole, recursive=True)  # noqa: PTH207  # what it is compared with
    assert _files(list_names(whole)) == _files(expected)


def _files(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if Path(name).is_file())


def test_a_folder_of_thousands_is_never_a_list(tmp_path: Path) -> None:
    """What listing takes does not grow with the folder."""
    for number in range(3000):
        Path(tmp_path, f"{number}.jpg").touch()
    tracemalloc.start()
    count = sum(1 for _ in list_names(f"{tmp_path}/*.jpg"))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, peak_bytes < 50_000) == (3000, True)


def test_a_folder_that_cannot_be_listed_is_an_error() -> None:
    """A folder is not taken for an empty one: here its name is too long."""
    with pytest.raises(OSError, match="name too long"):
        list(list_names(f"{'x' * 300}/*.jpg"))
