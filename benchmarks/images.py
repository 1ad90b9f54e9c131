"""Images to send: JPEGs of about one size, no two alike. They are checked on the way, so they are real."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random

from PIL import Image

_SPREAD = 0.02
_COMMENT_BYTES = 60_000


def write_images(folder: Path, count: int, size_bytes: int) -> None:
    """Fill a folder with `count` JPEGs of about `size_bytes`, by comments of random bytes in one small image."""
    folder.mkdir(parents=True, exist_ok=True)
    random = Random(size_bytes)
    out = io.BytesIO()
    Image.effect_noise((64, 40), 60).save(out, "JPEG")
    start, rest = out.getvalue()[:2], out.getvalue()[2:]
    for number in range(count):
        left = round(size_bytes * random.uniform(1 - _SPREAD, 1 + _SPREAD)) - len(out.getvalue())
        parts = [start]
        while left > 0:
            length = min(left, _COMMENT_BYTES)
            parts.append(b"\xff\xfe" + (length + 2).to_bytes(2, "big") + random.randbytes(length))
            left -= length + 4
        folder.joinpath(f"{number:06d}.jpg").write_bytes(b"".join([*parts, rest]))
