"""Glob patterns over object keys, where there are no folders to walk: `*`, `?`, `[…]` in a step, `**` over steps."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

_WILD = re.compile(r"[*?[]")
_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)
_BEFORE, _BEHIND = fnmatch.translate("x").split("x")
"""What fnmatch puts around the regular expression of a whole name."""


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern of keys: the folder that holds every match, a key that sorts before each, and the test."""

    folder: str
    after: str | None
    matches: re.Pattern[str]


def is_glob(text: str) -> bool:
    """Whether it holds a wildcard."""
    return _WILD.search(text) is not None


def parse_glob(pattern: str) -> Glob:
    """`2026/11-*/**/*.jpg` -> everything below `2026` that starts with `11-` and ends as it says."""
    wild = _WILD.search(pattern)
    literal = pattern[: wild.start()] if wild else pattern
    folder, slash, start = literal.rpartition("/")
    after = f"{folder}{slash}{start[:-1]}" if len(start) > 1 else None
    return Glob(folder, after, re.compile("".join(map(_as_regex, _TOKEN.findall(pattern)))))


def _as_regex(token: str) -> str:
    if token == "**/":
        return "(?:.*/)?"
    if token == "**":
        return ".*"
    if token == "*":
        return "[^/]*"
    if token == "?":
        return "[^/]"
    if len(token) > 1:  # a set of characters, as fnmatch reads it: that is what a disk is asked with
        return f"(?!/){fnmatch.translate(token).removeprefix(_BEFORE).removesuffix(_BEHIND)}"
    return re.escape(token)
