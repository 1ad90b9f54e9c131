"""Parquet manifest whose sizes and etags are trusted -> its images by columns, a few thousand rows at a time.

For who asks of millions of images which are new: no object is made for a row that is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cardbeam.config.settings import InputSettings
from cardbeam.inputs.listing import list_requests, unless_empty
from cardbeam.model.request import Request
from cardbeam.storage.open_uri import CANNOT_OPEN, open_source
from schemas.contract import OPERATIONS

_COLUMNS = ["uri", "size", "etag"]
_BATCH_ROWS = 8192
_PLAIN_URI, _LOCAL = "^[a-z][a-z0-9+.-]+://.", "file:"
_QUOTED = '["\\s]|^W/'
"""URIs and etags that are taken as they are; any others go the long way."""

Images = list[tuple[str, int, str]]


def list_in_windows(source: str, settings: InputSettings) -> Iterator[Images | Request]:
    """The requests of an input: those of one image, without labels, in windows of URI, size and version where a
    manifest tells all of these; any other, and all behind it, one by one.

    Raises:
        SourceError: the input cannot be listed or read, or holds nothing.
    """
    taken = 0
    if settings.trust_manifest and source.lower().endswith(".parquet") and _is_of_one_side(settings):
        with suppress(*CANNOT_OPEN, pa.ArrowException), open_source(source) as file:  # the long way says what is wrong
            opened = pq.ParquetFile(file)
            for window in _windows(file, opened.metadata, opened.schema_arrow.names):
                yield window
                taken += len(window)
            if taken == opened.metadata.num_rows > 0:
                return
    rest = islice(list_requests(source, settings), taken, None)
    yield from rest if taken else unless_empty(source, rest, settings)


def _is_of_one_side(settings: InputSettings) -> bool:
    return len(OPERATIONS[settings.operation].image_params) == 1


def _windows(file: IO[bytes], metadata: pq.FileMetaData, names: list[str]) -> Iterator[Images]:
    """Rows from the first on, as long as all of a window are plain."""
    if sorted(names) != sorted(_COLUMNS):
        return
    for number in range(metadata.num_row_groups):
        group = pq.ParquetFile(file, metadata=metadata)  # one for all groups keeps what it has read of each
        for batch in group.iter_batches(_BATCH_ROWS, row_groups=[number], columns=_COLUMNS, use_threads=False):
            if not _is_plain(batch):
                return
            yield list(zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True))


def _is_plain(batch: pa.RecordBatch) -> bool:
    uris, sizes, etags = (batch.column(name) for name in _COLUMNS)
    is_typed = pa.types.is_string(uris.type) and pa.types.is_integer(sizes.type) and pa.types.is_string(etags.type)
    if not is_typed or uris.null_count or sizes.null_count or etags.null_count:
        return False
    are_uris = pc.and_not(pc.match_substring_regex(uris, _PLAIN_URI), pc.starts_with(uris, _LOCAL))
    are_etags = pc.and_not(pc.greater(pc.binary_length(etags), 0), pc.match_substring_regex(etags, _QUOTED))
    return bool(pc.all(pc.and_(are_uris, are_etags)).as_py())
