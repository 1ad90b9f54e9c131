"""Ledger -> ListedInputs: the open dead letters of past runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import apache_beam as beam

from cardbeam.config.settings import ReplaySettings, Settings
from cardbeam.inputs.dead_letters import find_dead_letters
from cardbeam.model.request import Request
from cardbeam.storage.folder import open_folder
from transforms.list_inputs import Found, list_and_count


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
