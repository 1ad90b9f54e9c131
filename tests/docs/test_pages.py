"""Pages are short, their lines fit, and their links lead to files and headings that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, SHELLS, blocks

LINKING = (*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "benchmarks" / "results").glob("*.md")))
LONGER = {"data-dictionary.md"}
LANGUAGES = {*SHELLS, "json", "mermaid", "python", "sql", "text", "toml", "ini"}
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_page_fits(page: Path) -> None:
    """Lines to 100 columns; pages to 150 lines, but the data dictionary."""
    lines = page.read_text().splitlines()
    assert [line for line in lines if len(line) > 100] == []
    assert len(lines) <= 150 or page.name in LONGER


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_blocks_say_what_they_are(page: Path) -> None:
    """So that commands are found: no block without a language, and none by indentation."""
    assert {language for language, _, _ in blocks(page)} <= LANGUAGES
    assert re.findall(r"^    \./run\.sh.*", page.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize("page", LINKING, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = []
    for path, anchor in _LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor[1:] not in _anchors(target)):
            missing.append(path + anchor)
    assert missing == []


def _anchors(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_overview_names_each_page() -> None:
    named = set(_LINK.findall((ROOT / "docs" / "index.md").read_text()))
    assert {path for path, _ in named} >= {page.name for page in DOCS if page.name != "index.md"}
