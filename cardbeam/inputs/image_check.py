"""Image bytes -> what they are, checked before anything is paid for them.

Bytes are never changed. A full decode costs five times the rest of a call, so only a
image whose end looks cut off is decoded to be sure. A PDF is opened by PDFium, no page of it is drawn.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from dataclasses import dataclass, replace
from io import BytesIO

import pypdfium2.raw as pdfium
from PIL import Image

from schemas.outcomes import OUTCOMES, Outcome, Stage

MAX_IMAGE_BYTES = 64 * 1024 * 1024
MAX_IMAGE_PIXELS = 100_000_000
"""Eight times what phones take by default, almost three A4 pages at 600 dpi; a decompression bomb is beyond it. What a
phone's 108 or 200 megapixels give is refused, too: a dead letter of code `too_large`."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000")
"""What cameras and scanners make. Pillow opens forty more, some by running other programs on them."""

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, ArithmeticError, struct.error)
"""What Pillow raises of a damaged file: while it looks for the format it catches some of it, while it reads none."""

_CONTENT_TYPES = {"MPO": "image/jpeg"}
"""Phones write JPEGs with a second image behind the first; whoever takes JPEGs takes them."""

PDF_CONTENT_TYPE = "application/pdf"
_PDF_MARK = b"%PDF-"
_PDF_START_BYTES = 1024  # readers look for %PDF- in the first 1024 bytes (ISO 32000-1, note in 7.5.2)
_pdfium = threading.Lock()
"""PDFium is not thread-safe."""

_ISO_MEDIA_BRANDS = frozenset(
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"avif", b"avis"]
)
"""Brands of HEIC and AVIF (ISO/IEC 23008-12, annex B; AV1 Image File Format, 6): images that the contract does not
take, so their senders are told to convert them, not to take them again."""
_FILLER = bytes(range(1, 251)) * 64
"""Scan data of no meaning, without a marker in it."""
_END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a check of the bytes found: the content type, or the outcome that refuses them."""

    content_type: str | None
    refused: Outcome | None = None


def _refuse(code: str) -> ImageInfo:
    return ImageInfo(None, OUTCOMES[code])


def check_image(content: bytes) -> ImageInfo:
    """Image bytes -> Look: is it an image or PDF, is it whole, is it of a size that can be sent."""
    if len(content) > MAX_IMAGE_BYTES:
        return _refuse("too_large")
    if content.startswith(_PDF_MARK):
        return _check_pdf(content)
    try:
        return _check_raster(content)
    except Image.DecompressionBombError:
        return _refuse("too_large")
    except _DAMAGED:
        return _check_other(content)


def _check_other(content: bytes) -> ImageInfo:
    """What is no image: a PDF that begins late, an image of a kind that is not sent, or neither."""
    if _PDF_MARK in content[:_PDF_START_BYTES]:
        return _check_pdf(content)
    if content[4:8] == b"ftyp" and content[8:12] in _ISO_MEDIA_BRANDS:
        return ImageInfo(None, replace(OUTCOMES["unsupported_format"], stage=Stage.READ))
    return _refuse("unreadable_image")


def _check_pdf(content: bytes) -> ImageInfo:
    """Whether it opens without a password and has a page; PDFium makes good a table of contents that is missing."""
    with _pdfium:
        pdfium.FPDF_InitLibrary()
        document = pdfium.FPDF_LoadMemDocument64(content, len(content), None)
        if not document:
            is_locked = pdfium.FPDF_GetLastError() == pdfium.FPDF_ERR_PASSWORD
            return _refuse("password_protected" if is_locked else "unreadable_image")
        pages = pdfium.FPDF_GetPageCount(document)
        pdfium.FPDF_CloseDocument(document)
    return ImageInfo(PDF_CONTENT_TYPE) if pages else _refuse("unreadable_image")


def _check_raster(content: bytes) -> ImageInfo:
    with Image.open(BytesIO(content), formats=_FORMATS) as image:
        if image.width * image.height > MAX_IMAGE_PIXELS:
            return _refuse("too_large")
        content_type = _CONTENT_TYPES.get(image.format or "", image.get_format_mimetype() or "")
        if _ends_whole(content, image.format or ""):
            return ImageInfo(content_type)
        if image.format not in ("JPEG", "MPO") or _jpeg_start_of_scan(content) is None:
            image.load()  # raises OSError where data is missing
            return ImageInfo(content_type)
    return ImageInfo(content_type) if _has_all_pixels(content) else _refuse("unreadable_image")


def _has_all_pixels(content: bytes) -> bool:
    """Whether a JPEG without its end mark lacks nothing else: data put behind its end then changes no pixel."""
    whole, filled = (_pixels(content + filler + _END_OF_JPEG) for filler in (b"", _FILLER))
    return whole == filled


def _pixels(jpeg: bytes) -> bytes:
    with Image.open(BytesIO(jpeg), formats=("JPEG",)) as image:
        return hashlib.sha256(image.tobytes()).digest()


def _ends_whole(content: bytes, image_format: str) -> bool:
    """Whether the end mark is there; False sends the image to a full decode."""
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
