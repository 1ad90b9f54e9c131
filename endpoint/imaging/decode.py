"""Bytes -> sheets: what was sent, decoded within a bound of memory, as upright RGB pixels."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pi_heif
import pypdfium2 as pdfium
from PIL import ExifTags, Image

from endpoint.answers import NotAnImage, is_pdf

Pixels = npt.NDArray[np.uint8]
"""RGB (height, width, 3) or grey (height, width), 0 to 255."""

Rows = Callable[[int, int], Image.Image]
"""Rows of a decoded image in RGB, from one to before another."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "AVIF")
JPEGS = ("JPEG", "MPO")
"""A phone's JPEG may have a second image behind the first, as a map of depth: Pillow calls it MPO."""
HEIC_BRANDS = frozenset(
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"]
)  # fmt: skip
"""ISO/IEC 23008-12, annex B. Files of AVIF may have the last two first; Pillow reads those."""
MAX_DECODED_BYTES = 50_000_000
"""Largest image decoded, as Pillow holds it: 12.5 megapixels in colour, 50 in grey."""
MAX_JPEG_BYTES = 40_000_000
"""The same for JPEGs, which are halved until they fit: above 10 megapixels a card half as wide still has its 1000."""
MAX_PROGRESSIVE_BYTES = 79_000_000
"""For one in progressive passes, with its coefficients, which are held at full size whatever is drawn of them."""
MAX_HELD_BYTES, MAX_HELD_PROGRESSIVE_BYTES = 70_000_000, 90_000_000
"""The same with the file as it was sent; what is progressive is smaller again when the sheet is made."""
ROOMY_BYTES = 40_000_000
"""Where a file and its decoded image take more together, room is made for them first."""
MAX_WORKING_PX = 4_000_000
"""Largest sheet worked on: a card half its width still has the pixels the text pass uses."""
BAND_PX = 16
"""So many rows at a time become RGB, so that no second whole image stands in memory."""
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_HELD_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Of a pixel, by Pillow's mode; 4 of all others."""
_DECODER_BYTES = {"JPEG2000": 20, "AVIF": 8, "HEIF": 5}
"""Of a pixel with what the format's decoder holds, measured on colour."""
_FILLER = bytes(range(1, 251)) * 64
"""Scan data of no meaning, without a marker in it."""
_END_OF_JPEG, _START_OF_SCAN = b"\xff\xd9", 0xDA
MAX_PAGES = 20
PDF_DPI = 200
_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 4: cv2.COLOR_RGBA2RGB}
"""By the channels of what pdfium draws, but for three."""


_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
)
"""What the decoders raise of a damaged file."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One image, or one page of a PDF, to find cards on.

    `pixels` are RGB and upright as the image's own orientation tag says. `scale` turns
    their coordinates into pixels of the image sent; of a page, into pixels at 200 dpi.
    """

    pixels: Pixels
    scale: float


def open_sheets(image: bytes, make_room: Callable[[], object] = lambda: None) -> Iterator[Sheet]:
    """Image or PDF -> sheets, one at a time, so that a long PDF never stands in memory whole.

    `make_room` is called before an image is decoded that takes more than ROOMY_BYTES.
    Raises NotAnImage for bytes that are neither, are broken or locked, or pass the bounds above.
    """
    if is_pdf(image):
        yield from _pages(image)
    else:
        yield _sheet(image, make_room)


def _sheet(image: bytes, make_room: Callable[[], object]) -> Sheet:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, where the bounds here are stricter, and of damaged EXIF
            if is_heic(image):
                return _heic(image, make_room)
            if image.startswith(b"\xff\xd8") and not _has_end(image):
                image = _with_end(image)
            with Image.open(io.BytesIO(image), formats=FORMATS) as opened:
                return _decoded(opened, image, make_room)
    except NotAnImage:
        raise
    except (*_DAMAGED, cv2.error, Image.DecompressionBombError) as error:
        # Pillow's own messages can quote the bytes; only the class of the failure is let through.
        raise NotAnImage(f"not a readable image ({type(error).__name__})") from None


def is_heic(image: bytes) -> bool:
    """Whether the bytes open as the image file of an iPhone does: ISO media of a brand of HEVC images."""
    return image[4:8] == b"ftyp" and image[8:12] in HEIC_BRANDS and b"avif" not in image[8:64]


