"""(Requests, Endings of the known) -> found.json: how much a run has before it, for `status`."""

from __future__ import annotations

import apache_beam as beam
import orjson

from transforms.elements import Ending, Fate, Request
from transforms.layout import run_file
from transforms.settings import OutputSettings
from transforms.storage import open_folder
from transforms.tally import FOUND

FOUND_FILE = "found.json"


class CountFound(beam.PTransform):
    """(Requests, Endings of the known) -> the path of found.json, once all inputs are listed."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, listed: tuple[beam.PCollection[Request], beam.PCollection[Ending]]) -> beam.PCollection[str]:
        """Count both and write them down."""
        found, before = listed
        counts = (
            (found | "Count found" >> beam.combiners.Count.Globally() | beam.Map(lambda count: (FOUND, count))),
            (
                before
                | "Count known" >> beam.combiners.Count.Globally()
                | "Known" >> beam.Map(lambda count: (Fate.ANSWERED_BEFORE.value, count))
            ),
        )
        return counts | beam.Flatten() | beam.combiners.ToDict() | "Write" >> beam.Map(_write, self._settings)


def _write(counts: dict[str, int], settings: OutputSettings) -> str:
    path = run_file(settings.run_id, FOUND_FILE)
    open_folder(settings.output).write(path, orjson.dumps(counts))
    return path
