"""A watch is drained once its listing has ended and then its calls, in this order and of one launch."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardbeam.run_state.drained import NotDrained, is_drained, mark_drained, mark_listing_ended
from cardbeam.storage.folder import LocalFolder

RUN, SESSION = "20260801T010000Z", "a"


def test_calls_end_after_their_listing(tmp_path: Path) -> None:
    """The end of a listing alone ends nothing yet."""
    folder = LocalFolder(str(tmp_path))
    mark_listing_ended(folder, RUN, SESSION)
    between = is_drained(folder, RUN, SESSION)
    mark_drained(folder, RUN, SESSION)
    assert (between, is_drained(folder, RUN, SESSION), is_drained(folder, RUN, "b")) == (False, True, False)


def test_a_job_that_is_restored_takes_nothing_back(tmp_path: Path) -> None:
    """Its listing ends a second time, while its publisher asks whether the calls have ended."""
    folder = LocalFolder(str(tmp_path))
    mark_listing_ended(folder, RUN, SESSION)
    mark_drained(folder, RUN, SESSION)
    mark_listing_ended(folder, RUN, SESSION)
    assert is_drained(folder, RUN, SESSION)


@pytest.mark.parametrize("ended", [None, "b"])
def test_a_runner_that_loses_the_listing_is_refused(tmp_path: Path, ended: str | None) -> None:
    """A job that begins again is not a run that is complete."""
    folder = LocalFolder(str(tmp_path))
    if ended is not None:
        mark_listing_ended(folder, RUN, ended)
    with pytest.raises(NotDrained, match="its listing has not ended"):
        mark_drained(folder, RUN, SESSION)
    assert not is_drained(folder, RUN, SESSION)
