"""Images on a local disk and behind http: listed, described and read with the version of what was read."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from cardbeam.inputs.image_check import MAX_IMAGE_BYTES
from cardbeam.inputs.image_source import ImageError, describe, list_images, read_image
from cardbeam.model.request import ImageRef
from cardbeam.storage.filesystems.protocol import ImageContent
from cardbeam.storage.open_uri import SourceError, open_source
from cardbeam.storage.uris import local_path, normal_uri
from tests.servers import Answer, CardServer, InjectedFault


def seen(path: Path, uri: str | None = None) -> ImageRef:
    """A file as it must be described."""
    return ImageRef(uri or str(path), path.stat().st_size, str(path.stat().st_mtime_ns))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files in folders, each of its own size, with names that are hard to list."""
    names = ["a.jpg", "b.JPG", "thẻ căn cước.png", "note[1].jpg", "100%.jpg", "x#y.jpg", "in/c.jpg", "in/[2026]/d.jpg"]
    for number, name in enumerate(names):
        path = tmp_path / "cards" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * number)
    return tmp_path / "cards"


def listed(pattern: object) -> list[str]:
    return sorted(image.uri for image in list_images(str(pattern)))


def test_a_folder_is_listed_to_any_depth(folder: Path) -> None:
    """A folder gives every file below it with size and version, and no folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 8
    assert sorted(list_images(str(folder)), key=str) == sorted(map(seen, files), key=str)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jpg", ["100%.jpg", "a.jpg", "note[1].jpg", "x#y.jpg"]),
        ("**/*.jpg", ["100%.jpg", "a.jpg", "in/[2026]/d.jpg", "in/c.jpg", "note[1].jpg", "x#y.jpg"]),
        ("?.*", ["a.jpg", "b.JPG"]),
        ("[ab].*", ["a.jpg", "b.JPG"]),
        ("in/*/*", ["in/[2026]/d.jpg"]),
        ("a.jpg", ["a.jpg"]),
        ("note[1].jpg", ["note[1].jpg"]),
        ("in/[2026]", ["in/[2026]/d.jpg"]),
        ("*.gif", []),
        ("missing", []),
    ],
)
def test_globs(pattern: str, names: list[str], folder: Path) -> None:
    """Wildcards match as in a shell; a file or folder that is there under the very name is meant itself."""
    assert listed(folder / pattern) == [str(folder / name) for name in names]


def test_a_folder_of_any_name_is_listed(tmp_path: Path) -> None:
    """A folder whose name looks like a pattern is still a folder."""
    (tmp_path / "scans [2026]*").mkdir()
    (tmp_path / "scans [2026]*" / "a.jpg").write_bytes(b"")
    assert listed(tmp_path / "scans [2026]*") == [str(tmp_path / "scans [2026]*" / "a.jpg")]


def test_a_name_that_is_no_text_is_a_uri(tmp_path: Path) -> None:
    """A file whose name is not UTF-8 gets a file URI, which leads back to it and can stand in a table."""
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(b"image")
    (image,) = list_images(str(tmp_path))
    assert image.uri == f"{tmp_path.as_uri()}/caf%E9.jpg"
    assert (image.size_bytes, image.version) == (5, str(path.stat().st_mtime_ns))
    assert read_image(image.uri) == ImageContent(b"image", image)
    assert describe(image.uri) == image


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/a/b.jpg", "/a/b.jpg"),
        ("a/b.jpg", "a/b.jpg"),
        ("file:///a/b%20c%25.jpg", "/a/b c%.jpg"),
        ("file:///th%E1%BA%BB.jpg", "/thẻ.jpg"),
        ("s3://a/b.jpg", None),
        ("https://a/b.jpg", None),
        ("FILE:/a/b.jpg", "/a/b.jpg"),
        ("file:/a/b.jpg", "/a/b.jpg"),
        ("File://localhost/a/b.jpg", "/a/b.jpg"),
        ("S3://a/b.jpg", None),
        ("a:/b.jpg", "a:/b.jpg"),
        ("a b:/c.jpg", "a b:/c.jpg"),
    ],
)
def test_local_uris_are_paths(uri: str, path: str | None) -> None:
    """A path and a file URI in any spelling name a local file, any other scheme does not."""
    assert local_path(normal_uri(uri)) == (None if path is None else Path(path))


def test_a_file_uri_is_listed_and_read(folder: Path) -> None:
    """A file URI names the same files as its path."""
    assert listed((folder / "in").as_uri()) == listed(folder / "in")
    uri = (folder / "thẻ căn cước.png").as_uri()
    assert describe(uri) == seen(folder / "thẻ căn cước.png", uri)
    with open_source(uri) as file:
        assert file.read() == b"xx"


def test_what_is_not_there_has_no_version(folder: Path) -> None:
    """A missing file, a folder and a name beyond all bounds are described without a version, not as an error."""
    for uri in (str(folder / "missing.jpg"), str(folder), str(folder / ("n" * 5000)), "unknown://a/b.jpg"):
        assert describe(uri) == ImageRef(uri)
    for uri in ("file://[a/b.jpg", "https://[a/b.jpg"):  # no URIs: the bracket has no other
        assert describe(uri) == ImageRef(uri)
        with pytest.raises(ImageError):
            read_image(uri)


@pytest.mark.parametrize(("name", "code"), [("missing.jpg", "not_found"), ("in", "unreadable_source")])
def test_what_cannot_be_read_is_a_fault(name: str, code: str, folder: Path) -> None:
    """A missing file and a folder are each a fault of their own code."""
    with pytest.raises(ImageError) as raised:
        read_image(str(folder / name))
    assert raised.value.outcome.code == code


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Names that lead to what is no file: a pipe that nobody writes to, a link to it, a socket, devices."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.jpg"))
        named = {name: str(tmp_path / f"{name}.jpg") for name in ("pipe", "link", "socket")}
        yield {**named, "zero": "/dev/zero", "tty": "/dev/tty", "uri": f"file://{tmp_path}/pipe.jpg"}


def within_seconds(call: Callable[[], object]) -> Future[object]:
    """What a call gives or raises; one that waits for ever fails the test, and is left waiting."""
    ended: Future[object] = Future()

    def run() -> None:
        try:
            ended.set_result(call())
        except Exception as error:
            ended.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    wait([ended], timeout=20)
    assert ended.done(), "it waits"
    return ended


@pytest.mark.parametrize("name", ["pipe", "link", "socket", "zero", "tty", "uri"])
def test_what_is_no_regular_file_is_never_opened(name: str, odd: dict[str, str]) -> None:
    """A pipe, a socket and a device have no version, and to read them is a fault at once, as image or as manifest."""
    assert within_seconds(lambda: describe(odd[name])).result() == ImageRef(odd[name])
    fault = within_seconds(lambda: read_image(odd[name])).exception()
    assert isinstance(fault, ImageError)
    assert fault.outcome.code == "unreadable_source"
    refusal = within_seconds(lambda: open_source(odd[name])).exception()
    assert isinstance(refusal, OSError)
    assert "is not a regular file" in str(refusal)


@pytest.mark.parametrize("name", ["pipe", "zero"])
def test_a_file_that_another_thing_replaces_while_it_is_opened(
    name: str, odd: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was a file a moment ago and is a pipe or a device now is a fault, and nothing waits for it."""
    before = (folder / "a.jpg").stat()
    monkeypatch.setattr("cardbeam.storage.filesystems.local_files.os.stat", lambda name: before)
    assert isinstance(within_seconds(lambda: read_image(odd[name])).exception(), ImageError)
    assert isinstance(within_seconds(lambda: open_source(odd[name])).exception(), OSError)


