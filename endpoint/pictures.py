"""Bytes -> sheets: what was sent, decoded within a bound of memory, as upright RGB pixels."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium  # type: ignore[import-untyped]  # ships no types
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]
"""RGB (height, width, 3) or grey (height, width), 0 to 255."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MAX_WHOLE_PX = 24_000_000
"""Largest picture decoded whole; JPEG alone can be decoded at a fraction of its size."""
MAX_WORKING_PX = 6_000_000
"""Largest sheet worked on: a card half its width still has the pixels the text pass uses."""
MAX_PAGES = 20
PDF_DPI = 200


class NotAPicture(ValueError):
    """The bytes are no readable picture or PDF (the contract's errorCode 3); the message never holds content."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One picture, or one page of a PDF, to find cards on.

    `pixels` are RGB and upright as the picture's own orientation tag says. `scale` turns
    their coordinates into pixels of the picture sent; of a page, into pixels at 200 dpi.
    """

    pixels: Pixels
    scale: float


def open_sheets(picture: bytes) -> Iterator[Sheet]:
    """Picture or PDF -> sheets, one at a time, so that a long PDF never stands in memory whole.

    Raises NotAPicture for bytes that are neither, are broken or locked, or pass the bounds above.
    """
    if picture[:1024].lstrip().startswith(b"%PDF-"):
        yield from _pages(picture)
    else:
        yield _sheet(picture)


def _sheet(picture: bytes) -> Sheet:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bounds here are stricter
            with Image.open(io.BytesIO(picture), formats=FORMATS) as opened:
                return _decoded(opened)
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, Image.DecompressionBombError) as error:
        # Pillow's own messages can quote the bytes; only the class of the failure is let through.
        raise NotAPicture(f"not a readable picture ({type(error).__name__})") from None


def _decoded(opened: Image.Image) -> Sheet:
    sent_px = opened.width * opened.height
    shrink = min(1.0, (MAX_WORKING_PX / sent_px) ** 0.5)
    size = (max(1, round(opened.width * shrink)), max(1, round(opened.height * shrink)))
    scale = opened.width / size[0]
    opened.draft("RGB", size)
    if opened.width * opened.height > MAX_WHOLE_PX:
        raise NotAPicture("more pixels than can be decoded")
    if (opened.width, opened.height) != size:
        reduced = _eight_bit(opened).resize(size, Image.Resampling.BOX)
    else:
        reduced = _eight_bit(opened)
    upright = ImageOps.exif_transpose(reduced)
    return Sheet(np.asarray(upright), scale)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Any mode -> RGB: 16-bit greys are scaled, not cut off; what is transparent becomes white."""
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        levels = np.asarray(image, dtype=np.float32)
        top = max(255.0, float(levels.max()))
        return _keeping_exif(Image.fromarray((levels * (255.0 / top)).clip(0, 255).astype(np.uint8)), image)
    if "A" in image.getbands() or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return _keeping_exif(Image.alpha_composite(white, image.convert("RGBA")), image)
    return image.convert("RGB")


def _keeping_exif(made: Image.Image, source: Image.Image) -> Image.Image:
    rgb = made.convert("RGB")
    if exif := source.info.get("exif"):
        rgb.info["exif"] = exif
    return rgb


def _pages(document: bytes) -> Iterator[Sheet]:
    try:
        opened = pdfium.PdfDocument(document)
    except pdfium.PdfiumError:
        raise NotAPicture("not a readable PDF") from None
    with opened:
        if len(opened) > MAX_PAGES:
            raise NotAPicture(f"a PDF of more than {MAX_PAGES} pages")
        for index in range(len(opened)):
            yield _page(opened, index)


def _page(document: pdfium.PdfDocument, index: int) -> Sheet:
    try:
        page = document[index]
        width, height = page.get_size()
        dots = PDF_DPI / 72
        shrink = min(1.0, (MAX_WORKING_PX / max(1.0, width * height * dots * dots)) ** 0.5)
        pixels = page.render(scale=dots * shrink).to_pil().convert("RGB")
        page.close()
    except (pdfium.PdfiumError, ValueError, OSError):
        raise NotAPicture(f"page {index + 1} of the PDF is not readable") from None
    return Sheet(np.asarray(pixels), 1 / shrink)
