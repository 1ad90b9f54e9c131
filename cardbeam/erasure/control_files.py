"""Files about runs that name URIs: settings, receipts, what a watch keeps. What is erased is named in none of them.

They are written again before the first row of a ledger goes, for the ledger tells the URIs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from cardbeam.run_state.layout import RUNS
from cardbeam.storage.folder import TEMPORARY_SUFFIX, Folder
from cardbeam.storage.uris import redact
from cardbeam.watch.retry_schedule import RETRIES_FILE

_WORD = "erased"
_INDEX = "index"
_PAGES = (f"{RUNS}/index.html", "evaluation.html")


def scrub_control_files(folder: Folder, uris: set[str], run_ids: Iterable[str] | None = None) -> None:
    """Take the URIs out of every JSON file about runs: entries of lists go, texts say that something was erased.

    Given `run_ids`, it does so in files about these runs alone, and in what waits for a retry: elsewhere a URI is that
    of a newer image under an old name, which is not processed yet.
    """
    names = _matcher({*uris, *map(redact, uris)})
    within = ("",) if run_ids is None else (RETRIES_FILE, *(f"{RUNS}/{run_id}/" for run_id in run_ids))
    for file in list(folder.list(RUNS)) if uris else ():
        if file.path.endswith(".json") and file.path.startswith(within):
            _scrub(folder, file.path, names)


def remove_derived(folder: Folder, run_ids: list[str]) -> None:
    """Delete what is made from tables (pages, the index), and what a killed command was writing."""
    pages = [*_PAGES, *(f"{RUNS}/{run_id}/report.html" for run_id in run_ids)]
    half_written = (file.path for file in folder.list("") if file.path.endswith(TEMPORARY_SUFFIX))
    folder.delete([*half_written, *(file.path for file in folder.list(_INDEX)), *pages])


def _scrub(folder: Folder, path: str, is_named: Callable[[str], str]) -> None:
    try:
        content = folder.read(path)
        held = orjson.loads(content)
    except (FileNotFoundError, orjson.JSONDecodeError):  # a lock that is being written, a file that was cut off
        return
    changed = _without(held, is_named)
    if changed != held:
        folder.write(path, orjson.dumps(changed, option=orjson.OPT_INDENT_2 * content.startswith(b"{\n")))


def _without(held: Any, clean: Callable[[str], str]) -> Any:
    """A list of requests loses those that are named, any other value has its texts cleaned."""
    if isinstance(held, list):
        return [one for one in held if not _names(one, clean)]
    return _cleaned(held, clean)


def _cleaned(held: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(held, dict):
        return {key: _cleaned(value, clean) for key, value in held.items()}
    if isinstance(held, list):
        return [_cleaned(one, clean) for one in held]
    return clean(held) if isinstance(held, str) else held


def _names(held: Any, clean: Callable[[str], str]) -> bool:
    return any(clean(text) != text for text in _texts(held))


def _texts(held: Any) -> Iterator[str]:
    if isinstance(held, str):
        yield held
    for one in held.values() if isinstance(held, dict) else held if isinstance(held, list) else ():
        yield from _texts(one)


_SPLIT = re.compile(r"([\s'\"<>,;()\[\]]+)")


def _matcher(uris: set[str]) -> Callable[[str], str]:
    """A text without any of the URIs, be it one of them or a sentence that quotes one."""

    def clean(text: str) -> str:
        if text in uris:
            return _WORD
        return "".join(_WORD if one.rstrip(":.") in uris else one for one in _SPLIT.split(text))

    return clean
