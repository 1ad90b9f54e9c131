"""A watch on Flink whose launching process is killed for good goes on to its tables, and ends when it is told to."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.engines.install import NotInstalled
from tests.engines.watch_alone import IMAGES, WatchedAlone, watch_alone


@pytest.mark.slow
@pytest.mark.nightly
def test_it_needs_no_launching_process(tmp_path: Path) -> None:
    """Killed after the first rows. A task manager is killed after a completed checkpoint, which is then restored."""
    try:
        watched = _watched(tmp_path)
    except NotInstalled as why:
        pytest.skip(str(why))
    receipt, (asked, shown) = watched.receipt, watched.status
    assert (asked, "watching" in shown, watched.refused) == (0, True, 2), shown
    assert (watched.is_restored, watched.calls) == (True, IMAGES)
    assert (receipt.status, receipt.reconciled, receipt.requests["succeeded"]) == ("complete", True, IMAGES)


def _watched(folder: Path) -> WatchedAlone:
    """A known fault, seen where the machine is slow: now and then the job publishes nothing from its start on. Such a
    job is begun again, once, and what was seen of it is told."""
    try:
        return watch_alone(folder / "first")
    except TimeoutError as why:
        warnings.warn(f"a watch on Flink did not begin: {why}", stacklevel=2)
        return watch_alone(folder / "second")
