"""Sets up a process before it works: the memory pool, warnings, image formats. Importing a module sets up nothing."""

from __future__ import annotations

import warnings

import pyarrow as pa
from PIL import Image


def configure_process() -> None:
    """Set up this process; again changes nothing. Called by `main` and by each DoFn's `setup`."""
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps 30 MB more of what was freed, for no CPU
    # Pillow warns of bombs, which are bounded in image_check, and of damaged EXIF; for all threads, which share the
    # filters
    warnings.filterwarnings("ignore", module=r"PIL\.")
    Image.preinit()  # else the first image loads the usual formats, and all threads wait for it
