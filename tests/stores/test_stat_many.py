"""A manifest's images are known by a listing where it names many of them, by a look at each where it does not."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from cardbeam.config.settings import InputSettings
from cardbeam.inputs.image_source import list_images
from cardbeam.inputs.listing import list_requests
from cardbeam.model.request import ImageRef
from cardbeam.storage.folder import open_folder
from tests.stores.conftest import Bucket
from tests.stores.marks import on_s3
from tests.stores.proxy import InjectedFault

pytestmark = pytest.mark.slow

MANY = 1300


@pytest.fixture
def listed(bucket: Bucket) -> list[ImageRef]:
    """Many images in a few folders, as their glob lists them."""
    root = f"{bucket.uri}/{uuid4().hex}"
    folder = open_folder(root)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: folder.write(f"{n % 3}/thẻ {n:05}.jpg", b"x" * (n % 7)), range(MANY)))
    found = list(list_images(f"{root}/**/*.jpg"))
    assert len(found) == MANY
    bucket.proxy.reset()
    return found


def _read(images: list[ImageRef], folder: Path) -> list[ImageRef]:
    manifest = folder / "list.txt"
    manifest.write_text("\n".join(image.uri for image in images))
    requests = list_requests(str(manifest), InputSettings((str(manifest),)))
    return [image for request in requests for image in request.images]


def test_dense(listed: list[ImageRef], bucket: Bucket, tmp_path: Path) -> None:
    """Neighbours take a listing and no look but at what is gone; in the manifest's order, whatever that is."""
    gone = ImageRef(listed[0].uri.replace("00000", "gone"))
    asked = [*reversed(listed), gone, listed[0]]
    assert _read(asked, tmp_path) == asked
    kinds = Counter(request.kind for request in bucket.proxy.seen)
    assert kinds["head"] == (MANY + 2 if bucket.scheme == "az" else 1)


@on_s3
def test_sparse(listed: list[ImageRef], bucket: Bucket, tmp_path: Path) -> None:
    """A few among many are checked one by one, after a page that named too few at the most."""
    few = listed[::6]
    assert _read(few, tmp_path) == few
    kinds = Counter(request.kind for request in bucket.proxy.seen)
    assert kinds["list"] <= 3
    assert kinds["head"] > len(few) // 5


@on_s3
def test_no_right_to_list(listed: list[ImageRef], bucket: Bucket, tmp_path: Path) -> None:
    """Where the bucket may not be listed, its images are checked."""
    bucket.proxy.reset(lambda request: InjectedFault.DENIED if request.kind == "list" else None)
    assert _read(listed, tmp_path) == listed
