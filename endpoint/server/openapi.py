"""The contract's tables -> its OpenAPI description: parameters and bodies of each call, and the response of each
type."""

from __future__ import annotations

import functools
import operator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model

from schemas.contract import ERROR_CODES, WARNING_CODES, Operation
from schemas.documents import DOCUMENTS
from schemas.fields import Kind

_TITLES = {
    "ekyc/cards": "Both sides of a card: read and judged",
    "ekyc/card": "An image or PDF of any card: read and, where it shows one card, judged",
    "ocr/card": "An image of one or more cards: read",
}
_WIRE_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str,
    Kind.DATE: str,
    Kind.CONFIDENCE: float,
    Kind.BOX: list[int],
    Kind.IMAGE: str,
}
_JUDGED: dict[str, Any] = {
    "valid": (Literal["True", "False"] | None, Field(None, description="left out where the card was not judged")),
    "invalidCode": (Literal[tuple(WARNING_CODES)] | None, None),
    "invalidMessage": (str | None, None),
}
_HTTP_ERRORS: dict[int | str, dict[str, Any]] = {
    408: {"description": "The body took too long"},
    413: {"description": "The body is larger than this endpoint takes"},
    503: {
        "description": "Too many images are waiting",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}},
    },
    504: {"description": "The image took the reader too long"},
}


def _document_model(document_type: str) -> type[BaseModel]:
    columns: dict[str, Any] = {
        field.name: (_WIRE_TYPES[field.kind] | None, Field(description=field.doc)) for field in DOCUMENTS[document_type]
    }
    info = create_model(f"{document_type}_info", **columns)
    tag: Any = Literal[document_type]
    return create_model(document_type, type=(tag, ...), info=(info, ...), **_JUDGED)


_AnyDocument: Any = functools.reduce(operator.or_, map(_document_model, DOCUMENTS))

_RESPONSE: dict[str, Any] = {
    "data": (list[Annotated[_AnyDocument, Field(discriminator="type")]], ...),
    "errorCode": (Literal[tuple(ERROR_CODES)], Field(description="; ".join(map(": ".join, ERROR_CODES.items())))),
    "errorMessage": (str, ...),
}
Response: type[BaseModel] = create_model("Response", **_RESPONSE)
"""The envelope of every answer, as a model: it describes responses, and tests check real ones with it."""


def described(operation: Operation, method: str) -> dict[str, Any]:
    """Keyword arguments that describe one call to `APIRouter.add_api_route`."""
    return {
        "summary": _TITLES[operation.path],
        "response_model": Response,
        "responses": _HTTP_ERRORS,
        "openapi_extra": _by_url(operation) if method == "GET" else _by_body(operation),
    }


def _by_url(operation: Operation) -> dict[str, Any]:
    urls = [
        _parameter(name, {"type": "string", "format": "uri"}, f"http(s) URL of {_image(name)}")
        for name in operation.image_params
    ]
    return {"parameters": [*urls, *_common_parameters(["url"])]}


def _by_body(operation: Operation) -> dict[str, Any]:
    body = {
        "multipart/form-data": _body_schema(operation, {"type": "string", "format": "binary"}),
        "application/json": _body_schema(operation, {"type": "string", "contentEncoding": "base64"}),
    }
    return {
        "parameters": _common_parameters(["file", "base64"]),
        "requestBody": {"required": True, "content": body},
    }


def _body_schema(operation: Operation, kind: dict[str, str]) -> dict[str, Any]:
    properties = {name: {**kind, "description": _image(name)} for name in operation.image_params}
    return {"schema": {"type": "object", "properties": properties, "required": list(properties)}}


def _common_parameters(format_types: list[str]) -> list[dict[str, Any]]:
    return [
        _parameter("format_type", {"type": "string", "enum": format_types}, "How the image is sent"),
        _parameter(
            "get_thumb", {"type": "string", "enum": ["true", "false"]}, "Return the aligned card", required=False
        ),
    ]


def _parameter(name: str, schema: dict[str, Any], doc: str, required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": doc}


def _image(name: str) -> str:
    return {"img1": "one side", "img2": "the other side"}.get(name, "the image or PDF")
