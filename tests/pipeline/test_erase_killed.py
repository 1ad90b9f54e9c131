"""`erase`, killed at random moments and given again, leaves nothing of its persons and every other row."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.views import connect
from pipeline.runs.recovery import close_unfinished_runs
from tests.byte_search import files_with
from tests.pipeline import cli
from tests.pipeline.killing import kill
from tests.pipeline.nights import write_nights

pytestmark = [pytest.mark.slow, pytest.mark.nightly]
_KILLS = 4


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Each time for another person, from the start of the process to its end."""
    folder = write_nights(tmp_path / "out")
    close_unfinished_runs(folder)
    shutil.copytree(folder.root, tmp_path / "before")
    asked = "SELECT DISTINCT person_number FROM passport WHERE person_number <> '' ORDER BY ALL"
    numbers = [number for (number,) in connect(folder.root).sql(asked).fetchall()][: _KILLS + 1]
    whole_s = _erase(folder, numbers[0], tmp_path)
    chance, hits = random.Random(1), 0
    for number in numbers[1:]:
        (tmp_path / number).write_text(number)
        child = cli.start("erase", f"--output={folder.root}", f"--number_file={tmp_path / number}")
        time.sleep(chance.uniform(0.4, 1.0) * whole_s)
        hits += child.poll() is None
        kill(child)
        _erase(folder, number, tmp_path)
    assert hits
    assert files_with(Path(folder.root), numbers) == {}
    gone = f"(SELECT item_id FROM passport WHERE person_number IN {tuple(numbers)})"
    expected = connect(str(tmp_path / "before")).sql(f"FROM documents WHERE item_id NOT IN {gone} ORDER BY ALL")
    others = {row for row in map(str, expected.fetchall()) if not any(number in row for number in numbers)}
    left = set(map(str, connect(folder.root).sql("FROM documents ORDER BY ALL").fetchall()))
    assert left <= others
    assert len(others - left) <= 2 * len(numbers)  # the other sides of cards whose number another image shows


def _erase(folder: LocalFolder, number: str, scratch: Path) -> float:
    """How long it took."""
    began_s = time.monotonic()
    (scratch / number).write_text(number)
    ended = cli.run("erase", f"--output={folder.root}", f"--number_file={scratch / number}")
    assert ended.returncode == 0 or "no image" in ended.stderr, ended.stderr
    return time.monotonic() - began_s
