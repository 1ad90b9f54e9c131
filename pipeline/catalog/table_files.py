"""An output folder -> the files of each table that a query reads: those that receipts name, or all that are listed.

A file that is missing or damaged is left out, and a warning names it. That it is there and as long as its receipt says
is asked of all; its content is read where that is in doubt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cardbeam.run_state.layout import TABLES, run_file, run_id_of, table_of
from cardbeam.run_state.receipt import RECEIPT_FILE, Receipt, decode_receipt
from cardbeam.run_state.replaced_files import runs_with_replaced, unnamed_files
from cardbeam.storage.damaged_file import DamagedFile, warn
from cardbeam.storage.folder import Folder, LocalFolder
from cardbeam.storage.read_parquet import opened_parquet
from pipeline.catalog.unfinished_tables import make_tables, runs_in_journal
from pipeline.runs.registry import ended_runs

_READ_AT_ONCE = 16
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file with rows of a table."""

    size_bytes: int
    schema: str = ""
    """Fingerprint of its columns; empty where no receipt tells it."""


TableFiles = Mapping[str, Mapping[str, TableFile]]
"""Files by path, by table folder; a table without a file may be there. Files beside the output have absolute paths."""


def is_beside(path: str) -> bool:
    """Whether a file was made beside the output, and is none of its own."""
    return path.startswith("/")


def read_table_files(
    folder: Folder, *, only_run: str = "", unfinished: bool = False, scratch: str = ""
) -> tuple[list[bytes], TableFiles]:
    """The receipts as they stand, and the files that are there; read again where a publication replaces files.

    `unfinished` has files of runs without a receipt too, and what they answered since as tables in `scratch`.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        receipts = _receipts(folder)
        files = _unfinished_files(folder, scratch) if unfinished else _named_files(receipts.values(), only_run)
        faults = [] if unfinished else _faults(folder, _doubtful(folder, files, only_run))
        if not faults or attempt == _ATTEMPTS or _receipts(folder).keys() == receipts.keys():
            break
    return list(receipts), _without(files, _warned(faults))


def whole_files(folder: Folder, files: TableFiles) -> TableFiles:
    """The files that are whole, as far as their ends tell: each is opened."""
    return _without(files, damaged_files(folder, [path for of_table in files.values() for path in of_table]))


def damaged_files(folder: Folder, paths: Collection[str]) -> frozenset[str]:
    """Those that are missing or damaged, as far as their ends tell; a warning names each."""
    return _warned(_faults(folder, paths))


def _warned(faults: Iterable[DamagedFile]) -> frozenset[str]:
    lost = {fault.path: fault for fault in faults}
    for fault in lost.values():
        warn(fault)
    return frozenset(lost)


def _faults(folder: Folder, paths: Collection[str]) -> list[DamagedFile]:
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        return [fault for fault in pool.map(partial(_fault, folder), paths) if fault]


def _fault(folder: Folder, path: str) -> DamagedFile | None:
    try:
        with opened_parquet(LocalFolder("/") if is_beside(path) else folder, path):
            return None
    except FileNotFoundError:
        return DamagedFile.of(path, "is missing")
    except DamagedFile as error:
        return error


def _without(files: TableFiles, lost: frozenset[str]) -> TableFiles:
    if not lost:
        return files
    return {
        table: {path: file for path, file in of_table.items() if path not in lost} for table, of_table in files.items()
    }


def _doubtful(folder: Folder, files: TableFiles, only_run: str) -> list[str]:
    """Files that are not there or of another size than their receipt says; of one run all."""
    paths = [(path, file.size_bytes) for of_table in files.values() for path, file in of_table.items()]
    if only_run:  # few: each is opened
        return [path for path, _ in paths]
    if folder.is_local:
        return [path for path, size_bytes in paths if _size_of(Path(folder.root, path)) != size_bytes]
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        listed = pool.map(lambda table: list(folder.list(table)), files)
    there = {file.path: file.size_bytes for found in listed for file in found}
    return [path for path, size_bytes in paths if there.get(path) != size_bytes]


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _receipts(folder: Folder) -> dict[bytes, Receipt]:
    """Each by its content as it stands."""
    if folder.is_local:  # where threads take more than they save
        return dict(filter(None, map(partial(_receipt, folder), ended_runs(folder))))
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        return dict(filter(None, pool.map(partial(_receipt, folder), ended_runs(folder))))


def _receipt(folder: Folder, run_id: str) -> tuple[bytes, Receipt] | None:
    """None where it is gone since it was listed, or damaged, of which a warning tells."""
    try:
        content = folder.read(run_file(run_id, RECEIPT_FILE))
        return content, decode_receipt(run_id, content)
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        warn(error)
        return None


def _named_files(receipts: Iterable[Receipt], only_run: str) -> TableFiles:
    """A file without a row is no use to a query."""
    written = (file for one in receipts if only_run in ("", one.run_id) for file in one.files)
    return _by_table(
        (file["path"], TableFile(file["bytes"], file.get("schema", "")) if file["rows"] else None) for file in written
    )


def _unfinished_files(folder: Folder, scratch: str) -> TableFiles:
    """All that is written, and of runs whose answers are in a journal the tables made of it, if there is a place."""
    found = {table: dict(of_table) for table, of_table in _listed_files(folder).items()}
    for number, run_id in enumerate(runs_in_journal(folder) if scratch else ()):
        beside = LocalFolder(f"{scratch}/unfinished/{number}")
        try:
            files = make_tables(folder, run_id, beside)
        except DamagedFile as error:
            warn(error)
            continue
        for of_table in found.values():
            for path in [path for path in of_table if run_id_of(path) == run_id]:
                del of_table[path]
        for file in files:
            path = f"{beside.root}/{file.path}" if file.is_beside else file.path
            found.setdefault(table_of(file.path), {})[path] = TableFile(file.size_bytes)
    return found


def _listed_files(folder: Folder) -> TableFiles:
    replaced = frozenset(path for run_id in runs_with_replaced(folder) for path in unnamed_files(folder, run_id))
    found = (file for table in TABLES for file in folder.list(table) if file.path not in replaced)
    return _by_table(
        (file.path, TableFile(file.size_bytes) if file.path.endswith(".parquet") else None) for file in found
    )


def _by_table(files: Iterable[tuple[str, TableFile | None]]) -> TableFiles:
    """Files that are None are left out, their tables are not."""
    found: dict[str, dict[str, TableFile]] = defaultdict(dict)
    for path, file in files:
        of_table = found[table_of(path)]
        if file is not None:
            of_table[path] = file
    return found
