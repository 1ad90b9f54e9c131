"""Hold every view to plain Python over many random histories; the ones of which a view differs are named.

python -m tests.pipeline.catalog.view_histories --histories=1000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.pipeline.catalog.test_view_truth import check_history


def main(arguments: Sequence[str]) -> int:
    """Check histories one after the other; 1 where a view differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.pipeline.catalog.view_histories", description=main.__doc__)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="Where to begin.")
    asked = parser.parse_args(list(arguments))
    differ: list[int] = []
    for done, seed in enumerate(range(asked.first, asked.first + asked.histories), start=1):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                check_history(seed, Path(scratch))
            except AssertionError:
                differ.append(seed)
                traceback.print_exc()
        if done % 10 == 0 or done == asked.histories:
            print(f"{done:,} histories, {len(differ)} with a difference: {differ[:20]}", flush=True)
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
