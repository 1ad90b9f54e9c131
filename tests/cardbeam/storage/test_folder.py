"""A local folder as output: files are there whole or not at all."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from cardbeam.journal.open import open_journal
from cardbeam.storage.folder import TEMPORARY_SUFFIX, LocalFolder, StoredFile, open_folder
from pipeline.runs.lock import run_lock


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path / "output"))


def test_a_file_is_written_over_read_listed_and_deleted(folder: LocalFolder) -> None:
    """A file is what was written last, stands in the listing of its folder, and is gone when it is deleted."""
    folder.write("ledger/run_id=1/a", b"first")
    folder.write("ledger/run_id=1/a", b"second")
    folder.write("ledger/b", b"")
    folder.write("ledgers/c", b"not of this folder")
    assert folder.read("ledger/run_id=1/a") == b"second"
    assert list(folder.list("ledger")) == [StoredFile("ledger/b", 0), StoredFile("ledger/run_id=1/a", 6)]
    folder.delete(["ledger/run_id=1/a", "ledger/b", "ledger/gone", "none/at/all"])
    assert list(folder.list("ledger")) == []


def test_what_is_not_there_is_not_found(folder: LocalFolder) -> None:
    """Reading and opening say so; listing what does not exist gives nothing."""
    for get in (folder.read, folder.open):
        with pytest.raises(FileNotFoundError):
            get("none/at/all")
    assert list(folder.list("none")) == []


def test_a_folder_that_cannot_be_listed_is_an_error(folder: LocalFolder) -> None:
    """It is not taken for an empty one, as if nothing in it were processed: here its name leads to itself."""
    folder.write("ledger/run_id=1/a", b"")
    Path(folder.root, "journal").symlink_to("journal")
    assert list(folder.list("ledger")) == [StoredFile("ledger/run_id=1/a", 0)]
    with pytest.raises(OSError, match="symbolic links"):
        list(folder.list("journal"))


def test_a_file_opens_in_the_middle(folder: LocalFolder) -> None:
    """An open file can be read from anywhere, as a reader of Parquet does."""
    folder.write("a", bytes(range(256)))
    with folder.open("a") as file:
        file.seek(-2, 2)
        assert file.read() == b"\xfe\xff"


def test_readers_see_the_old_file_or_the_new(folder: LocalFolder) -> None:
    """While a file is written over and over, every reading of it is one of its versions, whole."""
    versions = [bytes([number]) * 200_000 for number in range(8)]
    folder.write("a", versions[0])
    with ThreadPoolExecutor(1) as writers:
        writing = writers.submit(lambda: [folder.write("a", version) for version in versions * 5])
        seen = {folder.read("a")}
        while not writing.done():
            seen.add(folder.read("a"))
    assert seen <= set(versions)


def test_a_write_leaves_nothing_beside_the_file(folder: LocalFolder) -> None:
    """Once it is written a file stands alone, also where it was created."""
    folder.write("a", b"1")
    folder.create("b", b"2")
    folder.create("b", b"3")
    assert list(folder.list("")) == [StoredFile("a", 1), StoredFile("b", 1)]


def test_a_file_written_piece_by_piece_appears_whole(folder: LocalFolder) -> None:
    """It is there once its block has ended; where that ended by an error, what was there before stays, and alone."""
    with folder.writer("a") as file:
        file.write(b"12")
        assert list(folder.list("a")) == []
        file.write(b"3")
    with pytest.raises(ValueError, match="torn"), folder.writer("a") as file:
        file.write(b"4")
        raise ValueError("torn")
    assert (list(folder.list("")), folder.read("a")) == ([StoredFile("a", 3)], b"123")


def test_what_a_crash_left_half_written_is_no_file_of_the_name(folder: LocalFolder) -> None:
    """A half-written file stands under a name of its own, which no reader asks for, and can be deleted."""
    folder.write("tables/a.parquet", b"whole")
    half = f"tables/.a.parquet.0123{TEMPORARY_SUFFIX}"
    Path(folder.root, half).write_bytes(b"ha")
    assert folder.read("tables/a.parquet") == b"whole"
    assert [file.path for file in folder.list("tables") if file.path.endswith(".parquet")] == ["tables/a.parquet"]
    folder.delete([half])
    assert [file.path for file in folder.list("tables")] == ["tables/a.parquet"]


def test_of_many_that_create_one_file_one_succeeds(folder: LocalFolder) -> None:
    """The file holds what the one wrote that was told so."""
    contents = [bytes([number]) * 1000 for number in range(16)]
    start = Barrier(len(contents))

    def create(content: bytes) -> bool:
        start.wait()
        return folder.create("runs/r1/claim", content)

    with ThreadPoolExecutor(len(contents)) as threads:
        created = list(threads.map(create, contents))
    assert sorted(created) == [False] * 15 + [True]
    assert folder.read("runs/r1/claim") == contents[created.index(True)]


def test_an_empty_folder_goes_with_its_last_file(folder: LocalFolder) -> None:
    """Deleting leaves no empty folder of a table behind, and no other folder goes."""
    folder.write("journal/run_id=1/a", b"")
    folder.write("journal/run_id=2/b", b"")
    folder.delete(["journal/run_id=1/a"])
    assert [path.name for path in Path(folder.root, "journal").iterdir()] == ["run_id=2"]


@pytest.mark.parametrize("form", ["path", "file URI"])
def test_a_local_place_opens_as_a_folder(form: str, tmp_path: Path) -> None:
    """A path and a file URI, with a space in them, are the same folder."""
    place = tmp_path / "my output"
    open_folder(str(place)).write("a", b"1")
    opened = open_folder(str(place) if form == "path" else place.as_uri())
    assert (opened.is_local, opened.read("a")) == (True, b"1")


@pytest.mark.parametrize(("umask", "file_mode", "modes"), [(0o022, 0o600, "600 700"), (0o077, 0o640, "640 750")])
def test_who_may_read_is_not_left_to_the_umask(umask: int, file_mode: int, modes: str, tmp_path: Path) -> None:
    """Files and folders that are made are the owner's alone, or as was asked; what was there stays as it is."""
    tmp_path.chmod(0o755)
    before = os.umask(umask)
    try:
        folder = open_folder(str(tmp_path / "new" / "out"), file_mode)
        folder.write("a/1", b"x")
        folder.create("b/2", b"x")
        with folder.writer("c/d/3") as file:
            file.write(b"x")
        journal = open_journal(folder, "run", 1.0)
        journal.check()
        journal.close()
        with run_lock(folder, "run"):
            pass
    finally:
        os.umask(before)
    found = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "new").rglob("*")}
    assert {f"{mode:o}" for path, mode in found.items() if path.is_file()} == {modes.split(maxsplit=1)[0]}
    assert {f"{mode:o}" for path, mode in found.items() if path.is_dir()} == {modes.split()[1]}
    assert tmp_path.stat().st_mode & 0o777 == 0o755
