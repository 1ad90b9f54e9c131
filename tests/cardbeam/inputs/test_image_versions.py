"""An image that changes is known by the version that was read; one that changes under the reading by none."""

from __future__ import annotations

import os
from pathlib import Path

from cardbeam.inputs.image_source import describe, read_image
from cardbeam.model.request import ImageRef
from cardbeam.storage.filesystems.protocol import ImageContent
from tests.servers import Answer, CardServer


def test_on_a_disk(tmp_path: Path) -> None:
    path = tmp_path / "one.jpg"
    path.write_bytes(b"first")
    assert read_image(str(path)) == ImageContent(b"first", describe(str(path)))
    path.write_bytes(b"second")
    os.utime(path, ns=(1, 1))
    assert read_image(str(path)) == ImageContent(b"second", ImageRef(str(path), 6, "1"))


def test_behind_a_url() -> None:
    headers = {"Last-Modified": "Sun, 01 Nov 2026 10:00:00 GMT"}
    with CardServer(lambda got: Answer(b"first", headers=headers)) as server:
        expected = ImageRef(f"{server.url}/one.jpg", 5, headers["Last-Modified"])
        assert read_image(expected.uri) == ImageContent(b"first", expected)
        server.answer = lambda got: Answer(b"second")
        assert read_image(expected.uri) == ImageContent(b"second", ImageRef(expected.uri, 6))
