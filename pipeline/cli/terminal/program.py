"""The name under which the commands were called: run.sh of a checkout, or the installed program."""

from __future__ import annotations

import sys
from pathlib import Path

INSTALLED = "cardbeam"


def program() -> str:
    """As usage and messages name it."""
    return INSTALLED if Path(sys.argv[0]).stem == INSTALLED else "run.sh"
