"""Images are checked before anything is paid: what they are, whether they are whole and of a size to send."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cardbeam.inputs.image_check import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, ImageInfo, check_image
from schemas.outcomes import OUTCOMES, Stage

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # pytest has filters of its own

TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "PDF": "application/pdf",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "JPEG2000": "image/jp2",
}
UNREADABLE, TOO_LARGE = ImageInfo(None, OUTCOMES["unreadable_image"]), ImageInfo(None, OUTCOMES["too_large"])


def save(image: Image.Image, image_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def png_of(width_px: int, height_px: int) -> bytes:
    """A PNG that says it has so many pixels, and holds none of them."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("image_format", TYPES)
def test_a_whole_image_has_its_content_type(image_format: str, draw: Callable[..., bytes]) -> None:
    """Each kind of image is known by its bytes."""
    assert check_image(draw(1, image_format)) == ImageInfo(TYPES[image_format])


@pytest.mark.parametrize(
    "image",
    [
        Image.new("CMYK", (40, 30)),
        Image.new("L", (1, 1)),
        Image.new("1", (40, 30)),
        Image.new("I;16", (40, 30)),
        Image.new("RGBA", (40, 30)),
    ],
    ids=lambda image: image.mode,
)
def test_odd_images_are_images(image: Image.Image) -> None:
    """Print colours, one pixel, one bit, sixteen bits and transparency can be sent."""
    image_format = "JPEG" if image.mode == "CMYK" else "PNG"
    assert check_image(save(image, image_format)) == ImageInfo(TYPES[image_format])