def test_a_link_to_a_file_is_followed(folder: Path) -> None:
    """A symbolic link gives the bytes, size and version of what it leads to."""
    link = folder / "link.jpg"
    link.symlink_to(folder / "in" / "c.jpg")
    assert read_image(str(link)) == ImageContent(b"x" * 6, seen(folder / "in" / "c.jpg", str(link)))
    with open_source(str(link)) as file:
        assert file.read() == b"x" * 6


def test_a_pipe_in_a_folder_is_not_listed(folder: Path, odd: dict[str, str]) -> None:
    """A folder gives its files; a pipe, a socket and a link to nowhere beside them are none."""
    (folder / "nowhere.jpg").symlink_to(folder / "missing.jpg")
    (folder / "pipe.jpg").symlink_to(odd["pipe"])
    os.mkfifo(folder / "own.jpg")
    assert within_seconds(lambda: len(list(list_images(str(folder))))).result() == 8


@pytest.mark.parametrize("uri", ["unknown://a/b.jpg", "a\0b.jpg", "file:///a%00b.jpg"])
def test_what_no_library_opens_is_a_fault(uri: str) -> None:
    """A scheme that nobody knows and a name that cannot be are faults, and describing them is no error."""
    assert describe(uri) == ImageRef(uri)
    with pytest.raises(ImageError) as raised:
        read_image(uri)
    assert raised.value.outcome.code == "unreadable_source"


