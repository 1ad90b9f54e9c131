"""Response bytes -> Response: the contract's envelope, read as liberally as it is written.

Accepted: codes as strings or numbers; `data` as a list, as one object, as one object of
parallel lists (the API document's own shape), empty or null; `info` as an object or a
list of one; any key the contract does not name. Memory is bounded whatever the bytes are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from schemas.contract import SUCCESS

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""What is read of a response: twenty pages with a card each, aligned at 300 dpi and without loss, base64 and all."""
MAX_DOCUMENTS = 1000
"""In one response: fifty cards on each of twenty pages."""
LONG_RESPONSE_BYTES = 1024 * 1024
MAX_VALUES = 250_000
"""In a response that is longer than that; a document has some 150. As objects they take many times their bytes."""

_ENVELOPE = frozenset({"data", "errorCode", "errorMessage"})
_DOCUMENT = frozenset({"info", "type", "valid", "invalidCode", "invalidMessage"})


class BadResponse(ValueError):
    """Bytes that are not the contract's JSON. The message never holds any of them."""


_NOTHING: Mapping[str, object] = MappingProxyType({})


class Document(NamedTuple):
    """One document of an answer, its values as they came. A tuple: there are millions in a run."""

    type: str | None
    info: Mapping[str, object] | None
    valid: object = None
    invalid_code: object = None
    invalid_message: object = None
    undocumented: Mapping[str, object] = _NOTHING


class Response(NamedTuple):
    """The contract's envelope."""

    error_code: str
    documents: tuple[Document, ...] = ()
    undocumented: Mapping[str, object] = _NOTHING

    @property
    def is_success(self) -> bool:
        """Whether the call was answered (errorCode 0)."""
        return self.error_code == SUCCESS


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # NaN and lone surrogates are no JSON, but Python servers write them
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadResponse("the response is not JSON") from None


def parse_response(body: bytes) -> Response:
    """Read the body of an HTTP 200.

    Raises:
        BadReply: it is not JSON, not an object, has no errorCode, or more in it than a response may hold.
    """
    if len(body) > LONG_RESPONSE_BYTES:
        _bound(body)
    envelope = _json(body)
    if not isinstance(envelope, dict):
        raise BadResponse("the response is JSON, but not an object")
    code = envelope.get("errorCode")
    if isinstance(code, bool) or not isinstance(code, (str, int)) or not str(code).strip():
        raise BadResponse("the response has no errorCode")
    undocumented = _others(envelope, _ENVELOPE)
    if (code := str(code).strip()) != SUCCESS:
        return Response(code, undocumented=undocumented)
    documents = tuple(_documents(envelope.get("data")))
    _bound_repeated(undocumented, len(documents))
    return Response(code, documents, undocumented)


def _bound(body: bytes) -> None:
    """Refuse a long response before it becomes objects: each value in it begins behind one of these, or behind a
    name."""
    if len(body) > MAX_RESPONSE_BYTES:
        raise BadResponse("the response is too long")
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise BadResponse("the response holds too many values")


def _bound_repeated(values: Mapping[str, object], documents: int) -> None:
    """Refuse values that every document gets if they are long: a thousand documents make a thousand of them."""
    if documents < 2 or not values:
        return
    try:
        size = len(json.dumps(dict(values)))
    except RecursionError:
        size = MAX_RESPONSE_BYTES
    if size * documents > MAX_RESPONSE_BYTES:
        raise BadResponse("the response says too much of all its documents")


def _others(found: dict[str, Any], documented: frozenset[str]) -> Mapping[str, object]:
    """Keys outside the contract: none, nearly always."""
    if found.keys() <= documented:
        return _NOTHING
    return {key: value for key, value in found.items() if key not in documented}


def _documents(data: object) -> list[Document]:
    if data is None or data == "":
        return []
    if isinstance(data, dict):
        data = _columns_to_rows(data)
    if not isinstance(data, list):
        raise BadResponse("the response's data is neither a list nor an object")
    if len(data) > MAX_DOCUMENTS:
        raise BadResponse("the response holds too many documents")
    return [_document(item) for item in data]


def _columns_to_rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    """One object, or one object of parallel lists, as a list of objects."""
    infos = data.get("info")
    if not isinstance(infos, list):
        return [data]
    if len(infos) > MAX_DOCUMENTS:
        raise BadResponse("the response holds too many documents")

    def is_parallel(value: Any) -> bool:
        return isinstance(value, list) and len(value) == len(infos)

    def cell(value: Any, row: int) -> Any:
        return value[row] if is_parallel(value) else value

    _bound_repeated({key: value for key, value in data.items() if not is_parallel(value)}, len(infos))

    return [{key: cell(value, row) for key, value in data.items()} for row in range(len(infos))]


def _document(item: object) -> Document:
    if not isinstance(item, dict):
        return Document(None, None)
    info, document_type = item.get("info"), item.get("type")
    if isinstance(info, list) and len(info) == 1:
        info = info[0]
    return Document(
        document_type if isinstance(document_type, str) else None,
        info if isinstance(info, dict) else None,
        item.get("valid"),
        item.get("invalidCode"),
        item.get("invalidMessage"),
        _others(item, _DOCUMENT),
    )
