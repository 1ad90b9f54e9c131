"""Content-Encoding: what is encoded as it says is decoded up to a bound, anything else is refused."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.http.content_encoding import WrongEncoding, decode

MOST = 1 << 20


def raw_deflate(content: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(content) + encoder.flush()


ENCODERS = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "X-Gzip": gzip.compress,
    "deflate": zlib.compress,
    " deflate ": raw_deflate,
    "identity, gzip": gzip.compress,
    "utf-8": bytes,
    "gzip, aws-chunked": gzip.compress,
    "deflate, gzip": lambda content: gzip.compress(zlib.compress(content)),
}


@pytest.mark.parametrize("encoding", ENCODERS)
@given(content=st.binary(max_size=2000))
def test_what_was_encoded_comes_back(encoding: str, content: bytes) -> None:
    """Each coding, and several over each other, give what was encoded."""
    assert decode(ENCODERS[encoding](content), encoding, MOST) == content


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.integers(0, 9))
def test_streams_behind_each_other_are_one(parts: list[bytes], zeros: int) -> None:
    """gzip may be written in several streams, with zeros behind the last."""
    assert decode(b"".join(map(gzip.compress, parts)) + bytes(zeros), "gzip", MOST) == b"".join(parts)


@given(st.binary(min_size=1, max_size=500), st.integers(0))
def test_what_is_cut_off_is_refused(content: bytes, place: int) -> None:
    """A stream that ends early is wrong, not short."""
    encoded = gzip.compress(content)
    with pytest.raises(WrongEncoding):
        decode(encoded[: place % len(encoded)], "gzip", MOST)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b'{"errorCode":"0"}', "gzip"),
        (b'{"errorCode":"0"}', "deflate"),
        (b"", "gzip"),
        (gzip.compress(b"x", mtime=0) + b"garbage", "gzip"),
        (b"x", "br"),
        (b"x", "zstd"),
        (gzip.compress(b"x", mtime=0), "gzip, br"),
        (b"x", "gzip, gzip, gzip, gzip, gzip, gzip"),
    ],
)
def test_what_is_encoded_otherwise_is_refused(body: bytes, encoding: str) -> None:
    """A false header, garbage behind a stream, a coding that nobody asked for."""
    with pytest.raises(WrongEncoding):
        decode(body, encoding, MOST)


def test_a_bomb_is_decoded_up_to_the_bound() -> None:
    """A kilobyte that holds a megabyte gives as much as was asked for, through each of its layers."""
    once = gzip.compress(bytes(1 << 20))
    assert [decode(once, "gzip", 1000), decode(gzip.compress(once), "gzip, gzip", 2000)] == [bytes(1000), bytes(2000)]
