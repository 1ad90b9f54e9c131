"""Base64 is taken in every form that clients send, and nothing else is taken for base64."""

from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoint.transfer import Refused, decode


@given(st.binary(max_size=500), st.sampled_from(["", "data:image/jpeg;base64,", "data:;base64,", "data:,"]))
def test_bytes_come_back_from_every_form(picture: bytes, prefix: str) -> None:
    forms = [
        base64.b64encode(picture),
        base64.encodebytes(picture),
        binascii.b2a_base64(picture).replace(b"\n", b"\r\n"),
    ]
    assert [decode(prefix + form.decode()) for form in forms] == [picture] * 3


@given(st.one_of(st.text(), st.integers(), st.lists(st.text()), st.booleans(), st.dictionaries(st.text(), st.text())))
def test_anything_else_is_code_3_or_nothing(value: object) -> None:
    try:
        picture = decode(value)
    except Refused as refused:
        assert refused.error_code == "3"
    else:
        assert picture == base64.b64decode("".join(str(value).partition(",")[2] or str(value)))


@pytest.mark.parametrize("value", [None, "", "\n", "data:image/png;base64,"])
def test_nothing_is_empty(value: object) -> None:
    assert decode(value) == b""