def _heic(image: bytes, make_room: Callable[[], object]) -> Sheet:
    """The file's first image. libheif turns it upright, and says in its EXIF that nothing is left to turn."""
    opened = pi_heif.open_heif(image, convert_hdr_to_8bit=True)
    taken_bytes = opened.size[0] * opened.size[1] * _DECODER_BYTES["HEIF"]
    if taken_bytes + len(image) > MAX_HELD_BYTES:
        raise NotAnImage("more pixels than can be decoded")
    if taken_bytes + len(image) > ROOMY_BYTES:
        make_room()
    decoded = Image.frombuffer(opened.mode, opened.size, opened.data, "raw", opened.mode, opened.stride)

    def rows(first: int, last: int) -> Image.Image:
        return _eight_bit(decoded.crop((0, first, decoded.width, last)), 255.0)

    return _drawn(decoded, rows, decoded.width)


def _has_end(jpeg: bytes) -> bool:
    """Whether an end mark follows the first scan; one before it is of a thumbnail. No JPEG: True."""
    offset = 2
    while offset + 4 <= len(jpeg) and jpeg[offset] == 0xFF:
        if jpeg[offset + 1] == _START_OF_SCAN:
            return jpeg.rfind(_END_OF_JPEG) > offset
        offset += 1 if jpeg[offset + 1] == 0xFF else 2 + int.from_bytes(jpeg[offset + 2 : offset + 4], "big")
    return True


def _with_end(jpeg: bytes) -> bytes:
    """A JPEG with its end mark put back, where it lacks no more: what is put behind its data changes no pixel.

    It is decoded twice for that. Raises NotAnImage where something is missing.
    """
    if _checksum(jpeg + _END_OF_JPEG) != _checksum(jpeg + _FILLER + _END_OF_JPEG):
        raise NotAnImage("a JPEG that was cut off")
    return jpeg + _END_OF_JPEG


def _checksum(jpeg: bytes) -> int:
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as opened:
        _fit(opened, len(jpeg))
        opened.load()
        sums = 0
        for top in range(0, opened.height, BAND_PX):
            band = opened.crop((0, top, opened.width, min(top + BAND_PX, opened.height)))
            sums = zlib.crc32(band.tobytes(), sums)
        return sums


def _decoded(opened: Image.Image, image: bytes, make_room: Callable[[], object]) -> Sheet:
    sent_width = opened.width
    if len(image) + _fit(opened, len(image)) > ROOMY_BYTES:
        make_room()
    sheet = _drawn(opened, _rows_of(opened, image), sent_width)
    turn = opened.getexif().get(ExifTags.Base.Orientation, 1)  # not earlier: of a PNG it decodes the image
    return Sheet(_upright(sheet.pixels, turn), sheet.scale)


def _drawn(opened: Image.Image, rows: Rows, sent_width: int) -> Sheet:
    """The sheet at the size that is worked on, drawn band by band."""
    shrink = min(1.0, (MAX_WORKING_PX / (opened.width * opened.height)) ** 0.5)
    size = (max(1, round(opened.width * shrink)), max(1, round(opened.height * shrink)))
    pixels = np.empty((size[1], size[0], 3), dtype=np.uint8)
    for top in range(0, size[1], BAND_PX):
        bottom = min(top + BAND_PX, size[1])
        pixels[top:bottom] = _band(opened, rows, size, top, bottom)
    return Sheet(pixels, sent_width / size[0])


def _fit(opened: Image.Image, file_bytes: int) -> int:
    """Have a JPEG decoded at a half, a quarter or an eighth where all of it passes its bound; others are refused.

    Returns the bytes that decoding takes beside the file.
    """
    parts, max_bytes, whole_bytes = [1], min(MAX_DECODED_BYTES, MAX_HELD_BYTES - file_bytes), 0
    if opened.format in JPEGS and "progressive" in opened.info:
        # not an eighth: too little is left of one that needs it for its coefficients
        parts, whole_bytes = [1, 2, 4], _coefficient_bytes(opened)
        max_bytes = min(MAX_PROGRESSIVE_BYTES, MAX_HELD_PROGRESSIVE_BYTES - file_bytes)
    elif opened.format in JPEGS:
        parts, max_bytes = [1, 2, 4, 8], min(MAX_JPEG_BYTES, MAX_HELD_BYTES - file_bytes)
    elif opened.format == "JPEG2000":
        parts = [1, 2, 4, 8]
    for part in parts:
        taken_bytes = whole_bytes + _decoded_bytes(opened) // (part * part)
        if taken_bytes <= max_bytes:
            _draw_at(opened, part)
            return taken_bytes
    raise NotAnImage("more pixels than can be decoded")


