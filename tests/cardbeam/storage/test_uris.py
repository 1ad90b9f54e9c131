"""Where a URI is shown, what may open the image is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.storage.uris import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host/a/b.jpg?X-Amz-Signature=SECRET&x=/y", "https://host/a/b.jpg?…"),
        ("HTTPS://user:SECRET@host:8443/a.jpg", "HTTPS://host:8443/a.jpg"),
        ("http://host?SECRET", "http://host?…"),
        ("http://host/m.csv#SECRET", "http://host/m.csv?…"),
        ("--input http://u@h/m?SECRET cannot be read: 'https://x/?SECRET', twice", "--input http://h/m?… cannot be "
         "read: 'https://x/?…', twice"),
        ("s3://bucket/a?b#c.jpg", "s3://bucket/a?b#c.jpg"),
        ("/a?b#c@d.jpg", "/a?b#c@d.jpg"),
        ("https://host/a@b.jpg", "https://host/a@b.jpg"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_web_uri_loses_user_query_and_fragment(text: str, shown: str) -> None:
    """Wherever it stands in a text; every other URI is shown as it is."""
    assert redact(text) == shown


@given(st.text(max_size=30), st.text("aZ09-_.~%=&/:@!$()*+,;", min_size=1, max_size=30), st.text(max_size=30))
def test_no_query_is_left(before: str, query: str, after: str) -> None:
    """Whatever stands around it, and a text that is redacted is not changed again."""
    shown = redact(f"{before} https://host/p?PLANT{query} {after}")
    assert ("PLANT" in shown, redact(shown)) == ("PLANT" in before + after, shown)
