"""An output is checked before anything is paid or deleted: what is missing or damaged is an error with its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cardbeam.run_state.receipt import read_receipt, write_receipt
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.check_output import check_journal, check_ledger, check_output, check_run
from tests.pipeline.nights import FIRST, HALF, SECOND, write_nights
from tests.records import answered, segment, write_segment

ADVICE = "Restore the file, or see docs/operations.md"
SEGMENT = f"journal/run_id={HALF}/0a-000000.journal"


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """Two runs that have ended, and one that has not."""
    return write_nights(tmp_path)


def ledger_path(folder: LocalFolder, run_id: str) -> Path:
    (path,) = Path(folder.root, "ledger", f"run_id={run_id}").iterdir()
    return path


def test_an_output_that_is_whole_passes(folder: LocalFolder, tmp_path: Path) -> None:
    """With runs that ended and one that did not, and where there is none."""
    write_segment(folder, SEGMENT, [answered(1)])
    check_output(folder)
    check_output(LocalFolder(str(tmp_path / "nothing")))


@pytest.mark.parametrize("check", [check_output, check_ledger, lambda folder: check_run(folder, FIRST)])
def test_a_file_of_the_ledger_that_is_gone_is_named(folder: LocalFolder, check: Callable[[LocalFolder], None]) -> None:
    """What it held would be paid for again."""
    path = ledger_path(folder, FIRST)
    path.unlink()
    with pytest.raises(DamagedFile) as raised:
        check(folder)
    name = path.relative_to(folder.root).as_posix()
    assert str(raised.value) == f"{name} is missing, of which the receipt of run {FIRST} tells. {ADVICE}"
    check_run(folder, SECOND)


@pytest.mark.parametrize("content", [b"", None])
def test_a_file_of_the_ledger_of_another_size_is_named(folder: LocalFolder, content: bytes | None) -> None:
    """Truncated, or with something behind it."""
    path = ledger_path(folder, SECOND)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"more" if content is None else content)
    with pytest.raises(DamagedFile, match=rf"^ledger/run_id={SECOND}/.* has [\d,]+ bytes instead of {size:,}\. "):
        check_output(folder)


def test_tables_that_publish_makes_again_may_be_gone(folder: LocalFolder) -> None:
    """The ledger holds what they are made of."""
    for path in Path(folder.root, "documents").rglob("*.parquet"):
        path.unlink()
    check_output(folder)


def test_a_damaged_receipt_is_named(folder: LocalFolder) -> None:
    """What it names cannot be known."""
    Path(folder.root, "runs", FIRST, "receipt.json").write_bytes(b"{")
    with pytest.raises(DamagedFile, match=f"^runs/{FIRST}/receipt.json is not whole JSON"):
        check_output(folder)


def test_a_damaged_journal_is_named(folder: LocalFolder) -> None:
    """Of any run; what only reads the ledger lets it pass."""
    content = segment(SEGMENT, [answered(1), answered(2)])
    folder.write(SEGMENT, content[:40] + b"?" + content[41:])
    check_ledger(folder)
    found: list[str] = []
    check_journal(folder, on_damage=lambda error: found.append(error.path))
    assert found == [SEGMENT]
    with pytest.raises(DamagedFile, match=f"^{SEGMENT} is damaged"):
        check_output(folder)


def test_what_is_replaced_meanwhile_is_no_loss(folder: LocalFolder) -> None:
    """A file that is merged into another between two looks is found by a fresh receipt."""
    receipt = read_receipt(folder, FIRST)
    assert receipt is not None
    path = ledger_path(folder, FIRST)
    name = path.relative_to(folder.root).as_posix()
    merged = name.replace("part-", "merged-")

    class Merging(LocalFolder):
        def list(self, prefix: str):  # type: ignore[no-untyped-def]
            if prefix == "ledger" and path.exists():
                path.rename(Path(self.root, merged))
                files = [{**file, "path": file["path"].replace(name, merged)} for file in receipt.files]
                write_receipt(self, replace(receipt, files=files))
            return super().list(prefix)

    check_ledger(Merging(folder.root))
