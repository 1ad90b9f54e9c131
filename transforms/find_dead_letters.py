"""Ledger -> Requests: the open dead letters of past runs, each once.

Open is what no later answer settled. A death in reading an answer (an unknown type, say)
is not sent again: the answer is held, and `publish` reads it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from transforms.answered import Standing, load_answered
from transforms.elements import Request, SettledAs
from transforms.find_cards import Found, list_and_count
from transforms.layout import LEDGER, run_id_of
from transforms.read_parquet import read_ledger
from transforms.settings import ReplaySettings, Settings
from transforms.sources import describe
from transforms.storage import Folder, open_folder

_COLUMNS = ["item_id", "source_id", "outcome", "operation", "uris", "labels", "code"]


class FindDeadLetters(beam.PTransform):
    """One start -> Found."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, start: beam.PCollection[None]) -> Found:
        """Read the ledger of all runs."""
        return list_and_count(start, partial(_find, settings=self._settings))


def _find(_: None, *, settings: Settings) -> Iterator[Request]:
    folder = open_folder(settings.output.output)
    return find_dead_letters(folder, settings.output.run_id, settings.replay or ReplaySettings(), settings.resumes)


def find_dead_letters(
    folder: Folder, run_id: str, replay: ReplaySettings, resumes: tuple[str, ...] = ()
) -> Iterator[Request]:
    """Requests that died in earlier runs and were not answered before this one, with what their pictures are now.

    Those that died in the replays that this one `resumes` have had their turn.
    """
    answered = load_answered(folder, run_id)
    seen = {_key(row) for row in _dead_rows(folder, run_id, ReplaySettings(run_id=resumes))} if resumes else set()
    for row in _dead_rows(folder, run_id, replay):
        standings = (answered.of_item(row["item_id"]), answered.of_source(row["source_id"])[0])
        key = _key(row)
        if key not in seen and Standing.ANSWERED_BEFORE not in standings:
            seen.add(key)
            yield Request(row["operation"], tuple(map(describe, row["uris"])), tuple(row["labels"]))


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return row["operation"], *row["uris"]


def _dead_rows(folder: Folder, run_id: str, replay: ReplaySettings) -> Iterator[dict[str, Any]]:
    for file in folder.list(LEDGER):
        of_run = run_id_of(file.path)
        if not file.path.endswith(".parquet") or of_run == run_id or (replay.run_id and of_run not in replay.run_id):
            continue
        rows = read_ledger(folder, file.path, _COLUMNS)
        rows = rows.filter(pc.equal(rows["outcome"], SettledAs.DEAD.value))
        if replay.codes:
            rows = rows.filter(pc.is_in(rows["code"], value_set=pa.array(replay.codes)))
        yield from rows.to_pylist()
