"""Requests come out of a shuffle as they went in, each once, in the group of its key."""

from __future__ import annotations

from collections import Counter

from apache_beam import coders
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.model.grouping import GROUPS, group_of
from cardbeam.model.request import ImageRef, Request
from cardbeam.model.request_codec import Packer, pack, unpack

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
IMAGES = st.builds(ImageRef, TEXTS, st.none() | st.integers(0, 2**53), st.none() | TEXTS)
LABELS = st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple)
REQUESTS = st.builds(Request, TEXTS, st.lists(IMAGES, max_size=2).map(tuple), LABELS, st.booleans(), TEXTS)


@given(st.lists(REQUESTS))
def test_what_is_packed_comes_out_as_it_was(requests: list[Request]) -> None:
    """In its order, whatever stands in URIs, versions and labels."""
    assert list(unpack(pack(requests))) == requests


@given(st.lists(REQUESTS, max_size=5), st.integers(1, 200))
def test_each_request_is_in_one_pack_of_its_group(requests: list[Request], repeats: int) -> None:
    """Full packs come at once, the others at the end, and then none is left."""
    packer = Packer()
    asked = [(group_of(request.operation), request) for request in requests for _ in range(repeats)]
    given_out = [one for group, request in asked for one in packer.add(group, request)] + list(packer.rest())
    assert Counter((group, request) for group, packed in given_out for request in unpack(packed)) == Counter(asked)
    assert all(int(group) < GROUPS for group, _ in given_out)
    assert list(packer.rest()) == []


def test_a_request_is_few_bytes_in_a_pack() -> None:
    """A pack goes as plain bytes; neighbours cost less than a tenth of what one does as an object."""
    requests = [
        Request("ekyc/card", (ImageRef(f"s3://photos/11/{n:07}.jpg", 219_000, f"{n:032x}"),)) for n in range(32)
    ]
    alone = coders.registry.get_coder(Request).encode(requests[0])
    packed = coders.registry.get_coder(bytes).encode(pack(requests))
    assert len(packed) / len(requests) < len(alone) / 10
