"""Files of a disk are found as Python's `glob` finds them, one after the other."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from cardbeam.storage.globs import list_names

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
def tree(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files, which is the working folder."""
    outside = tmp_path_factory.mktemp("outside")
    for path in (*(tmp_path / name for name in FILES), outside / "a.jpg", outside / "in" / "b.jpg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
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


def test_each_folder_is_visited_once(tmp_path: Path) -> None:
    """Links to a folder that is listed anyway, to its parent and to each other give no file a second time."""
    (tmp_path / "z" / "in").mkdir(parents=True)
    (tmp_path / "z" / "in" / "a.jpg").touch()
    (tmp_path / "a-link").symlink_to(tmp_path / "z")
    (tmp_path / "z" / "in" / "up").symlink_to(tmp_path)
    found = [str(tmp_path / "z" / "in" / "a.jpg")]
    assert [list(list_names(f"{tmp_path}/{pattern}")) for pattern in ("**", "**/*.jpg", "**/in/*.jpg")] == [found] * 3


def test_a_folder_within_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    """A folder that a pattern leads into is named, wherever it lies; here a plain user may not list it."""
    (tmp_path / "in" / "shut").mkdir(parents=True)
    (tmp_path / "in" / "a.jpg").touch()
    program = """
import os
from cardbeam.storage.globs import list_names
os.setuid(65534)
for pattern in ("**", "in/*/*.jpg", "**/*.jpg", "in/shut/*"):
    try:
        print(list(list_names(pattern)))
    except PermissionError as error:
        print(error.filename)
"""
    if os.getuid():
        pytest.skip("only root can become a user that may not")
    tmp_path.chmod(0o755)
    (tmp_path / "in" / "shut").chmod(0o700)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout.splitlines() == ["in/shut/"] * 4
