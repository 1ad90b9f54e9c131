"""Ledger -> Requests: the open dead letters of past runs, each once.

Open is what no later answer processed. A failure in parsing a response (an unknown type, for example)
is not sent again: the response is held, and `publish` parses it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.config.settings import ReplaySettings
from cardbeam.index.history import RequestHistory, history_of
from cardbeam.index.load import load_index
from cardbeam.index.on_disk.source_join import looked_up
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.index.status import PriorStatus
from cardbeam.inputs.image_source import describe
from cardbeam.model.record import RecordStatus
from cardbeam.model.request import ImageRef, Request
from cardbeam.run_state.layout import LEDGER, run_id_of
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import read_ledger

_COLUMNS = ["item_id", "source_id", "outcome", "operation", "uris", "labels", "code", "image_bytes"]
_WINDOW = 1000


def list_dead_letter_requests(
    folder: Folder, run_id: str, replay: ReplaySettings, resumes: tuple[str, ...] = ()
) -> Iterator[Request]:
    """Requests that failed in earlier runs and were not answered before this one, with what their images are now.

    Those that failed in the replays that this one `resumes` have had their turn.
    """
    index = load_index(folder, run_id)
    seen = {_key(row) for row in _dead_rows(folder, run_id, ReplaySettings(run_id=resumes))} if resumes else set()
    rows = _dead_rows(folder, run_id, replay)
    while window := list(islice(rows, _WINDOW)):
        for row, asked in zip(window, looked_up(map(_request, window), index), strict=True):
            key = _key(row)
            if key not in seen and not _is_answered(row, history_of(index, asked)):
                seen.add(key)
                yield replace(asked, images=tuple(map(describe, row["uris"])), earlier=())


def _request(row: dict[str, Any]) -> Request:
    return Request(row["operation"], tuple(map(ImageRef, row["uris"])), tuple(row["labels"]))


def _is_answered(row: dict[str, Any], known: ProcessedIndex | RequestHistory) -> bool:
    """Whether an earlier run answered the image after all, as its record names it."""
    item_id, source_id = row["item_id"], row["source_id"]
    size_bytes = None if item_id == source_id else row["image_bytes"]
    statuses = (known.of_source(source_id)[0], known.of_item(item_id, size_bytes))
    return PriorStatus.SUCCEEDED_EARLIER_RUN in statuses


def has_dead_letters(folder: Folder, replay: ReplaySettings) -> bool:
    """Whether the ledger holds any dead letter that is asked for, answered since or not."""
    return any(True for _ in _dead_rows(folder, "", replay))


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return row["operation"], *row["uris"]


def _dead_rows(folder: Folder, run_id: str, replay: ReplaySettings) -> Iterator[dict[str, Any]]:
    for file in folder.list(LEDGER):
        of_run = run_id_of(file.path)
        if not file.path.endswith(".parquet") or of_run == run_id or (replay.run_id and of_run not in replay.run_id):
            continue
        rows = read_ledger(folder, file.path, _COLUMNS)
        rows = rows.filter(pc.equal(rows["outcome"], RecordStatus.FAILED.value))
        if replay.codes:
            rows = rows.filter(pc.is_in(rows["code"], value_set=pa.array(replay.codes)))
        yield from rows.to_pylist()
