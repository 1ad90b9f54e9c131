"""Glob patterns: over object keys as a prefix and a regular expression, over local files as a stream."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate

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


_ANY_DEPTH = "**"
_LOCAL_WILD = re.compile(r"[*?[]")
_SLASHES = re.compile(f"{os.sep}+")
_Folder = tuple[int, int, int]


def list_names(pattern: str) -> Iterator[str]:
    """All files that `glob` finds, each folder walked into once: `*` and `**` pass over names that begin with a dot.

    Raises:
        OSError: a folder that the pattern leads into cannot be listed.
    """
    pattern = _SLASHES.sub(os.sep, pattern)
    if (wild := _LOCAL_WILD.search(pattern)) is None:
        yield from [pattern] if os.path.lexists(pattern) else []
        return
    start = pattern.rfind(os.sep, 0, wild.start()) + 1
    steps = [step for step in pattern[start:].split(os.sep) if step]  # noqa: PTH206  # names, not Paths
    yield from _walk(pattern[:start], steps, set())


def _walk(folder: str, steps: Sequence[str], visited: set[_Folder]) -> Iterator[str]:
    """The files below a folder (its name ends with a slash, or is empty where we are) that lie at the given steps."""
    if not _is_first_visit(folder, len(steps), visited):
        return
    step, rest = steps[0], steps[1:]
    if step == _ANY_DEPTH:
        if rest:
            yield from _walk(folder, rest, visited)
        yield from _list(folder, "*", rest, [_ANY_DEPTH, *rest], visited)
    elif glob.has_magic(step):
        yield from _list(folder, step, rest, rest, visited)
    elif rest:
        if os.path.isdir(f"{folder}{step}"):  # noqa: PTH112  # names, not Paths
            yield from _walk(f"{folder}{step}{os.sep}", rest, visited)
    elif os.path.lexists(f"{folder}{step}"):
        yield f"{folder}{step}"


def _list(folder: str, step: str, rest: Sequence[str], below: Sequence[str], visited: set[_Folder]) -> Iterator[str]:
    """The files of a folder that match, where no step is left, then those of the matching folders in it.

    Links come last: a folder keeps its own name where it is found by a link, too.
    """
    matches = re.compile(translate(step)).match
    folders: list[tuple[bool, str]] = []
    with os.scandir(folder or os.curdir) as entries:
        for entry in entries:
            if (entry.name.startswith(".") and not step.startswith(".")) or not matches(entry.name):
                continue
            if _is_folder(entry):
                if below:
                    folders.append((entry.is_symlink(), entry.name))
            elif not rest:
                yield f"{folder}{entry.name}"
    for _, name in sorted(folders):
        yield from _walk(f"{folder}{name}{os.sep}", below, visited)


def _is_first_visit(folder: str, steps_left: int, visited: set[_Folder]) -> bool:
    try:
        found = os.stat(folder or os.curdir)  # noqa: PTH116  # names, not Paths
    except (FileNotFoundError, NotADirectoryError):  # gone meanwhile, or never there
        return False
    visit = (found.st_dev, found.st_ino, steps_left)
    is_first = visit not in visited
    visited.add(visit)
    return is_first


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for example
        return False
