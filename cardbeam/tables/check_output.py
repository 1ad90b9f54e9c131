"""Whether an output holds what its receipts name, and its journal is whole: before anything is paid or deleted.

What is missing of the ledger would be called and paid for again, and its rows would go from the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cardbeam.journal.reader import list_segments, read_stored
from cardbeam.run_state.layout import JOURNAL, LEDGER, RUNS, of_run
from cardbeam.run_state.receipt import RECEIPT_FILE, Receipt, read_receipt
from cardbeam.storage.damaged_file import DamagedFile, OnDamage, refuse
from cardbeam.storage.folder import Folder

_READ_AT_ONCE = 16


def check_output(folder: Folder) -> None:
    """Check receipts, ledger and journal of all runs. Whoever asks holds the output's lock.

    Raises:
        DamagedFile: a file is damaged, missing or of another size or format; the message names it.
    """
    check_ledger(folder)
    check_journal(folder)


def check_ledger(folder: Folder) -> None:
    """Compare the ledger's files with the receipts that name them.

    Raises:
        DamagedFile: a receipt cannot be read, or a file of the ledger is missing or of another size.
    """
    if next(_losses(folder), None) is not None:  # again: a watch replaces both, one after the other
        for error in _losses(folder):
            raise error


def check_run(folder: Folder, run_id: str) -> None:
    """The same for one run.

    Raises:
        DamagedFile: as `check_ledger`.
    """
    receipt = read_receipt(folder, run_id)
    for error in _missing([receipt] if receipt else [], _sizes(folder, of_run(LEDGER, run_id))):
        raise error


def check_journal(folder: Folder, prefix: str = JOURNAL, on_damage: OnDamage = refuse) -> None:
    """Read every record of the journal.

    Raises:
        DamagedFile: a segment is damaged or of another format, and `on_damage` raises this.
    """
    for file in list_segments(folder, prefix):
        for _ in read_stored(folder, file.path, 0, file.size_bytes, on_damage=on_damage):
            pass


def _losses(folder: Folder) -> Iterator[DamagedFile]:
    return _missing(_receipts(folder), _sizes(folder, LEDGER))


def _receipts(folder: Folder) -> list[Receipt]:
    paths = (file.path.split("/") for file in folder.list(RUNS))
    run_ids = sorted({path[1] for path in paths if path[2:] == [RECEIPT_FILE]})
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        return [receipt for receipt in pool.map(partial(read_receipt, folder), run_ids) if receipt is not None]


def _sizes(folder: Folder, prefix: str) -> dict[str, int]:
    return {file.path: file.size_bytes for file in folder.list(prefix)}


def _missing(receipts: Iterable[Receipt], sizes_bytes: dict[str, int]) -> Iterator[DamagedFile]:
    """What receipts name of the ledger and is not there as they name it."""
    for receipt in receipts:
        for file in receipt.files:
            path, size_bytes = file["path"], file["bytes"]
            if not path.startswith(f"{LEDGER}/") or not file["rows"]:  # a file without a row holds nothing
                continue
            if path not in sizes_bytes:
                yield DamagedFile.of(path, f"is missing, of which the receipt of run {receipt.run_id} tells")
            elif sizes_bytes[path] != size_bytes:
                yield DamagedFile.of(path, f"has {sizes_bytes[path]:,} bytes instead of {size_bytes:,}")
