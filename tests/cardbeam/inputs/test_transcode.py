"""Images that the endpoint does not take become JPEGs of the same pixels, upright, or nothing."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cardbeam.inputs.image_check import ImageInfo, check_image
from cardbeam.inputs.transcode import JPEG, as_jpeg

HEIC = Path(__file__).parents[2] / "data" / "turned.heic"
"""64 by 40 pixels, left half red, right half blue, to be turned right by 90 degrees to be upright."""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixel(jpeg: bytes, at: tuple[int, int]) -> list[int]:
    """Its colour, to the nearest 20."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as opened:
        return [round(level / 20) * 20 for level in opened.convert("RGB").getpixel(at)]


def test_a_heic_is_a_jpeg_turned_upright() -> None:
    """Its pixels stand as its tag says that they are to be seen, and no tag is left that would turn them again."""
    found = as_jpeg(HEIC.read_bytes())
    assert found is not None
    assert (found.width_px, found.height_px, check_image(found.content)) == (40, 64, ImageInfo(JPEG))
    assert [pixel(found.content, at) for at in ((20, 5), (20, 60))] == [[200, 0, 0], [0, 0, 200]]
    with Image.open(io.BytesIO(found.content)) as opened:
        assert (opened.size, dict(opened.getexif())) == ((40, 64), {})


@pytest.mark.parametrize("kind", ["AVIF", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000"])
def test_other_formats_are_jpegs_of_the_same_pixels(kind: str) -> None:
    """Each format that the check knows."""
    found = as_jpeg(saved(Image.new("RGB", (48, 32), (200, 0, 0)), kind))
    assert found is not None
    assert (found.width_px, found.height_px, pixel(found.content, (24, 16))) == (48, 32, [200, 0, 0])


def test_deep_and_transparent_images_keep_what_is_seen() -> None:
    """Sixteen bits are scaled to the image's brightest; what is transparent is white."""
    levels = np.full((32, 48), 60_000, dtype=np.uint16)
    levels[:, :24] = 30_000
    deep = Image.fromarray(levels)
    found = [as_jpeg(saved(deep, "TIFF")), as_jpeg(saved(Image.new("RGBA", (48, 32), (0, 0, 0, 0)), "WEBP"))]
    seen = [one and [pixel(one.content, at)[0] for at in ((5, 5), (40, 5))] for one in found]
    assert seen == [[120, 260], [260, 260]]


@settings(max_examples=60)
@given(st.data())
def test_damage_never_raises(data: st.DataObject) -> None:
    """A file with bytes changed, cut out or put in is a JPEG or nothing."""
    content = bytearray(HEIC.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    found = as_jpeg(bytes(content))
    assert found is None or check_image(found.content) == ImageInfo(JPEG)


@pytest.mark.parametrize("content", [b"", b"no image", b"\0\0\0\x18ftypheic" + bytes(60), b"%PDF-1.4"])
def test_what_is_no_image_is_nothing(content: bytes) -> None:
    """A stub of a HEIC too."""
    assert as_jpeg(content) is None