def _draw_at(opened: Image.Image, part: int) -> None:
    if opened.format == "JPEG2000":
        opened.reduce = part.bit_length() - 1  # type: ignore[assignment,method-assign]  # a number until loaded
    else:
        opened.draft(None, (opened.width // part, opened.height // part))  # once: Pillow takes no second one


def _coefficient_bytes(opened: Image.Image) -> int:
    """What libjpeg holds of a JPEG in progressive passes beside its pixels: 2 bytes a coefficient."""
    # of Pillow's JpegImageFile: name, samples across and down, table
    channels: list[tuple[int, int, int, int]] = opened.layer  # type: ignore[attr-defined]
    whole = max(across for _, across, _, _ in channels) * max(down for _, _, down, _ in channels)
    return 2 * opened.width * opened.height * sum(across * down for _, across, down, _ in channels) // whole


def _decoded_bytes(opened: Image.Image) -> int:
    held = _DECODER_BYTES.get(opened.format or "", _HELD_BYTES.get(opened.mode, 4))
    if opened.format == "WEBP":
        held = 16 if _is_animated(opened) else 5  # with what their decoders hold
    return opened.width * opened.height * held


def _is_animated(opened: Image.Image) -> bool:
    return bool(getattr(opened, "is_animated", False))


def _rows_of(opened: Image.Image, image: bytes) -> Rows:
    """The image decoded. A still WebP by OpenCV: Pillow takes each for a film, at four times the memory."""
    if opened.format != "WEBP" or _is_animated(opened):
        opened.load()
        brightest = _brightest(opened) if opened.mode in _DEEP else 255.0
        return lambda first, last: _eight_bit(opened.crop((0, first, opened.width, last)), brightest)
    decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.ndim != 3:
        raise OSError
    order = cv2.COLOR_BGRA2RGBA if decoded.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return lambda first, last: _eight_bit(Image.fromarray(np.asarray(cv2.cvtColor(decoded[first:last], order))), 255.0)


def _brightest(opened: Image.Image) -> float:
    """Of a deep grey; Pillow's own getextrema does not know all of their byte orders."""
    tops = range(0, opened.height, BAND_PX)
    bands = (opened.crop((0, top, opened.width, min(top + BAND_PX, opened.height))) for top in tops)
    return float(max(np.nan_to_num(np.asarray(band, dtype=np.float32)).max() for band in bands))


def _band(opened: Image.Image, rows: Rows, size: tuple[int, int], top: int, bottom: int) -> Image.Image:
    """Rows `top` to `bottom` of the image at `size`, as if all of it were shrunk: a filter looks a row beyond."""
    step = opened.height / size[1]
    first, last = max(0, int(top * step) - 2), min(opened.height, int(bottom * step) + 3)
    box = (0, top * step - first, opened.width, min(bottom * step, opened.height) - first)
    return rows(first, last).resize((size[0], bottom - top), Image.Resampling.BOX, box=box)


def _eight_bit(part: Image.Image, brightest: float) -> Image.Image:
    """Any mode -> RGB: 16-bit greys are scaled to the image's brightest, not cut off; transparent becomes white."""
    if part.mode in _DEEP:
        levels = np.nan_to_num(np.asarray(part, dtype=np.float32)) * np.float32(255.0 / max(255.0, brightest))
        return Image.fromarray(levels.clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in part.getbands() or "transparency" in part.info:
        return Image.alpha_composite(Image.new("RGBA", part.size, "white"), part.convert("RGBA")).convert("RGB")
    return part.convert("RGB")


def _upright(pixels: Pixels, turn: int) -> Pixels:
    """The image as its orientation tag (EXIF 2.32, 4.6.5) says it is to be seen."""
    if turn in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    mirrored = {2: (0, -1), 3: (-1, -1), 4: (-1, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}.get(turn, ())
    return np.ascontiguousarray(np.flip(pixels, tuple(axis for axis, way in enumerate(mirrored) if way)))


def _pages(document: bytes) -> Iterator[Sheet]:
    try:
        opened = pdfium.PdfDocument(document)
    except pdfium.PdfiumError:
        raise NotAnImage("not a readable PDF") from None
    with opened:
        if len(opened) > MAX_PAGES:
            raise NotAnImage(f"a PDF of more than {MAX_PAGES} pages")
        for index in range(len(opened)):
            yield _page(opened, index)


def _page(document: pdfium.PdfDocument, index: int) -> Sheet:
    try:
        page = document[index]
        width, height = page.get_size()
        dots = PDF_DPI / 72
        shrink = min(1.0, (MAX_WORKING_PX / max(1.0, width * height * dots * dots)) ** 0.5)
        pixels = page.render(scale=dots * shrink, rev_byteorder=True).to_numpy()
        if pixels.shape[2] != 3:  # a page in colour is RGB as it is drawn: a copy would be 12 MB more
            pixels = np.asarray(cv2.cvtColor(pixels, _TO_RGB[pixels.shape[2]]), dtype=np.uint8)
        page.close()
    except (pdfium.PdfiumError, ValueError, OSError):
        raise NotAnImage(f"page {index + 1} of the PDF is not readable") from None
    return Sheet(pixels, 1 / shrink)
