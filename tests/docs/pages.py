"""The pages of the project, and the commands in their blocks."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = (
    ROOT / "README.md",
    ROOT / "endpoint" / "README.md",
    *DOCS,
    *(ROOT / f"{name}.md" for name in ("CONTRIBUTING",)),
)
NEEDS_CLUSTER = 'title="needs-cluster"'
SHELLS = ("sh", "bash")
_BLOCK = re.compile(r"^```(?P<language>[^\s`]*)(?P<tags>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page, as a shell reads it."""

    page: str
    words: tuple[str, ...]
    environment: tuple[str, ...]
    needs_cluster: bool

    @property
    def program(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def options(self) -> list[str]:
        return [word.partition("=")[0] for word in self.words[1:] if word.startswith("--") and word != "--"]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"[:120]


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, tags and text of each fenced block."""
    return [(found["language"], found["tags"], found["text"]) for found in _BLOCK.finditer(page.read_text())]


def commands() -> list[Command]:
    """Every command of every shell block of every page."""
    found = []
    for page in PAGES:
        for language, tags, text in blocks(page):
            if language in SHELLS:
                found += [_command(page, tags, line) for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return found


def _command(page: Path, tags: str, line: str) -> Command:
    words = shlex.split(line, comments=True)
    if ">" in words:
        words = words[: words.index(">")]
    assigned = 0
    while assigned < len(words) and _ASSIGNMENT.match(words[assigned]):
        assigned += 1
    return Command(str(page.relative_to(ROOT)), tuple(words[assigned:]), tuple(words[:assigned]), NEEDS_CLUSTER in tags)
