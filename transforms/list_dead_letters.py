"""Ledger -> ListedInputs: the open dead letters of past runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import apache_beam as beam
from apache_beam.typehints import with_input_types

from cardbeam.config.settings import ReplaySettings, Settings
from cardbeam.inputs.dead_letters import list_dead_letter_requests
from cardbeam.model.request import Request
from transforms.list_inputs import ListedInputs, list_and_count


@with_input_types(bytes)
class ListDeadLetters(beam.PTransform):
    """One impulse -> ListedInputs."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, start: beam.PCollection[bytes]) -> ListedInputs:
        """Read the ledger of all runs."""
        return list_and_count(start, partial(_find, settings=self._settings))


def _find(_: bytes, *, settings: Settings) -> Iterator[Request]:
    folder = settings.output.folder()
    return list_dead_letter_requests(
        folder, settings.output.run_id, settings.replay or ReplaySettings(), settings.resumes
    )
