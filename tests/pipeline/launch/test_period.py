"""The run of a watch ends after --run_duration_h, however often it is killed and started again before."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.launch.period import PERIOD_FILE, end_period, remaining_s

NOW_S = 1_800_000_000.0
HOURS = 0.1


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def test_launches_that_were_killed_share_one_period(folder: LocalFolder) -> None:
    """Started every 170 s, a run of 360 s ends 20 s after its third launch; what starts later has a whole one."""
    assert [remaining_s(folder, HOURS, NOW_S + after_s) for after_s in (0, 170, 340, 510)] == [360, 190, 20, 360]


def test_a_run_that_ended_in_order_leaves_the_next_a_whole_period(folder: LocalFolder) -> None:
    """Nothing of the earlier period counts, and ending twice is no error."""
    remaining_s(folder, HOURS, NOW_S)
    end_period(folder)
    end_period(folder)
    assert remaining_s(folder, HOURS, NOW_S + 100) == 360


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"began_at_s": null}', b'{"began_at_s": "x"}', b'{"began_at_s": 9e99}']
)
def test_a_damaged_file_or_a_clock_that_was_put_back_begins_a_period(folder: LocalFolder, content: bytes) -> None:
    """The run lasts no longer than asked for, and the file is whole again."""
    folder.write(PERIOD_FILE, content)
    assert [remaining_s(folder, HOURS, NOW_S), remaining_s(folder, HOURS, NOW_S + 60)] == [360, 300]