@pytest.mark.parametrize("content", [b"", b"x", b"no image at all", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4"])
def test_what_is_no_image_is_unreadable(content: bytes) -> None:
    """An empty file, a text and a bare signature are refused."""
    assert check_image(content) == UNREADABLE


@pytest.mark.parametrize("image_format", ["DDS", "EPS", "PPM", "SPIDER", "ICO", "PCX"])
def test_what_no_camera_makes_is_unreadable(image_format: str) -> None:
    """Of the formats that Pillow opens those are refused that nobody photographs in, some of them programs."""
    content = save(Image.new("RGB" if image_format != "SPIDER" else "F", (32, 32)), image_format)
    assert check_image(content) == UNREADABLE


def test_two_images_in_one_jpeg_are_a_jpeg() -> None:
    """What phones write with a second image behind the first is sent as the JPEG that it is."""
    image = Image.new("RGB", (40, 30))
    assert check_image(save(image, "MPO", save_all=True, append_images=[image.copy()])) == ImageInfo("image/jpeg")


@pytest.mark.parametrize("image_format", TYPES)
def test_an_image_cut_short_is_unreadable(image_format: str, draw: Callable[..., bytes]) -> None:
    """A file that ends in its middle is refused, whatever its kind."""
    content = draw(1, image_format, size=(600, 400))
    assert check_image(content[: len(content) // 2]) == UNREADABLE


def test_a_thumbnail_s_end_is_not_the_image_s(draw: Callable[..., bytes]) -> None:
    """A JPEG cut short whose embedded thumbnail is whole is refused all the same."""
    thumbnail = draw(2)
    exif = Image.Exif()
    exif[0x010E] = "card"
    whole = save(Image.effect_noise((600, 400), 60), "JPEG", exif=exif.tobytes() + thumbnail)
    assert thumbnail in whole
    assert check_image(whole) == ImageInfo("image/jpeg")
    assert check_image(whole[: len(whole) // 2]) == UNREADABLE


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_bytes_after_the_end_do_no_harm(image_format: str, draw: Callable[..., bytes]) -> None:
    """What a camera or an upload leaves behind the image is not its end."""
    assert check_image(draw(1, image_format) + b"\0" * 5000) == ImageInfo(TYPES[image_format])


def test_a_pdf_may_begin_late(pdf: bytes) -> None:
    """Readers look for a PDF's mark in its first kilobyte."""
    assert check_image(b"\r\n" * 100 + pdf) == ImageInfo("application/pdf")


def rc4(key: bytes, text: bytes) -> bytes:
    """The cipher of the first encrypted PDFs (ISO 32000-1, 7.6.2)."""
    state, j, out = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for byte in text:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def encrypted_pdf(password: bytes) -> bytes:
    """A PDF of one empty page under a user's password (ISO 32000-1, 7.6.3, revision 2)."""
    padding = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
    owner, permissions, document_id = b"o" * 32, struct.pack("<i", -4), b"i" * 16
    key = hashlib.md5((password + padding)[:32] + owner + permissions + document_id).digest()[:5]
    user = rc4(key, padding)
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n4 0 obj<</Filter/Standard/V 1/R 2/P -4/O<"
        + owner.hex().encode() + b">/U<" + user.hex().encode() + b">>>endobj\ntrailer<</Root 1 0 R/Encrypt 4 0 R/ID[<"
        + document_id.hex().encode() + b"><" + document_id.hex().encode() + b">]>>\n%%EOF\n"
    )  # fmt: skip


def test_a_locked_pdf_is_refused() -> None:
    """A PDF that asks for a password is refused by its own name; one that only forbids printing is sent."""
    locked, restricted = check_image(encrypted_pdf(b"secret")), check_image(encrypted_pdf(b""))
    assert (locked, restricted) == (ImageInfo(None, OUTCOMES["password_protected"]), ImageInfo("application/pdf"))


def test_a_pdf_without_its_table_is_a_pdf(pdf: bytes) -> None:
    """Readers look for the objects themselves where a program left out or misplaced `startxref`."""
    assert check_image(pdf.replace(b"startxref", b"startxxxx")) == ImageInfo("application/pdf")


def test_a_pdf_without_a_page_is_unreadable() -> None:
    """A mark and an end mark alone are no document."""
    assert check_image(b"%PDF-1.4\nstartxref\n0\n%%EOF\n") == UNREADABLE


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_may_lack_its_end_mark(*, progressive: bool) -> None:
    """A JPEG whose scan is whole is sent, with a second image or without; one that lacks data of it is refused."""
    whole = save(Image.effect_noise((600, 400), 60).convert("RGB"), "JPEG", progressive=progressive)
    assert whole.endswith(b"\xff\xd9")
    assert check_image(whole[:-2]) == ImageInfo("image/jpeg")
    assert [check_image(whole[:-cut]) for cut in (40, 400, 4000)] == [UNREADABLE] * 3


def test_a_jpeg_may_speak_of_pdf() -> None:
    """A comment within a JPEG does not make it a PDF."""
    assert check_image(save(Image.new("RGB", (40, 30)), "JPEG", comment=b"%PDF-1.4")) == ImageInfo("image/jpeg")


@pytest.mark.parametrize("brand", ["heic", "heix", "mif1", "avif", "avis"])
def test_an_image_of_another_format_has_its_own_code(brand: str) -> None:
    """HEIC and AVIF, which phones make, are told from damaged files: the remedy is to convert them."""
    content = b"\0\0\0\x18ftyp" + brand.encode() + b"\0\0\0\0mif1heic" + b"\0" * 100
    assert check_image(content) == ImageInfo(None, replace(OUTCOMES["unsupported_format"], stage=Stage.READ))


def test_an_image_of_too_many_pixels_is_refused_unread() -> None:
    """The bound is on what the header says: a bomb is never unpacked."""
    side_px = int(MAX_IMAGE_PIXELS**0.5)
    assert side_px**2 == MAX_IMAGE_PIXELS
    assert check_image(png_of(side_px, side_px)) == ImageInfo("image/png")
    assert check_image(png_of(side_px, side_px + 1)) == TOO_LARGE
    assert check_image(png_of(50_000, 50_000)) == TOO_LARGE


def test_a_file_of_too_many_bytes_is_refused(jpeg: bytes) -> None:
    """An image of the largest size can be sent, one byte more cannot."""
    largest = jpeg + b"\0" * (MAX_IMAGE_BYTES - len(jpeg))
    assert check_image(largest) == ImageInfo("image/jpeg")
    assert check_image(largest + b"\0") == TOO_LARGE


def test_a_number_of_another_kind_or_size_is_damage(draw: Callable[..., bytes]) -> None:
    """Pillow puts errors of Python's own on them: here a fraction for a place, and a box without end."""
    tiff = bytearray(save(Image.new("RGB", (8, 8)), "TIFF"))
    strips_at = tiff.index(struct.pack("<HHI", 273, 4, 1))
    tiff[strips_at + 2] = 5
    jp2 = draw(1, "JPEG2000")
    box = struct.pack(">I4sQ", 1, b"free", 2**64 - 1)
    assert [check_image(bytes(tiff)), check_image(jp2[:12] + box + jp2[12:])] == [UNREADABLE, UNREADABLE]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(TYPES)), st.data())
def test_damage_never_raises(draw: Callable[..., bytes], image_format: str, data: st.DataObject) -> None:
    """An image with bytes changed, cut out or put in is an image or refused, nothing else."""
    content = bytearray(draw(1, image_format))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(content), 400) - 1) | st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 8))
        content[at : at + length] = data.draw(st.binary(max_size=8))
        if not content:
            break
    check = check_image(bytes(content))
    assert check in (UNREADABLE, TOO_LARGE) or (check.refused is None and check.content_type)
