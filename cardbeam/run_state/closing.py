"""The mark of a run whose tables are being replaced: until its receipt names the new files, the run has not ended.

Without it a kill between the removal of old files and the receipt would leave a receipt that names files which are
gone, and nobody would know.
"""

from __future__ import annotations

from typing import Any

import orjson

from cardbeam.run_state.layout import run_file
from cardbeam.run_state.receipt import INTERRUPTED, read_receipt
from cardbeam.storage.folder import Folder

CLOSING_FILE = "closing.json"


def begin_closing(folder: Folder, run_id: str) -> str:
    """Mark the run; the status that its receipt is to say: what it says now, if it has ended."""
    path = run_file(run_id, CLOSING_FILE)
    try:
        marked: dict[str, Any] = orjson.loads(folder.read(path))
        return str(marked.get("status", INTERRUPTED))
    except (FileNotFoundError, orjson.JSONDecodeError):
        receipt = read_receipt(folder, run_id)
    status = receipt.status if receipt and receipt.has_ended and receipt.reconciled else INTERRUPTED
    folder.write(path, orjson.dumps({"status": status}))
    return status


def end_closing(folder: Folder, run_id: str) -> None:
    """Take the mark away: the receipt names the files that are there."""
    folder.delete([run_file(run_id, CLOSING_FILE)])
