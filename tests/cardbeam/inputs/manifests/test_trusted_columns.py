"""A trusted Parquet manifest gives the same requests by columns as row by row."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.config.settings import InputSettings
from cardbeam.inputs.listing import list_requests
from cardbeam.inputs.manifests import trusted_columns
from cardbeam.inputs.manifests.trusted_columns import list_in_windows
from cardbeam.model.request import ImageRef, Request, source_ids
from cardbeam.storage.open_uri import SourceError

URIS = st.sampled_from(
    ["s3://b/a b.jpg", "s3://b/c.jpg", "gs://b/d", "S3://b/e", "/nowhere/f.jpg", "file:///nowhere/g"]
)
ROWS = st.lists(st.tuples(URIS, st.integers(0, 9), st.sampled_from(["x", '"y"', "W/z"])), min_size=1, max_size=6)


def written(path: Path, rows: list[tuple[str, int, str]]) -> str:
    uris, sizes, etags = zip(*rows, strict=True)
    pq.write_table(pa.table({"uri": uris, "size": sizes, "etag": etags}), path)
    return str(path)


def listed(source: str, settings: InputSettings) -> list[Request]:
    """The requests of all windows."""
    found: list[Request] = []
    for one in list_in_windows(source, settings):
        found += [one] if isinstance(one, Request) else [Request("ekyc/card", (ImageRef(*image),)) for image in one]
    return found


@given(ROWS, st.integers(1, 3))
def test_columns_are_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str]], size: int
) -> None:
    """Whatever URIs and etags there are, and whichever window they are in."""
    source = written(tmp_path_factory.mktemp("in") / "list.parquet", rows)
    settings = InputSettings((source,), trust_manifest=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trusted_columns, "_BATCH_ROWS", size)
        assert listed(source, settings) == list(list_requests(source, settings))


@pytest.mark.parametrize("content", [b"", b"PAR1"])
def test_what_is_wrong_is_said(content: bytes, tmp_path: Path) -> None:
    """As it is for any manifest."""
    source = tmp_path / "list.parquet"
    source.write_bytes(content)
    with pytest.raises(SourceError, match="cannot be read as a manifest"):
        listed(str(source), InputSettings((str(source),), trust_manifest=True))


@given(st.lists(st.tuples(st.text(min_size=1, max_size=9), st.integers(0, 2**40), st.text(max_size=9)), max_size=4))
def test_source_ids_are_those_of_requests(images: list[tuple[str, int, str]]) -> None:
    """The short way gives the ids of the long one."""
    assert source_ids("ekyc/card", images) == [Request("ekyc/card", (ImageRef(*one),)).source_id for one in images]
