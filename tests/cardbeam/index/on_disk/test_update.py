"""The index on disk grows by a sorted file for each run; a kill, a full disk or a damaged file loses nothing of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from cardbeam.index.load import load_index
from cardbeam.index.on_disk.manifest import MANIFEST, list_ledger, read_manifest, valid_entries
from cardbeam.index.on_disk.update import keep_index, update_index
from cardbeam.index.status import PriorStatus
from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import INDEX, LEDGER
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.parts.read_part import ledger_table
from tests.records import answered, hex_id

RUNS = [f"run-{number}" for number in range(8)]
EARLIER = PriorStatus.SUCCEEDED_EARLIER_RUN


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True, slots=True)
class Dying(LocalFolder):
    """A folder whose user is killed at a step of what it writes and deletes, before or after the step is done."""

    steps_left: list[int] = field(default_factory=list)
    error: type[BaseException] = Killed

    def _step(self) -> None:
        self.steps_left[0] -= 1
        if self.steps_left[0] < 0:
            raise self.error

    def write(self, path: str, content: bytes | memoryview) -> None:
        self._step()
        LocalFolder.write(self, path, content)
        self._step()

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        self._step()
        with LocalFolder.writer(self, path) as file:
            yield file
            self._step()
        self._step()

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._step()
            LocalFolder.delete(self, [path])


def keep(folder: LocalFolder, run_id: str, records: list[JournalRecord]) -> None:
    """Leave a run's ledger."""
    write_parquet(folder, TableRows(LEDGER, run_id, "part-1", ledger_table(records)))


def keep_run(folder: LocalFolder, number: int) -> None:
    """A run of three images."""
    keep(folder, RUNS[number], [answered(item, source=100 + item) for item in range(3 * number, 3 * number + 3)])


def update(folder: LocalFolder) -> None:
    """Whatever is new, however little."""
    update_index(folder, min_files=0, chunk_rows=2)


def known(folder: LocalFolder, items: int) -> bool:
    """Whether every item of the runs so far is known by content, by whatever index there is, and no other one."""
    index = load_index(folder, "run-9")

    def is_known(item: int) -> bool:
        here = index.of_item(hex_id(item)) is EARLIER
        return here or bool(index.stored and index.stored.of_item(hex_id(item), 1000))

    return all(map(is_known, range(items))) and not is_known(items)


def entries(folder: LocalFolder) -> list[list[str]]:
    """The runs of each entry that is used."""
    return [sorted(one.runs) for one in valid_entries(folder, list_ledger(folder), read_manifest(folder))]


def stored(folder: LocalFolder) -> set[str]:
    """All files of the index."""
    return {file.path for file in folder.list(INDEX)}


@pytest.mark.parametrize(("error", "steps"), [(Killed, range(13)), (OSError, range(0, 13, 3))])
def test_a_kill_at_any_step_loses_nothing(error: type[BaseException], steps: range, tmp_path: Path) -> None:
    """Whatever step it comes at, in an update or a merge, all is known, and the next update has every run."""
    for step in steps:
        folder = LocalFolder(str(tmp_path / str(step)))
        for number in range(3):
            keep_run(folder, number)
            update(folder)
        keep_run(folder, 3)
        keep(folder, RUNS[1], [answered(item, source=100 + item) for item in range(3, 7)])  # a ledger that has changed
        dying = Dying(folder.root, steps_left=[step], error=error)
        with suppress(Killed, OSError):
            update(dying)
        assert known(folder, 12)
        update(folder)
        assert known(folder, 12)
        assert [run for one in entries(folder) for run in one] == RUNS[:4]
    assert dying.steps_left[0] >= 0, "more steps are to be tried"


def test_files_of_similar_size_are_merged(tmp_path: Path) -> None:
    """Of many small runs there are few entries, older runs in earlier ones; what was replaced goes a step later."""
    folder = LocalFolder(str(tmp_path))
    counts = []
    for number in range(8):
        keep_run(folder, number)
        update(folder)
        counts.append(len(entries(folder)))
        assert [run for one in entries(folder) for run in one] == RUNS[: number + 1]
    assert max(counts) <= 3
    update(folder)
    assert len(stored(folder)) == 1 + 2 * counts[-1]


def test_a_ledger_that_changed_is_read_again(tmp_path: Path) -> None:
    """Rows that were erased or published again: what the index held of them is not used, and goes."""
    folder = LocalFolder(str(tmp_path))
    for number in range(2):
        keep_run(folder, number)
        update(folder)
    keep(folder, RUNS[0], [answered(item, source=100 + item) for item in (0, 1)])
    assert [entries(folder), known(folder, 2)] == [[], True]
    before = stored(folder)
    update(folder)
    assert [entries(folder), stored(folder) & before] == [[RUNS[:2]], {MANIFEST}]


def test_a_run_that_came_late_is_counted_in_its_place(tmp_path: Path) -> None:
    """However little it is: an older run beside the index would count as newer than all that is in it."""
    folder = LocalFolder(str(tmp_path))
    keep_run(folder, 2)
    update(folder)
    keep_run(folder, 0)
    update_index(folder)
    assert entries(folder) == [[RUNS[0], RUNS[2]]]


@pytest.mark.parametrize("damage", ["deleted", "file", "missing", "manifest", "other format"])
def test_an_index_is_made_again(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that is deleted, or damaged: the file is named, all is known meanwhile, and the index is made again."""
    folder = LocalFolder(str(tmp_path))
    for number in range(3):
        keep_run(folder, number)
        update(folder)
    (path,) = [path for path in stored(folder) if "by_content" in path and path == entry_paths(folder)[-1]]
    if damage == "deleted":
        folder.delete(stored(folder))
    elif damage == "missing":
        folder.delete([path])
    else:
        content = {"file": b"PAR1", "manifest": b"{", "other format": b'{"format": 99}'}[damage]
        path = path if damage == "file" else MANIFEST
        folder.write(path, content)
    assert known(folder, 9)
    keep_index(folder)
    update(folder)
    assert [known(folder, 9), [run for one in entries(folder) for run in one]] == [True, RUNS[:3]]
    assert (path in caplog.text) is (damage in ("file", "missing", "manifest"))


def entry_paths(folder: LocalFolder) -> list[str]:
    """Of the newest entry."""
    return list(read_manifest(folder)[-1].paths)


def test_a_stranger_in_the_folder_goes(tmp_path: Path) -> None:
    """A file that no manifest names is removed."""
    folder = LocalFolder(str(tmp_path))
    keep_run(folder, 0)
    update(folder)
    folder.write(f"{INDEX}/by_source/stranger.parquet", b"")
    update(folder)
    assert len(stored(folder)) == 3


def test_a_disk_that_is_full_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on: the ledger itself is read."""
    folder = Dying(str(tmp_path), steps_left=[1000], error=OSError)
    for number in range(8):
        for part in range(5):
            rows = ledger_table([answered(15 * number + 3 * part + item) for item in range(3)])
            write_parquet(folder, TableRows(LEDGER, RUNS[number], f"part-{part}", rows))
    folder.steps_left[0] = 0
    keep_index(folder)
    assert "the index could not be updated" in caplog.text
    assert known(LocalFolder(str(tmp_path)), 120)
