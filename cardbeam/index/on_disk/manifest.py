"""Which files the index on disk consists of, and which state of which runs each of them holds.

An entry is two sorted files of the same records, by source and by content. It holds whole runs, as their ledger files
were when it was made: where these are others now, the entry is not used. So nothing has to be told to the index when a
ledger changes, and nothing in it is ever the truth.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import orjson

from cardbeam.run_state.layout import INDEX, LEDGER, run_id_of
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder, StoredFile

_LOG = logging.getLogger("cardbeam")
_FORMAT = 2
MANIFEST = f"{INDEX}/manifest.json"
BY_SOURCE, BY_CONTENT = f"{INDEX}/by_source", f"{INDEX}/by_content"


@dataclass(frozen=True, slots=True)
class Entry:
    """Two sorted files of the same records; `runs` maps each run to the fingerprint of its ledger."""

    rows: int
    runs: dict[str, str]
    sizes_bytes: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """The same for the same runs in the same state."""
        return _digest(f"{_FORMAT}", *(part for pair in sorted(self.runs.items()) for part in pair))

    @property
    def paths(self) -> tuple[str, str]:
        """By source, by content."""
        return f"{BY_SOURCE}/{self.name}.parquet", f"{BY_CONTENT}/{self.name}.parquet"

    @property
    def first_run(self) -> str:
        """Runs count in the order of their names."""
        return min(self.runs)

    @property
    def last_run(self) -> str:
        """The newest."""
        return max(self.runs)


LedgerFiles = Mapping[str, tuple[StoredFile, ...]]
"""The ledger files of each run."""


def list_ledger(folder: Folder) -> dict[str, tuple[StoredFile, ...]]:
    """The ledger files of each run of an output, runs by name."""
    found: dict[str, list[StoredFile]] = defaultdict(list)
    for file in folder.list(LEDGER):
        if file.path.endswith(".parquet"):
            found[run_id_of(file.path) or ""].append(file)
    return {run_id: tuple(found[run_id]) for run_id in sorted(found)}


def fingerprint(files: Iterable[StoredFile]) -> str:
    """Another where a run has other ledger files."""
    return _digest(*(f"{file.path}:{file.size_bytes}" for file in sorted(files, key=lambda one: one.path)))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def read_manifest(folder: Folder) -> list[Entry]:
    """The entries, oldest first; none where there is no index, or it is damaged: it is made again then."""
    try:
        content = folder.read(MANIFEST)
    except FileNotFoundError:
        return []
    try:
        found = orjson.loads(content)
        if found["format"] != _FORMAT:
            return []
        entries = [Entry(int(one["rows"]), dict(one["runs"]), _pair(one["sizes_bytes"])) for one in found["entries"]]
        return sorted((one for one in entries if one.runs), key=lambda one: one.first_run)
    except (ValueError, TypeError, KeyError):
        _LOG.warning("%s is damaged: the index is made again from the ledger", MANIFEST)
        return []


def _pair(sizes: list[int]) -> tuple[int, int]:
    by_source, by_content = sizes
    return int(by_source), int(by_content)


def write_manifest(folder: Folder, entries: Iterable[Entry]) -> None:
    """Make these the entries of the index, in one step."""
    folder.write(MANIFEST, orjson.dumps({"format": _FORMAT, "entries": [asdict(one) for one in entries]}))


def valid_entries(folder: Folder, ledger: LedgerFiles, entries: list[Entry]) -> list[Entry]:
    """The entries whose runs are as they were and whose files are there; names the files that are not."""
    if not entries:
        return []
    sizes = {file.path: file.size_bytes for file in folder.list(INDEX)}
    return [one for one in entries if _is_current(one, ledger) and _is_there(one, sizes)]


def _is_current(entry: Entry, ledger: LedgerFiles) -> bool:
    return all(run_id in ledger and fingerprint(ledger[run_id]) == state for run_id, state in entry.runs.items())


def _is_there(entry: Entry, sizes_bytes: Mapping[str, int]) -> bool:
    for path, size_bytes in zip(entry.paths, entry.sizes_bytes, strict=True):
        if sizes_bytes.get(path) != size_bytes:
            what = "is missing" if path not in sizes_bytes else "is damaged"
            _LOG.warning("%s %s: the index is made again from the ledger", path, what)
            return False
    return True


def index_damaged(error: DamagedFile) -> DamagedFile:
    """The error of a file of the index, with what to do about it."""
    damaged = DamagedFile(f"{error.path} is damaged. Delete {INDEX}/: it is made again from the ledger")
    damaged.path = error.path
    return damaged
