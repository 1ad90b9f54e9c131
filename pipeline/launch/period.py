"""When the run of a watch is due to end: `--run_duration_h` after the first of the runs that followed each other by
kills.

A watch that is killed again and again begins a run with each launch. Counted from there, the end would never come, and
with it what only the end of a run does. So the beginning is kept in the output folder until a run ends in order.
"""

from __future__ import annotations

from contextlib import suppress

import orjson

from cardbeam.run_state.layout import RUNS
from cardbeam.storage.folder import Folder

PERIOD_FILE = f"{RUNS}/period.json"


def remaining_s(folder: Folder, hours: float, now_s: float) -> float:
    """How long the run that begins now may last. A period that is over, or to come, is begun again now.

    Raises:
        OSError: the output folder cannot be used.
    """
    whole_s = hours * 3600
    with suppress(FileNotFoundError, ValueError, TypeError, KeyError):  # there is none, or it is damaged
        left_s = float(orjson.loads(folder.read(PERIOD_FILE))["began_at_s"]) + whole_s - now_s
        if 0 < left_s <= whole_s:
            return left_s
    folder.write(PERIOD_FILE, orjson.dumps({"began_at_s": now_s}))
    return whole_s


def end_period(folder: Folder) -> None:
    """A run has ended in order: the next one begins a period of its own."""
    folder.delete([PERIOD_FILE])
