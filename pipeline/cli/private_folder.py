"""Folders for temporary files: nobody else may look into them, and they go however the command ends."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from pipeline.cli.signals import cleaned_up


@contextmanager
def private_folder() -> Iterator[str]:
    """A folder that is there until the block ends, or a signal ends the process. Only SIGKILL leaves it behind."""
    path = tempfile.mkdtemp(prefix="cardbeam-")  # 0700
    with cleaned_up(partial(shutil.rmtree, path, ignore_errors=True)):
        yield path
