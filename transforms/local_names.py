"""Pattern -> names on a disk, as a stream.

Python's `glob` makes a list of all names of a folder before it gives the first: 6 MB for 100,000 pictures.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator
from fnmatch import translate

_HERE = f".{os.sep}"


def list_names(pattern: str) -> Iterator[str]:
    """All files that `glob` finds, and some folders: `*` and `**` pass over names that begin with a dot.

    Raises:
        OSError: a folder that the pattern leads into cannot be listed.
    """
    folder, name = os.path.split(pattern)
    if name == "**":
        folder, name = pattern, "*"
    if not glob.has_magic(name):
        yield from glob.iglob(pattern, recursive=True)  # noqa: PTH207  # names, not Paths
        return
    matches = re.compile(translate(name)).match
    for found in _folders(folder):
        yield from _in_folder(found, matches, takes_hidden=name.startswith("."))


def _folders(pattern: str) -> Iterator[str]:
    """Each folder that a pattern names; "" is where we are."""
    if not glob.has_magic(pattern):
        yield pattern
        return
    start = "" if os.path.isabs(pattern) else _HERE  # noqa: PTH117  # or a first `**` would not name where we are
    for found in glob.iglob(os.path.join(start, pattern, ""), recursive=True):  # noqa: PTH118, PTH207
        yield found.removeprefix(start)


def _in_folder(folder: str, matches: Callable[[str], object], *, takes_hidden: bool) -> Iterator[str]:
    try:
        entries = os.scandir(folder or os.curdir)
    except (FileNotFoundError, NotADirectoryError):  # gone meanwhile, or never there
        return
    with entries:
        for entry in entries:
            is_hidden = entry.name.startswith(".")
            if (takes_hidden or not is_hidden) and matches(entry.name):
                yield os.path.join(folder, entry.name)  # noqa: PTH118
