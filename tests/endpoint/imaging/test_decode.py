"""Whatever is sent becomes upright RGB within a bound of pixels, or is refused as no image."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from endpoint.answers import NotAnImage
from endpoint.imaging.decode import MAX_HELD_BYTES, MAX_PAGES, MAX_WORKING_PX, open_sheets
from tests.heic import heic_of


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def deep_tiff(order: str, levels: np.ndarray) -> bytes:
    """A TIFF of 16 bits a sample, "II" (little) or "MM" (big endian); Pillow writes no colour ones."""
    end, (height, width, count) = {"II": "<", "MM": ">"}[order], levels.shape
    data = levels.astype(f"{end}u2").tobytes()
    depths_at = 8 + 2 + 12 * 9 + 4
    depths = struct.pack(f"{end}{count}H", *[16] * count) if count > 1 else b""
    short, long = (lambda value: struct.pack(f"{end}HH", value, 0)), (lambda value: struct.pack(f"{end}I", value))
    entries = [
        (256, 3, 1, short(width)), (257, 3, 1, short(height)),
        (258, 3, count, long(depths_at) if count > 1 else short(16)), (259, 3, 1, short(1)),
        (262, 3, 1, short(2 if count == 3 else 1)), (273, 4, 1, long(depths_at + len(depths))),
        (277, 3, 1, short(count)), (278, 3, 1, short(height)), (279, 4, 1, long(len(data))),
    ]  # fmt: skip
    packed = b"".join(struct.pack(f"{end}HHI", tag, kind, number) + value for tag, kind, number, value in entries)
    return (
        order.encode()
        + struct.pack(f"{end}HIH", 42, 8, len(entries))
        + packed
        + struct.pack(f"{end}I", 0)
        + depths
        + data
    )


BLACK_WHITE = np.where(np.arange(400) < 200, 0, 65535)[None, :, None].repeat(200, 0)


def halves(mode: str = "RGB", size: tuple[int, int] = (400, 200)) -> Image.Image:
    """Left half black, right half white."""
    image = Image.new("L", size, 0)
    image.paste(255, (size[0] // 2, 0, size[0], size[1]))
    return image.convert(mode)


@pytest.mark.parametrize(
    "content",
    [
        saved(halves("RGB"), "PNG"),
        saved(halves("L"), "PNG"),
        saved(halves("1"), "PNG"),
        saved(halves("P"), "GIF"),
        saved(halves("RGBA"), "PNG"),
        saved(halves("CMYK"), "JPEG", quality=98),
        saved(halves("RGB"), "WEBP", lossless=True),
        saved(halves("RGB"), "BMP"),
        saved(halves("RGB"), "TIFF"),
        saved(Image.fromarray(np.where(np.arange(400) < 200, 0, 65535)[None].repeat(200, 0).astype(np.uint16)), "PNG"),
        saved(halves("L"), "GIF", save_all=True, append_images=[halves("L")] * 3),
        deep_tiff("II", BLACK_WHITE),
        deep_tiff("MM", BLACK_WHITE),
        deep_tiff("II", BLACK_WHITE.repeat(3, 2)),
        deep_tiff("MM", BLACK_WHITE.repeat(3, 2)),
        saved(Image.fromarray(BLACK_WHITE[..., 0].astype(np.float32)), "TIFF"),
        saved(halves(), "JPEG2000"),
        saved(halves(), "AVIF"),
        heic_of(halves()),
        saved(halves(), "MPO", save_all=True, append_images=[halves()], quality=98),
        saved(halves(), "JPEG", quality=98)[:-2],
        saved(halves(), "JPEG", quality=98, progressive=True)[:-2],
    ],
    ids=[
        "rgb",
        "grey",
        "one bit",
        "palette",
        "alpha",
        "cmyk",
        "webp",
        "bmp",
        "tiff",
        "16 bit",
        "animated",
        "16 bit II",
        "16 bit MM",
        "48 bit II",
        "48 bit MM",
        "float",
        "jpeg 2000",
        "avif",
        "heic",
        "mpo",
        "jpeg without its end",
        "progressive without its end",
    ],
)
def test_any_kind_of_image_is_the_same_rgb(content: bytes) -> None:
    (sheet,) = open_sheets(content)
    assert (sheet.pixels.shape, sheet.scale) == ((200, 400, 3), 1.0)
    assert sheet.pixels[:, :180].mean() < 6
    assert sheet.pixels[:, 220:].mean() > 249


@pytest.mark.parametrize("tag", range(1, 9))
def test_the_orientation_tag_is_followed(tag: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    lying = Image.fromarray(np.random.default_rng(7).integers(0, 256, (30, 50, 3), dtype=np.uint8))
    content = saved(lying, "PNG", exif=exif.tobytes())
    (sheet,) = open_sheets(content)
    with Image.open(io.BytesIO(content)) as opened:
        assert np.array_equal(sheet.pixels, np.asarray(ImageOps.exif_transpose(opened)))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_becomes_white(kind: str) -> None:
    image = halves("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    (sheet,) = open_sheets(saved(image, kind))
    assert sheet.pixels.min() == 255


def test_an_image_shrunk_band_by_band_has_no_seams() -> None:
    wide = MAX_WORKING_PX // 1500
    slope = np.linspace(0, 255, 2000).astype(np.uint8)[:, None].repeat(wide, axis=1)
    (sheet,) = open_sheets(saved(Image.fromarray(slope), "PNG", compress_level=1))
    assert sheet.pixels.shape[0] < 2000
    steps = np.diff(sheet.pixels[:, :, 0].astype(int), axis=0)
    assert (int(steps.min()), int(steps.max())) == (0, 1)


@pytest.mark.parametrize(
    ("mode", "kind", "megapixels", "fits"),
    [("RGB", "PNG", 12, True), ("RGB", "PNG", 13, False), ("L", "PNG", 40, True), ("RGB", "WEBP", 11, False)],
)
def test_how_much_is_decoded_depends_on_what_it_takes(mode: str, kind: str, megapixels: int, fits: bool) -> None:
    content = saved(Image.new(mode, (4000, megapixels * 250)), kind)
    if fits:
        (sheet,) = open_sheets(content)
        assert sheet.pixels.shape[1] * sheet.scale == pytest.approx(4000)
    else:
        with pytest.raises(NotAnImage):
            list(open_sheets(content))


@pytest.mark.parametrize(
    ("size", "options", "drawn_at"),
    [
        ((4000, 2000), {}, 1),
        ((4000, 3000), {}, 2),
        ((8000, 6000), {}, 4),
        ((12000, 9000), {}, 4),
        ((4000, 3000), {"progressive": True}, 2),
        ((6000, 4000), {"progressive": True}, 4),
        ((6000, 4200), {"progressive": True}, None),
        ((4000, 3000), {"progressive": True, "subsampling": 0}, 4),
        ((4000, 3500), {"progressive": True, "subsampling": 0}, None),
        ((4000, 3000), {"kind": "MPO", "save_all": True}, 2),
        ((3000, 2000), {"kind": "JPEG2000", "irreversible": True, "quality_layers": [40]}, 2),
    ],
)
def test_a_large_jpeg_is_drawn_at_a_part_of_its_size_or_refused(
    size: tuple[int, int], options: dict[str, object], drawn_at: int | None
) -> None:
    content = saved(halves(size=size), **{"kind": "JPEG", **options})
    if drawn_at is None:
        with pytest.raises(NotAnImage):
            list(open_sheets(content))
        return
    (sheet,) = open_sheets(content)
    working = min(1.0, (MAX_WORKING_PX * drawn_at**2 / (size[0] * size[1])) ** 0.5) / drawn_at
    assert sheet.pixels.shape == (round(size[1] * working), round(size[0] * working), 3)
    assert sheet.scale == pytest.approx(1 / working, rel=0.001)
    middle = sheet.pixels.shape[1] // 2
    assert (sheet.pixels[-20:, : middle - 20].max(), sheet.pixels[-20:, middle + 20 :].min()) == (0, 255)


@pytest.mark.parametrize(("megapixels", "rooms"), [(8, 0), (12, 1)])
def test_room_is_made_before_a_large_image_is_decoded(megapixels: int, rooms: int) -> None:
    made: list[int] = []
    list(open_sheets(saved(halves(size=(4000, megapixels * 250)), "PNG"), lambda: made.append(1)))
    assert len(made) == rooms


def test_a_file_counts_with_what_is_decoded_of_it() -> None:
    content = saved(halves(size=(4000, 3000)), "PNG")
    (sheet,) = open_sheets(content + bytes(MAX_HELD_BYTES - 48_000_000 - len(content)))
    assert sheet.pixels.shape[1] * sheet.scale == pytest.approx(4000)
    with pytest.raises(NotAnImage):
        list(open_sheets(content + bytes(MAX_HELD_BYTES - 48_000_000)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8\xff",
        b"%PDF-1.4 and nothing",
        b"GIF89a",
        saved(halves(), "PNG")[:60],
        saved(halves(size=(1500, 900)), "JPEG")[:900],
        saved(Image.effect_noise((800, 600), 50), "JPEG")[:-60],
        saved(Image.effect_noise((800, 600), 50), "JPEG", progressive=True)[:-60],
        b"\0\0\0\x18ftypheic" + bytes(60),
        saved(Image.new("1", (20_000, 20_000)), "PNG"),
    ],
    ids=[
        "empty",
        "stub",
        "pdf stub",
        "gif stub",
        "cut png",
        "cut jpeg",
        "end cut",
        "progressive end cut",
        "heic stub",
        "400 megapixels",
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes) -> None:
    with pytest.raises(NotAnImage):
        list(open_sheets(content))


def test_a_pdf_gives_a_sheet_a_page_up_to_a_bound() -> None:
    pages = [halves() for _ in range(MAX_PAGES)]
    fits = saved(pages[0], "PDF", save_all=True, append_images=pages[1:])
    assert sum(1 for _ in open_sheets(fits)) == MAX_PAGES
    with pytest.raises(NotAnImage, match="more than 20 pages"):
        list(open_sheets(saved(pages[0], "PDF", save_all=True, append_images=pages)))


def test_a_pdf_may_have_a_kilobyte_before_its_header() -> None:
    content = saved(halves(), "PDF")
    shapes = [
        [sheet.pixels.shape for sheet in open_sheets(before + content)] for before in (b"", b"\xef\xbb\xbf", b"x" * 900)
    ]
    assert shapes == [shapes[0]] * 3
