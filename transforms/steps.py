"""The position of a splittable DoFn that works without end, a step at a time: the number of its next step."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

END = 2**62
"""Beyond the last step: to claim it ends the DoFn."""


class _Steps(OffsetRestrictionTracker):
    """Steps by number. It lets itself be stopped after one, never be split: a second half would do the same work."""

    def try_split(self, fraction_of_remainder: float) -> tuple[OffsetRange, OffsetRange] | None:
        return super().try_split(0) if not fraction_of_remainder else None

    def is_bounded(self) -> bool:
        return False


class _StepsProvider(RestrictionProvider):
    def initial_restriction(self, element: Any) -> OffsetRange:
        return OffsetRange(0, END)

    def create_tracker(self, restriction: OffsetRange) -> _Steps:
        return _Steps(restriction)

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:
        return 1

    def truncate(self, element: Any, restriction: OffsetRange) -> None:
        """Drained by the runner: no step follows."""


STEPS: Any = beam.DoFn.RestrictionParam(_StepsProvider())
