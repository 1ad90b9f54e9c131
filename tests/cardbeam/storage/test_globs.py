"""A pattern over object keys matches what the same pattern over a local folder matches."""

from __future__ import annotations

import glob
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.storage.globs import Glob, is_glob, parse_glob

KEYS = [
    "a.jpg",
    "b.png",
    "2026/a.jpg",
    "2026/11/a.jpg",
    "2026/11/b.jpeg",
    "2026/11/deep/c.jpg",
    "2026-11/d.jpg",
    "x[1].jpg",
]
PATTERNS = [
    "*",
    "*.jpg",
    "**",
    "**/*.jpg",
    "2026/**/*.jpg",
    "2026/11/*",
    "2026/*/?.jpg",
    "2026*/**",
    "[ab].*",
    "[!a].*",
    "x[[]1].jpg",
    "[^a].*",
    "[z-a].*",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_matches_as_on_a_disk(tmp_path: Path, pattern: str) -> None:
    for key in KEYS:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).touch()
    found = glob.glob(pattern, root_dir=tmp_path, recursive=True)  # noqa: PTH207  # what lists a local --input
    on_disk = {name for name in found if (tmp_path / name).is_file()}
    assert {key for key in KEYS if parse_glob(pattern).matches.fullmatch(key)} == on_disk


def test_lists_no_more_than_the_pattern_needs():
    assert parse_glob("2026/11-*/**/*.jpg") == Glob("2026", "2026/11", parse_glob("2026/11-*/**/*.jpg").matches)
    assert (parse_glob("*.jpg").folder, parse_glob("*.jpg").after) == ("", None)


@given(st.lists(st.text("ab-", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join), st.integers(0, 12))
def test_what_matches_is_listed(key: str, at: int):
    pattern = f"{key[:at]}*" if "/" not in key[at:] else f"{key[:at]}**"
    found = parse_glob(pattern)
    assert is_glob(pattern)
    assert found.matches.fullmatch(key)
    assert key.startswith(f"{found.folder}/" if found.folder else "")
    assert found.after is None or key > found.after
