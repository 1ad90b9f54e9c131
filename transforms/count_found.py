"""Counts of what was found, and of what is settled already -> the name of this attempt at the calls.

All inputs are listed by then, so both counts are written down for `status`, in found.json.
"""

from __future__ import annotations

import uuid

import apache_beam as beam
import orjson

from transforms.attempt import begin_attempt
from transforms.damaged_file import DamagedFile
from transforms.elements import FOUND, Counted
from transforms.layout import run_file
from transforms.settings import OutputSettings
from transforms.state_file import decode_json
from transforms.storage import Folder, open_folder
from transforms.tally import Counts, add_up

FOUND_FILE = "found.json"


class CountFound(beam.PTransform):
    """(Counted as found, Counted as known) -> the attempt's name, once all inputs are listed."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings, self._launch = settings, uuid.uuid4().hex

    def expand(self, counted: tuple[beam.PCollection[Counted], beam.PCollection[Counted]]) -> beam.PCollection[str]:
        """Add both up and write them down."""
        return add_up(*counted) | "Write" >> beam.Map(_write, self._settings, self._launch)


def read_found(folder: Folder, run_id: str) -> Counts | None:
    """What a run had found and knew of that before its first call; None where it is not counted yet.

    Raises:
        DamagedFile: the file is not whole.
    """
    path = run_file(run_id, FOUND_FILE)
    try:
        counts: Counts = decode_json(path, folder.read(path), dict[str, int])
    except FileNotFoundError:
        return None
    if FOUND not in counts:
        raise DamagedFile.of(path, f"has no field {FOUND!r}")
    return counts


def _write(counts: Counts, settings: OutputSettings, launch: str) -> str:
    folder = open_folder(settings.output)
    folder.write(run_file(settings.run_id, FOUND_FILE), orjson.dumps(counts))
    return begin_attempt(folder, settings.run_id, launch)
