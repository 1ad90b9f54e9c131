"""The font files the specimens are drawn with, and the Debian packages they come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

_ROOT = Path("/usr/share/fonts")
_MRZ_FONT = _ROOT / "opentype/ocr-b/OCRB.otf"
_MRZ_PACKAGE = "fonts-ocr-b"


@dataclass(frozen=True, slots=True)
class Face:
    """A family with all Vietnamese letters: its regular and bold files, below /usr/share/fonts."""

    package: str
    regular: str
    bold: str


FACES: dict[str, Face] = {
    "liberation-sans": Face(
        "fonts-liberation2",
        "truetype/liberation2/LiberationSans-Regular.ttf",
        "truetype/liberation2/LiberationSans-Bold.ttf",
    ),
    "liberation-serif": Face(
        "fonts-liberation2",
        "truetype/liberation2/LiberationSerif-Regular.ttf",
        "truetype/liberation2/LiberationSerif-Bold.ttf",
    ),
    "dejavu-sans": Face("fonts-dejavu", "truetype/dejavu/DejaVuSans.ttf", "truetype/dejavu/DejaVuSans-Bold.ttf"),
    "dejavu-condensed": Face(
        "fonts-dejavu", "truetype/dejavu/DejaVuSansCondensed.ttf", "truetype/dejavu/DejaVuSansCondensed-Bold.ttf"
    ),
    "noto-sans": Face("fonts-noto-core", "truetype/noto/NotoSans-Regular.ttf", "truetype/noto/NotoSans-Bold.ttf"),
    "noto-serif": Face("fonts-noto-core", "truetype/noto/NotoSerif-Regular.ttf", "truetype/noto/NotoSerif-Bold.ttf"),
}


def missing_packages() -> tuple[str, ...]:
    """The Debian packages that would bring the font files which are not here."""
    files = [(_MRZ_FONT, _MRZ_PACKAGE)]
    files += [(_ROOT / file, face.package) for face in FACES.values() for file in (face.regular, face.bold)]
    return tuple(sorted({package for path, package in files if not path.exists()}))


class FontMissing(FileNotFoundError):
    """A font file is not installed; the message names the Debian package."""


@lru_cache(maxsize=200)
def font(face: str, size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The face at a size in pixels; raises FontMissing."""
    chosen = FACES[face]
    return _open(_ROOT / (chosen.bold if bold else chosen.regular), size_px, chosen.package)


@lru_cache(maxsize=50)
def mrz_font(size_px: int) -> ImageFont.FreeTypeFont:
    """OCR-B, the font of machine-readable zones (ICAO 9303 part 3), at a size in pixels; raises FontMissing."""
    return _open(_MRZ_FONT, size_px, _MRZ_PACKAGE)


def _open(path: Path, size_px: int, package: str) -> ImageFont.FreeTypeFont:
    if not path.exists():
        raise FontMissing(f"{path} is missing: apt-get install {package}")
    return ImageFont.truetype(str(path), size_px)
