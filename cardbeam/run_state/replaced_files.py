"""Files of the tables that a newer publication replaced, and when: each is deleted later, for queries may read it.

The record is written before the receipt that names the files instead, so a kill at any step leaves no file that nobody
knows of. A file that a receipt names is never deleted, whatever the record says: where a kill came between the two,
the next publication notes it again, with its own time. Whoever notes or deletes holds the output's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cardbeam.run_state.layout import RUNS, TABLES, of_run, run_file
from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.damaged_file import DamagedFile, warn
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state

REPLACED_FILE = "replaced.json"


@dataclass(frozen=True, slots=True)
class Replaced:
    """What replaced.json holds: paths of replaced files, each with when it was replaced, in seconds since 1970."""

    files: dict[str, float] = field(default_factory=dict)


def named_files(receipt: Receipt | None) -> frozenset[str]:
    """The paths of the files that a receipt names; none without one."""
    return frozenset(file["path"] for file in receipt.files) if receipt else frozenset()


def note_replaced(folder: Folder, run_id: str, before: Iterable[str], named: Iterable[str], now_s: float) -> None:
    """Write down which files the next receipt, which names others, replaces; `before` are those of the one in place."""
    kept, named = _read(folder, run_id, before, now_s), frozenset(named)
    replaced = {**kept, **dict.fromkeys(before, now_s)}
    _write(folder, run_id, kept, {path: at_s for path, at_s in replaced.items() if path not in named})


def replaced_files(folder: Folder, run_id: str, named: Iterable[str]) -> frozenset[str]:
    """The files of a run that were replaced and are still there; `named` are those that its receipt names."""
    try:
        state = read_state(folder, run_file(run_id, REPLACED_FILE), Replaced)
    except DamagedFile as error:
        warn(error)
        return frozenset()
    return frozenset(state.files if state else ()).difference(named)


def unnamed_files(folder: Folder, run_id: str) -> frozenset[str]:
    """The same, by the receipt that is in place: for whoever lists files instead of asking a receipt."""
    if not (replaced := replaced_files(folder, run_id, ())):
        return replaced
    return replaced - named_files(read_receipt(folder, run_id, on_damage=warn))


def delete_due(folder: Folder, run_id: str, named: Iterable[str], now_s: float, keep_s: float) -> None:
    """Delete the files of a run that were replaced at least `keep_s` ago."""
    named = frozenset(named)
    kept = _read(folder, run_id, named, now_s)
    due = [path for path, at_s in kept.items() if at_s + keep_s <= now_s and path not in named]
    if due:
        folder.delete(due)
        _write(folder, run_id, kept, {path: at_s for path, at_s in kept.items() if path not in due})


def sweep_replaced(folder: Folder, now_s: float, keep_s: float) -> None:
    """Delete the files of all runs that were replaced at least `keep_s` ago."""
    for run_id in runs_with_replaced(folder):
        if (receipt := read_receipt(folder, run_id, on_damage=warn)) is not None:
            delete_due(folder, run_id, named_files(receipt), now_s, keep_s)


def delete_replaced(folder: Folder, run_ids: Iterable[str] | None = None) -> None:
    """Delete every replaced file of some runs, or of all, at once: what is erased stays in none of them."""
    for run_id in runs_with_replaced(folder) if run_ids is None else run_ids:
        if (receipt := read_receipt(folder, run_id)) is not None:
            delete_due(folder, run_id, named_files(receipt), 0.0, float("-inf"))


def runs_with_replaced(folder: Folder) -> list[str]:
    """Runs of which replaced files may be there, by name."""
    steps: Iterator[list[str]] = (file.path.split("/") for file in folder.list(RUNS))
    return sorted({path[1] for path in steps if path[2:] == [REPLACED_FILE]})


def _read(folder: Folder, run_id: str, named: Iterable[str], now_s: float) -> dict[str, float]:
    """What is noted. Where the record is damaged every file that no receipt names counts as replaced just now."""
    path = run_file(run_id, REPLACED_FILE)
    folders = tuple(f"{of_run(table, run_id)}/" for table in TABLES)
    try:
        state = read_state(folder, path, Replaced)
        for one in state.files if state else ():
            if not one.startswith(folders) or ".." in one.split("/"):
                raise DamagedFile.of(path, "names a file that is none of its run's tables")
    except DamagedFile as error:
        warn(error)
        found = (file.path for table in TABLES for file in folder.list(of_run(table, run_id)))
        return dict.fromkeys((one for one in found if one not in frozenset(named)), now_s)
    return dict(state.files) if state else {}


def _write(folder: Folder, run_id: str, before: dict[str, float], after: dict[str, float]) -> None:
    path = run_file(run_id, REPLACED_FILE)
    if after and after != before:
        write_state(folder, path, Replaced(after))
    elif before and not after:
        folder.delete([path])
