"""A bucket's folders are listed beside each other, and their objects come in the order of keys, each once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardbeam.storage.object_store import connect, list_objects
from cardbeam.storage.parallel_listing import list_in_parallel
from tests import bucket_listing
from tests.bucket_listing import BucketListing

_STEPS = st.text("ab-0%ẻ ", min_size=1, max_size=2)
KEYS = st.sets(st.lists(_STEPS, min_size=1, max_size=3).map("/".join), max_size=40)


@contextmanager
def bucket(keys: list[str], page_s: float = 0.0) -> Iterator[BucketListing]:
    with BucketListing(keys, page_s) as served, pytest.MonkeyPatch.context() as patch:
        for name, value in (("AWS_ENDPOINT_URL", served.url), ("AWS_REGION", "us-east-1")):
            patch.setenv(name, value)
        patch.setenv("AWS_SKIP_SIGNATURE", "true")
        connect.cache_clear()
        try:
            yield served
        finally:
            connect.cache_clear()


@settings(max_examples=30)
@given(KEYS, st.integers(1, 3), st.none() | _STEPS, st.sampled_from(["s3://b", "s3://b/a"]))
def test_a_parallel_listing_is_a_listing(keys: set[str], page: int, after: str | None, uri: str) -> None:
    """Whatever folders and keys there are, from whichever key on."""
    with bucket(sorted(keys)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket_listing, "PAGE", page)
        patch.setattr("cardbeam.storage.object_store._LISTING_BATCH", page)
        assert list(list_in_parallel(uri, after)) == list(list_objects(uri, after))


def test_twenty_folders_take_the_time_of_some_pages() -> None:
    """Of 20,000 objects in 20 folders, where each page takes a while; the first ones alone take one page."""
    keys = [f"in/{folder:02}/{number:06}.jpg" for folder in range(20) for number in range(1000)]
    with bucket(keys, page_s=0.05) as served:
        began_s = time.monotonic()
        assert [one.uri for one in list_objects("s3://b/in")] == [f"s3://b/{key}" for key in keys]
        one_by_one_s = time.monotonic() - began_s
        began_s = time.monotonic()
        assert [one.uri for one in list_in_parallel("s3://b/in")] == [f"s3://b/{key}" for key in keys]
        assert time.monotonic() - began_s < one_by_one_s
        before = served.pages
        assert len(list(islice(list_in_parallel("s3://b/in"), 1))) == 1
        assert served.pages == before + 1
