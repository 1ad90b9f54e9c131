"""Counts of what was found and known -> found.json: how much a run has before it, for `status`."""

from __future__ import annotations

import apache_beam as beam
import orjson

from transforms.elements import Counted
from transforms.layout import run_file
from transforms.settings import OutputSettings
from transforms.storage import open_folder

FOUND_FILE = "found.json"


class CountFound(beam.PTransform):
    """(Counted as found, Counted as known) -> the path of found.json, once all inputs are listed."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, counted: tuple[beam.PCollection[Counted], beam.PCollection[Counted]]) -> beam.PCollection[str]:
        """Add both up and write them down."""
        totals = counted | beam.Flatten() | beam.CombinePerKey(sum) | beam.combiners.ToDict()
        return totals | "Write" >> beam.Map(_write, self._settings)


def _write(counts: dict[str, int], settings: OutputSettings) -> str:
    path = run_file(settings.run_id, FOUND_FILE)
    open_folder(settings.output).write(path, orjson.dumps(counts))
    return path
