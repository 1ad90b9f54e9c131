"""Text for a terminal without what would command it: names of files and values of tables are anybody's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from cardbeam.storage.uris import redact

CONTROLS = "".join(map(chr, (*range(0x01, 0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F))))
"""Control characters but line feed and tab, and those that turn the direction of what follows."""
SYMBOLS = "".join(chr(0x2400 + ord(letter)) if letter < " " else "\ufffd" for letter in CONTROLS)
"""What is shown for each: its Unicode picture, where there is one."""
_TABLE = str.maketrans(CONTROLS, SYMBOLS)


def plain(text: str) -> str:
    """A text without control characters."""
    return text.translate(_TABLE)


class PlainStream:
    """A stream of text that writes no control character; all else is the stream's."""

    def __init__(self, stream: TextIO, clean: Callable[[str], str] = plain) -> None:
        self.unfiltered, self._clean = stream, clean

    def write(self, text: str) -> int:
        """Write the text without control characters."""
        self.unfiltered.write(self._clean(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


@contextmanager
def plain_streams() -> Iterator[None]:
    """Standard output and error write no control character until the block ends, and standard error, where messages
    and logs of all libraries go, no query of a web URI."""
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, PlainStream(sys.stdout))
    sys.stderr = cast(TextIO, PlainStream(sys.stderr, lambda text: redact(plain(text))))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def unfiltered(stream: TextIO) -> TextIO:
    """The stream behind a filtered one, for what moves the cursor itself."""
    return stream.unfiltered if isinstance(stream, PlainStream) else stream
