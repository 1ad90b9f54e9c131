"""A store that refuses one image is told from one that refuses all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cardbeam.calls.access_check import AccessCheck


class Store:
    """Objects of some buckets, of which some may be read."""

    def __init__(self, *uris: str) -> None:
        self.uris, self.refused, self.can_list = list(uris), set[str](), True
        self.access = AccessCheck(self._probe, self._list)

    def _probe(self, uri: str) -> None:
        if uri in self.refused:
            raise PermissionError(uri)
        if uri not in self.uris:
            raise FileNotFoundError(uri)

    def _list(self, folder: str) -> Iterator[str]:
        if not self.can_list:
            raise PermissionError(folder)
        return (uri for uri in self.uris if uri.startswith(folder))

    def read(self, uri: str) -> bool:
        """As a run reads an image; whether it takes its access for lost."""
        if uri in self.refused:
            return self.access.credentials_revoked(uri)
        self.access.record(uri)
        return False


HERE = [f"s3://here/{number}.jpg" for number in range(5)]
THERE = [f"s3://there/{number}.jpg" for number in range(5)]


@pytest.mark.parametrize("can_list", [True, False])
def test_one_image_that_is_refused_is_its_own_matter(can_list: bool) -> None:
    """First of all, or after others were read; also where its folder cannot be listed."""
    store = Store(*HERE)
    store.refused, store.can_list = {HERE[0]}, can_list
    assert [store.read(uri) for uri in (HERE[0], HERE[1], HERE[0])] == [False] * 3


def test_a_bucket_that_is_refused_as_a_whole_is_no_matter_of_the_others() -> None:
    """Images of another bucket are read with the same credentials: those of this one are refused each by itself."""
    store = Store(*HERE, *THERE)
    store.refused = set(THERE)
    assert [store.read(uri) for uri in (HERE[0], *THERE)] == [False] * 6


def test_credentials_that_run_out_are_lost_at_once() -> None:
    """What could be read before is refused now."""
    store = Store(*HERE)
    assert [store.read(uri) for uri in HERE[:2]] == [False, False]
    store.refused = set(HERE)
    assert store.read(HERE[2])


def test_an_image_that_was_read_and_is_gone_tells_nothing() -> None:
    """Its neighbours are asked instead."""
    store = Store(*HERE)
    store.read(HERE[0])
    store.uris.remove(HERE[0])
    store.refused = {HERE[1]}
    assert not store.read(HERE[1])


def test_a_store_that_refuses_all_from_the_beginning_is_lost() -> None:
    """The first image and its neighbours are enough; where no folder can be listed, three different images."""
    store = Store(*HERE)
    store.refused = set(HERE)
    assert store.read(HERE[0])
    store = Store(*HERE)
    store.refused, store.can_list = set(HERE), False
    assert [store.read(uri) for uri in (HERE[0], HERE[0], HERE[1], HERE[2])] == [False, False, False, True]
