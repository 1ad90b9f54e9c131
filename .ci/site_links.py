"""Links of pages to files of the repository that are not part of the site: shown as the path of the file.

A hook of mkdocs (`mkdocs.yml`). On GitHub the links work as they stand; tests/docs checks that their files exist.
"""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with such links replaced; called by mkdocs for each page."""
    return _OUTSIDE.sub(_as_path, markdown)


def _as_path(link: re.Match[str]) -> str:
    text, path = link.groups()
    return f"`{path}`" if text.strip("`") in path else f"{text} (`{path}`)"
