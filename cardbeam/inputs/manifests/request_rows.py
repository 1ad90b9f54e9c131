"""URIs and rows of another program -> Requests: what a manifest's line says, as a value."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cardbeam.inputs.manifests.manifest import ONE_SIDE, TWO_SIDES
from cardbeam.model.request import ImageRef, Request
from cardbeam.storage.open_uri import SourceError
from cardbeam.storage.uris import normal_uri
from schemas.contract import OPERATIONS

Row = Mapping[str, object]


def request_of(row: str | Row, operation: str) -> Request:
    """The request for a URI, or for a row with `uri`, or `front_uri` and `back_uri`; its other fields are labels.

    Raises:
        SourceError: the row names no image; the message names its fields, not their values.
    """
    if isinstance(row, str):
        row = {"uri": row}
    names = TWO_SIDES if len(OPERATIONS[operation].image_params) == 2 else ONE_SIDE
    uris = [value for name in names if isinstance(value := row.get(name), str) and value.strip()]
    if not uris:
        raise SourceError(f"a row of ReadCards names no image: expected {' and '.join(names)}, got {', '.join(row)}")
    labels = tuple((name, _label(value)) for name, value in row.items() if name not in names and value is not None)
    return Request(operation, tuple(ImageRef(normal_uri(uri)) for uri in uris), labels)


def _label(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
