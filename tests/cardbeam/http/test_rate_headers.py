"""A quota that is used up holds for as long as the endpoint says; anything else holds nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.http.rate_headers import MAX_HOLD_S, hold_s

NOW_S = 1_764_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit": '"default";r=0;t=30'}, 30.0),
        ({"ratelimit": '"day";r=5;t=900, "second"; r=0; t=2'}, 2.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW_S + 12)}, 12.0),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "7"}, 7.0),
        ({"ratelimit-remaining": "0, 0;w=60", "ratelimit-reset": "3"}, 3.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "86400"}, MAX_HOLD_S),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "30"}, None),
        ({"ratelimit-remaining": "0"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "0"}, None),
        ({"ratelimit-remaining": "nan", "ratelimit-reset": "soon"}, None),
        ({"ratelimit": "100;w=60"}, None),
        ({}, None),
    ],
)
def test_each_form_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert hold_s(headers, NOW_S) == seconds


@given(st.dictionaries(st.sampled_from(["ratelimit", "ratelimit-remaining", "ratelimit-reset"]), st.text()))
def test_any_text_is_taken(headers: dict[str, str]) -> None:
    found = hold_s(headers, NOW_S)
    assert found is None or 0 < found <= MAX_HOLD_S
