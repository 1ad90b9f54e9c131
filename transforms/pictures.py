"""Picture bytes -> what they are, looked at before anything is paid for them.

Bytes are never changed. A full decode costs five times the rest of a call, so only a
picture whose end looks cut off is decoded to be sure.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from schemas.outcomes import OUTCOMES, Outcome

# Pillow warns of bombs, which are bounded here, and of damaged EXIF; once for all, as threads share the filters
warnings.filterwarnings("ignore", module=r"PIL\.")

Image.preinit()  # else the first picture loads the usual formats, and all threads wait for it

MAX_PICTURE_BYTES = 64 * 1024 * 1024
MAX_PICTURE_PIXELS = 100_000_000
"""Eight times what phones take by default, almost three A4 pages at 600 dpi; a decompression bomb is beyond it. What a
phone's 108 or 200 megapixels give is refused, too: a dead letter of code `too_large`."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000")
"""What cameras and scanners make. Pillow opens forty more, some by running other programs on them."""

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, ArithmeticError, struct.error)
"""What Pillow raises of a damaged file: while it looks for the format it catches some of it, while it reads none."""

_CONTENT_TYPES = {"MPO": "image/jpeg"}
"""Phones write JPEGs with a second picture behind the first; whoever takes JPEGs takes them."""

PDF_CONTENT_TYPE = "application/pdf"
_PDF_START_BYTES = 1024  # readers look for %PDF- in the first 1024 bytes (ISO 32000-1, note in 7.5.2)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the bytes found: the content type, or the outcome that refuses them."""

    content_type: str | None
    refused: Outcome | None = None


def _refuse(code: str) -> Look:
    return Look(None, OUTCOMES[code])


def look_at(content: bytes) -> Look:
    """Picture bytes -> Look: is it a picture or PDF, is it whole, is it of a size that can be sent."""
    if len(content) > MAX_PICTURE_BYTES:
        return _refuse("too_large")
    if b"%PDF-" in content[:_PDF_START_BYTES]:
        return _look_at_pdf(content)
    try:
        return _look_at_image(content)
    except Image.DecompressionBombError:
        return _refuse("too_large")
    except _DAMAGED:
        return _refuse("unreadable_image")


def _look_at_pdf(content: bytes) -> Look:
    is_whole = b"startxref" in content or b"%%EOF" in content
    return Look(PDF_CONTENT_TYPE) if is_whole else _refuse("unreadable_image")


def _look_at_image(content: bytes) -> Look:
    with Image.open(BytesIO(content), formats=_FORMATS) as image:
        if image.width * image.height > MAX_PICTURE_PIXELS:
            return _refuse("too_large")
        content_type = _CONTENT_TYPES.get(image.format or "", image.get_format_mimetype() or "")
        if not _ends_whole(content, image.format or ""):
            image.load()  # raises OSError where data is missing
    return Look(content_type)


def _ends_whole(content: bytes, image_format: str) -> bool:
    """Whether the end mark is there; False sends the picture to a full decode."""
    if image_format in ("JPEG", "MPO"):
        start_of_scan = _jpeg_start_of_scan(content)
        return start_of_scan is not None and content.rfind(b"\xff\xd9") > start_of_scan
    if image_format == "PNG":
        return b"IEND" in content[-64:]
    return False


def _jpeg_start_of_scan(content: bytes) -> int | None:
    """Offset of the first scan: an end mark before it belongs to an embedded thumbnail."""
    offset = 2
    while offset + 4 <= len(content) and content[offset] == 0xFF:
        marker = content[offset + 1]
        if marker == 0xDA:
            return offset
        if marker == 0xFF:  # fill byte
            offset += 1
            continue
        offset += 2 + int.from_bytes(content[offset + 2 : offset + 4], "big")
    return None
