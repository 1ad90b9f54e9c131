"""A bucket serves as output folder as a disk does: whole files, one winner of many creators, nothing left in parts."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from cardbeam.storage.folder import Folder, StoredFile, open_folder
from cardbeam.storage.object_store import object_at
from tests.stores.conftest import Bucket
from tests.stores.proxy import InjectedFault

pytestmark = pytest.mark.slow

ODD_NAMES = ("a b", "a%20b", "a#b", "a?b", "a+b", "a&b=c", "a*b", "[x]", "~t", "thẻ căn cước", "run_id=1/x")


@pytest.fixture
def folder(bucket: Bucket) -> Folder:
    return open_folder(f"{bucket.uri}/{uuid4().hex}")


def test_a_file_is_written_over_read_listed_and_deleted(folder: Folder):
    folder.write("ledger/a", b"first")
    folder.write("ledger/a", b"second")
    folder.write("ledger/deep/b", b"")
    folder.write("ledger_of_others/c", b"-")
    assert folder.read("ledger/a") == b"second"
    assert list(folder.list("ledger")) == [StoredFile("ledger/a", 6), StoredFile("ledger/deep/b", 0)]
    folder.delete(["ledger/a", "ledger/gone", "ledger/deep/b"])
    folder.delete([])
    assert list(folder.list("ledger")) == []
    assert list(folder.list("nothing")) == []


def test_a_file_written_piece_by_piece_appears_whole(folder: Folder):
    with folder.writer("file") as file:
        file.write(b"12")
        file.write(b"3")
        assert list(folder.list("")) == []
    with pytest.raises(ValueError, match="torn"), folder.writer("file") as file:
        file.write(b"4")
        raise ValueError("torn")
    assert (list(folder.list("")), folder.read("file")) == ([StoredFile("file", 3)], b"123")


def test_what_is_not_there_is_not_found(folder: Folder):
    with pytest.raises(FileNotFoundError):
        folder.read("none")
    with pytest.raises(FileNotFoundError):
        folder.open("none")


def test_of_many_that_create_one_file_one_succeeds(folder: Folder):
    contents = [uuid4().bytes for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda content: folder.create("claim", content), contents))
    assert sorted(created) == [False] * 7 + [True]
    assert folder.read("claim") == contents[created.index(True)]


def test_a_file_opens_in_the_middle(folder: Folder):
    folder.write("file", bytes(range(256)) * 4096)
    with folder.open("file") as file:
        file.seek(-3, 2)
        assert file.read() == b"\xfd\xfe\xff"
        file.seek(600_000)
        assert file.read(2) == bytes([600_000 % 256, 600_001 % 256])
        assert file.tell() == 600_002


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_survive(folder: Folder, name: str):
    folder.write(f"odd/{name}", name.encode())
    assert folder.read(f"odd/{name}") == name.encode()
    assert [file.path for file in folder.list("odd")] == [f"odd/{name}"]
    folder.delete([f"odd/{name}"])
    assert list(folder.list("odd")) == []


def test_listing_look_and_reading_name_one_version(folder: Folder):
    place = object_at(f"{folder.root}/file")
    place.put(b"first")
    (listed,) = [file.path for file in folder.list("")]
    first = place.head()
    assert (listed, place.read_version(1000)) == ("file", (b"first", first))
    place.put(b"second, of another size")
    assert place.read_version(6) == (b"second", place.head())
    assert place.head().version != first.version


def test_more_than_a_page_is_listed_whole(folder: Folder):
    names = [f"page/{number:04d}" for number in range(1203)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: folder.write(name, b"x"), names))
    assert [file.path for file in folder.list("page")] == names
    folder.delete(names)
    assert list(folder.list("page")) == []


@pytest.mark.parametrize(
    "fault",
    [
        InjectedFault.SLOW_DOWN,
        InjectedFault.INTERNAL,
        InjectedFault.RESET,
        InjectedFault.LOST_RESPONSE,
        InjectedFault.TRUNCATED,
    ],
    ids=lambda fault: fault.name,
)
def test_a_fault_that_passes_is_not_noticed(folder: Folder, bucket: Bucket, fault: InjectedFault):
    bucket.proxy.reset(lambda request: fault if request.number == 1 else None)
    assert folder.create("claim", b"mine")
    folder.write("file", b"x" * 100_000)
    assert folder.read("file") == b"x" * 100_000
    assert [file.path for file in folder.list("")] == ["claim", "file"]
    folder.delete(["claim", "file"])
    bucket.proxy.reset()
    assert list(folder.list("")) == []


@pytest.mark.parametrize(
    "fault", [InjectedFault.SLOW_DOWN, InjectedFault.INTERNAL, InjectedFault.RESET], ids=lambda fault: fault.name
)
def test_a_fault_that_lasts_is_an_error_that_names_the_object(folder: Folder, bucket: Bucket, fault: InjectedFault):
    folder.write("file", b"x")
    bucket.proxy.reset(lambda request: fault)
    for use in (lambda: folder.read("file"), lambda: folder.write("file", b"y"), lambda: list(folder.list(""))):
        with pytest.raises(OSError, match=folder.root) as raised:
            use()
        assert not isinstance(raised.value, (FileNotFoundError, PermissionError))


@pytest.mark.parametrize("fault", [InjectedFault.DENIED, InjectedFault.EXPIRED], ids=lambda fault: fault.name)
def test_refused_credentials_are_told_apart(folder: Folder, bucket: Bucket, fault: InjectedFault):
    bucket.proxy.reset(lambda request: fault)
    for use in (lambda: folder.read("file"), lambda: folder.write("file", b"y"), lambda: list(folder.list(""))):
        with pytest.raises(PermissionError, match="refused"):
            use()


def test_a_folder_travels_without_its_client(folder: Folder):
    folder.write("file", b"x")
    assert pickle.loads(pickle.dumps(folder)) == folder
    assert len(pickle.dumps(folder)) < 500


def test_large_files_go_in_one_request(folder: Folder, bucket: Bucket):
    bucket.proxy.reset()
    folder.write("large", bytes(12_000_000))
    assert [request.kind for request in bucket.proxy.seen] == ["put"]
