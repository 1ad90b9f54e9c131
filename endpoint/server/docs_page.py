"""The contract's calls as one page of plain HTML: it loads nothing, from nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    "body{font:16px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}td,th{text-align:left;padding:.2em 1em}"
)


def docs_page(openapi: Mapping[str, Any]) -> str:
    """An OpenAPI description -> its calls with their parameters, as HTML."""
    title = escape(openapi["info"]["title"])
    description = escape(openapi["info"].get("description", ""))
    calls = "".join(_calls(openapi["paths"]))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>{description}</p>"
        f'<p>Responses and fields are described in <a href="/openapi.json">/openapi.json</a>.</p>{calls}</html>'
    )


def _calls(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, call in methods.items():
            rows = "".join(map(_row, call.get("parameters", [])))
            bodies = ", ".join(call.get("requestBody", {}).get("content", {}))
            yield f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(call.get('summary', ''))}</p>"
            yield f"<p>Body: {escape(bodies)}</p>" if bodies else ""
            yield f"<table><tr><th>parameter<th>values<th>what</tr>{rows}</table>" if rows else ""


def _row(parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    values = ", ".join(schema.get("enum", [])) or schema.get("format", schema["type"])
    cells = (parameter["name"], values, parameter.get("description", ""))
    return f"<tr>{''.join(f'<td>{escape(cell)}' for cell in cells)}</tr>"
