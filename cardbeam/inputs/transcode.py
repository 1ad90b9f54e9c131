"""Sends an image of a format that the endpoint does not take as a JPEG: HEIC, AVIF, WEBP, TIFF and the like.

One image at a time in a process: a phone's holds up to 300 MB while it is decoded. The JPEG is upright and has no EXIF.
"""

from __future__ import annotations

import importlib
import importlib.util
import struct
import threading
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cardbeam.inputs.image_check import MAX_IMAGE_PIXELS

JPEG = "image/jpeg"
TAKEN = frozenset({JPEG, "image/png", "application/pdf"})
"""Content types that are sent as they are."""
_FORMATS = ("AVIF", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000")
_QUALITY = 95
_DECODER = "pi_heif"
"""libheif without the encoders under the GPL; the extra `heic`."""
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError)
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Transcoded:
    """A JPEG, and its size: boxes of the response are in its pixels."""

    content: bytes
    width_px: int
    height_px: int


def can_read_heic() -> bool:
    """Whether the decoder of HEIC is installed."""
    return importlib.util.find_spec(_DECODER) is not None


def as_jpeg(content: bytes) -> Transcoded | None:
    """The first image of a file as a JPEG; None where it is damaged, too large or of no such format."""
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF
        try:
            with _opened(content) as image:
                if image.width * image.height > MAX_IMAGE_PIXELS:
                    return None
                upright = ImageOps.exif_transpose(image)
                return _saved(_flat(upright))
        except (*_DAMAGED, struct.error, Image.DecompressionBombError):
            return None


def _opened(content: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(content), formats=_FORMATS)
    except UnidentifiedImageError:
        return _opened_heic(content)


def _opened_heic(content: bytes) -> Image.Image:
    """Decoded upright, as libheif gives it."""
    if not can_read_heic():
        raise ValueError
    heif: Any = importlib.import_module(_DECODER).open_heif(content, convert_hdr_to_8bit=True)
    if heif.size[0] * heif.size[1] > MAX_IMAGE_PIXELS:
        raise ValueError
    return Image.frombuffer(heif.mode, heif.size, heif.data, "raw", heif.mode, heif.stride)


def _flat(image: Image.Image) -> Image.Image:
    """In RGB, what is transparent as white; a deep grey keeps its brightest."""
    if image.mode.startswith(("I", "F")):
        levels = np.nan_to_num(np.asarray(image, dtype=np.float32))
        levels *= np.float32(255.0 / max(255.0, float(levels.max())))
        return Image.fromarray(levels.clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _saved(image: Image.Image) -> Transcoded:
    out = BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return Transcoded(out.getvalue(), image.width, image.height)
