"""Responses of one document type, as bytes in Arrow -> the columns of their documents, all at once.

Arrow's JSON reader takes hundreds of responses together by a schema made from the same field tables as the
documents' own. It is the quick way for responses in the usual form; `schemas.response` and `schemas.value_converters`
are the exact one, and what they would do with a value that is unusual is never tried here: the responses are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import repeat

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from schemas.contract import SUCCESS
from schemas.document_tables import no_extras
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from schemas.response import LONG_RESPONSE_BYTES, MAX_DOCUMENTS
from schemas.value_converters import BOX_TYPE, COLUMNS_OF_KIND, read_days, read_truth, read_values

_BEFORE, _BEHIND = b'{"response":', b"}\n"
VALIDITY_FIELDS = (("valid", "valid"), ("invalidCode", "invalid_code"), ("invalidMessage", "invalid_message"))
"""What an answer says of a document beside its fields: the contract's name and the column's."""

_WIRE_TYPES: dict[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.DATE: pa.string(),
    Kind.CONFIDENCE: pa.float64(),  # not float32: a double rounded is what the exact way gives
    Kind.BOX: pa.list_(pa.float64()),  # floats are taken, and hold any int32
    Kind.IMAGE: pa.string(),
}


class NeedsSlowPath(ValueError):
    """At least one response needs the exact way."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Documents of one type, in the order of their responses."""

    responses: npt.NDArray[np.int64]
    """Which of the responses each stands in, from 0."""
    indexes: npt.NDArray[np.int32]
    """The place of each in its response, from 0."""
    columns: dict[str, pa.Array]


def read_documents(bodies: pa.ChunkedArray, document_type: str) -> Documents:
    """Every document of successful responses, each of which holds at least one and none of another type.

    Raises:
        Unusual: a response is anything else, has a key that the contract does not name, or a value in a form that its
            column does not take as it is.
        KeyError: the contract has no such type.
    """
    responses = _read_json(bodies, document_type)
    data = responses.field("data")
    _expect(_all_equal(responses.field("errorCode"), SUCCESS))
    counts = pc.fill_null(pc.list_value_length(data), 0).to_numpy()
    _expect(bool(counts.all()) and bool((counts <= MAX_DOCUMENTS).all()))
    documents = data.flatten()
    infos = documents.field("info")
    _expect(documents.null_count == infos.null_count == 0 and _all_equal(documents.field("type"), document_type))
    columns = {name: documents.field(wire_name) for wire_name, name in VALIDITY_FIELDS}
    columns["valid"] = _truths(columns["valid"])
    for spec in DOCUMENTS[document_type]:
        arrays = _COLUMNS_OF[spec.kind](infos.field(spec.name))
        for (suffix, _), array in zip(COLUMNS_OF_KIND[spec.kind], arrays, strict=True):
            columns[spec.name + suffix] = array
    columns["extra"] = no_extras(len(documents))
    starts = np.cumsum(counts) - counts
    indexes = np.arange(len(documents)) - np.repeat(starts, counts)
    return Documents(np.repeat(np.arange(len(bodies)), counts), indexes.astype(np.int32), columns)


def _expect(is_usual: bool) -> None:
    if not is_usual:
        raise NeedsSlowPath


def _read_json(bodies: pa.ChunkedArray, document_type: str) -> pa.StructArray:
    """One row for each response.

    Each is put into an object of its own, so that no two can be read as one or one as two: after a response that is cut
    off, the next brace is no JSON. So there are at least as many rows as responses, and no more only if each is one.
    """
    _expect(pc.all(pc.less_equal(pc.binary_length(bodies), LONG_RESPONSE_BYTES)).as_py() is not False)
    objects = pc.binary_join_element_wise(_BEFORE, bodies, _BEHIND, b"").combine_chunks()
    _expect(objects.null_count == 0)
    _, offsets, lines = objects.buffers()
    schema = _wire_schema(document_type)
    try:
        # the reader itself takes texts that are no UTF-8
        pa.StringArray.from_buffers(len(objects), offsets, lines).validate(full=True)
        rows = pj.read_json(
            pa.BufferReader(lines),
            read_options=pj.ReadOptions(use_threads=False, block_size=lines.size + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except pa.ArrowInvalid as error:
        raise NeedsSlowPath from error
    responses = rows["response"].combine_chunks()
    _expect(len(responses) == len(bodies) and responses.null_count == 0)
    return responses


@cache
def _wire_schema(document_type: str) -> pa.Schema:
    info = pa.struct([(spec.name, _WIRE_TYPES[spec.kind]) for spec in DOCUMENTS[document_type]])
    texts = zip(["type", *(name for name, _ in VALIDITY_FIELDS)], repeat(pa.string()), strict=False)
    document = pa.struct([("info", info), *texts])
    envelope = [("data", pa.list_(document)), ("errorCode", pa.string()), ("errorMessage", pa.string())]
    return pa.schema([("response", pa.struct(envelope))])


def _all_equal(texts: pa.Array, text: str) -> bool:
    return texts.null_count == 0 and pc.all(pc.equal(texts, text)).as_py() is not False


def _truths(texts: pa.Array) -> pa.Array:
    coded = texts.dictionary_encode()
    given = coded.dictionary.to_pylist()
    truths = [read_truth(text) for text in given]
    _expect(all(truth is not None or text == "" for text, truth in zip(given, truths, strict=True)))
    return pa.array(truths, pa.bool_()).take(coded.indices)


def _texts(texts: pa.Array) -> tuple[pa.Array, ...]:
    return (texts,)


def _dates(texts: pa.Array) -> tuple[pa.Array, ...]:
    return read_days(texts), texts


def _confidences(numbers: pa.Array) -> tuple[pa.Array, ...]:
    with np.errstate(over="ignore"):
        floats = numbers.to_numpy(zero_copy_only=False).astype(np.float32)
    is_null = np.asarray(numbers.is_null())
    # -0 is a whole number to some parsers, and so has no sign
    _expect(bool((is_null | (np.isfinite(floats) & ~np.signbit(floats))).all()))
    return (pa.array(floats, pa.float32(), mask=is_null),)


def _boxes(lists: pa.Array) -> tuple[pa.Array, ...]:
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    is_null = counts == 0
    numbers = lists.flatten()
    _expect(bool((is_null | (counts == 4)).all()) and numbers.null_count == 0)
    pixels = np.rint(numbers.to_numpy()).reshape(-1, 4)
    _expect(bool((np.abs(pixels) < 2**31).all()))
    corners = np.zeros((len(lists), 4), np.int32)
    corners[~is_null] = pixels
    sides = [pa.array(np.ascontiguousarray(corners[:, side])) for side in range(4)]
    return (pa.StructArray.from_arrays(sides, fields=list(BOX_TYPE), mask=pa.array(is_null)),)


def _images(texts: pa.Array) -> tuple[pa.Array, ...]:
    if pc.all(pc.equal(texts, "")).as_py() is not False:
        return (pa.nulls(len(texts), pa.binary()),)
    cells = read_values(Kind.IMAGE, texts.to_pylist())
    _expect(not cells.invalid_rows)
    return cells.arrays


_COLUMNS_OF: dict[Kind, Callable[[pa.Array], tuple[pa.Array, ...]]] = {
    Kind.TEXT: _texts,
    Kind.DATE: _dates,
    Kind.CONFIDENCE: _confidences,
    Kind.BOX: _boxes,
    Kind.IMAGE: _images,
}
