"""`python -m specimens --output=DIR` draws the bundled cards."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from specimens.bundle import draw_bundle
from specimens.drawing.fonts import FontMissing


def main(argv: Sequence[str] | None = None) -> int:
    """Draw; exit status 0, or 2 where a font is missing."""
    parser = argparse.ArgumentParser(prog="python -m specimens", description="Draw the bundled specimen cards.")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder to draw into; files of the same name are replaced"
    )
    options = parser.parse_args(argv)
    try:
        names = draw_bundle(options.output)
    except FontMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    print(f"{len(names)} files and their truth in {options.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
