"""A file that a newer publication replaced is there until its time is over, whatever was killed in between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import orjson
import pytest

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.model.part import WrittenFile
from cardbeam.run_state.receipt import make_receipt, write_receipt
from cardbeam.run_state.replaced_files import (
    delete_due,
    delete_replaced,
    note_replaced,
    replaced_files,
    runs_with_replaced,
    sweep_replaced,
    unnamed_files,
)
from cardbeam.storage.folder import LocalFolder

RUN, TABLE, KEEP_S = "r1", "ledger", 100.0
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
_RECORD = f"runs/{RUN}/replaced.json"


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def path(name: str) -> str:
    return f"{TABLE}/run_id={RUN}/{name}.parquet"


def publish(folder: LocalFolder, names: str, before: str, now_s: float) -> None:
    """Files, each of one letter, in place of others."""
    for name in names:
        folder.write(path(name), b"rows")
    note_replaced(folder, RUN, map(path, before), map(path, names), now_s)
    output = OutputSettings(folder.root, RUN)
    settings = Settings(InputSettings(), EndpointSettings(), RateSettings(), output)
    files = [WrittenFile(RUN, TABLE, path(name), 1, 4) for name in names]
    write_receipt(folder, make_receipt(settings, {}, [], files, None, started_at=NOW, finished_at=NOW))
    delete_due(folder, RUN, map(path, names), now_s, KEEP_S)


def there(folder: LocalFolder) -> str:
    return "".join(sorted(Path(file.path).stem for file in folder.list(TABLE)))


def test_replaced_files_stay_for_their_time(folder: LocalFolder) -> None:
    """Each counts from its own replacement; one that comes back stays; the record goes with the last."""
    publish(folder, "ab", "", 0)
    publish(folder, "bc", "ab", 10)
    publish(folder, "cd", "bc", 50)
    assert (there(folder), unnamed_files(folder, RUN)) == ("abcd", {path("a"), path("b")})
    sweep_replaced(folder, 110, KEEP_S)
    assert there(folder) == "bcd"
    publish(folder, "bd", "cd", 120)
    sweep_replaced(folder, 160, KEEP_S)
    assert there(folder) == "bcd"
    sweep_replaced(folder, 220, KEEP_S)
    assert (there(folder), runs_with_replaced(folder)) == ("bd", [])


def test_at_once(folder: LocalFolder) -> None:
    """Erasing waits for nobody; a run without a replaced file is none of its concern."""
    publish(folder, "a", "", 0)
    publish(folder, "b", "a", 10)
    delete_replaced(folder, ["r0"])
    assert there(folder) == "ab"
    delete_replaced(folder)
    assert (there(folder), runs_with_replaced(folder)) == ("b", [])


class Killed(Exception):
    """The process is gone."""


@dataclass(frozen=True, slots=True)
class Dying(LocalFolder):
    """A folder whose process is killed before its n-th change."""

    left: tuple[int, ...] = ()

    def write(self, path: str, content: bytes | memoryview) -> None:
        self._step()
        LocalFolder.write(self, path, content)

    def delete(self, paths: Iterable[str]) -> None:
        for one in paths:
            self._step()
            LocalFolder.delete(self, [one])

    def _step(self) -> None:
        if not self.left:
            raise Killed
        object.__setattr__(self, "left", self.left[1:])


@pytest.mark.parametrize("steps", range(9))
def test_killed_at_any_step(folder: LocalFolder, steps: int) -> None:
    """The files that the receipt names are there, and so are those that it named less than their time ago."""
    publish(folder, "abx", "", 0)
    publish(folder, "ab", "abx", 1)
    dying = Dying(folder.root, left=(1,) * steps)
    try:
        publish(dying, "cd", "ab", 105)  # x is due
    except Killed:
        assert set("ab") <= set(there(folder))
    receipt = orjson.loads(folder.read(f"runs/{RUN}/receipt.json"))
    named = "".join(Path(file["path"]).stem for file in receipt["files"])
    assert set(named) <= set(there(folder))
    publish(folder, "cd", named, 130)
    sweep_replaced(folder, 204, KEEP_S)
    assert there(folder) == "abcd"
    sweep_replaced(folder, 230, KEEP_S)
    assert there(folder) == "cd"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"format": 1, "files": []}', b'{"format": 1, "files": {"ledger/run_id=r0/a.parquet": 0}}',
     b'{"format": 1, "files": {"ledger/run_id=r1/../../notes.txt": 0}}'],
)  # fmt: skip
def test_a_damaged_record(folder: LocalFolder, content: bytes) -> None:
    """Nothing of another run, or outside the tables, is deleted; what no receipt names is replaced as of now."""
    folder.write("notes.txt", b"")
    folder.write("ledger/run_id=r0/a.parquet", b"")
    publish(folder, "a", "", 0)
    publish(folder, "b", "a", 10)
    folder.write(_RECORD, content)
    publish(folder, "c", "b", 500)
    sweep_replaced(folder, 510, KEEP_S)
    assert there(folder) == "aabc"
    sweep_replaced(folder, 700, KEEP_S)
    left = {file.path for file in folder.list("") if not file.path.startswith("runs")}
    assert left == {"notes.txt", "ledger/run_id=r0/a.parquet", path("c")}


def test_a_run_without_a_receipt(folder: LocalFolder) -> None:
    """Where a receipt is damaged nothing goes: which files it names is not known."""
    publish(folder, "a", "", 0)
    publish(folder, "b", "a", 10)
    folder.write(f"runs/{RUN}/receipt.json", b"{")
    sweep_replaced(folder, 500, KEEP_S)
    assert there(folder) == "ab"
    assert replaced_files(replace(folder), RUN, ()) == {path("a")}