def test_an_unknown_scheme_cannot_be_listed() -> None:
    """A glob over a scheme that nobody knows is one clear error with the input."""
    with pytest.raises(SourceError, match=r"--input unknown://a/\*.jpg cannot be listed"):
        list(list_images("unknown://a/*.jpg"))


def test_an_image_beyond_the_bound_is_read_no_further(tmp_path: Path) -> None:
    """Of a file that is too large one byte more than the bound is read, enough to see it."""
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES * 4)
    assert len(read_image(str(tmp_path / "large.jpg")).content) == MAX_IMAGE_BYTES + 1


def test_nothing_is_decompressed(tmp_path: Path) -> None:
    """Bytes are as they are, also under a name that says they are packed."""
    (tmp_path / "a.jpg.gz").write_bytes(b"\x1f\x8b not gzip")
    assert read_image(str(tmp_path / "a.jpg.gz")).content == b"\x1f\x8b not gzip"


def test_an_image_behind_http_has_its_etag(jpeg: bytes) -> None:
    """An http URI is described and read with the server's etag as its version."""
    with CardServer(lambda got: Answer(jpeg, headers={"ETag": '"v1"'})) as server:
        uri = f"{server.url}/a.jpg?signature=x"
        image = ImageRef(uri, len(jpeg), '"v1"')
        assert read_image(uri) == ImageContent(jpeg, image)
        assert describe(uri) == image


def test_a_redirected_uri_is_described_by_what_it_leads_to(jpeg: bytes) -> None:
    """The version is that of the image; the URI stays the one that was asked for, whatever characters are in it."""
    there = Answer(jpeg, headers={"ETag": '"v1"'})
    moved = Answer(status=302, headers={"Location": "/new.jpg", "ETag": '"of the redirection"'})
    with CardServer(lambda got: there if got.path == "/new.jpg" else moved) as server:
        uri = f"{server.url}/thẻ cũ.jpg"
        assert describe(uri) == ImageRef(uri, len(jpeg), '"v1"')


@pytest.mark.parametrize("answer", [Answer(status=403), Answer(status=404), Answer(fault=InjectedFault.RESET)])
def test_what_a_look_cannot_see_has_no_version(answer: Answer) -> None:
    """A server that refuses a look, or gives no response, says nothing of the image."""
    with CardServer(lambda got: answer) as server:
        assert describe(f"{server.url}/a.jpg") == ImageRef(f"{server.url}/a.jpg")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(status=404), "not_found"),
        (Answer(status=410), "not_found"),
        (Answer(status=403), "unreadable_source"),
        (Answer(status=500), "unreadable_source"),
        (Answer(b"x" * 100, fault=InjectedFault.TRUNCATE), "unreadable_source"),
    ],
)
def test_what_a_server_refuses_is_a_fault(answer: Answer, code: str) -> None:
    """An image that is gone is not found; any other refusal and a body cut short are an unreadable source."""
    with CardServer(lambda got: answer) as server, pytest.raises(ImageError) as raised:
        read_image(f"{server.url}/a.jpg")
    assert raised.value.outcome.code == code
