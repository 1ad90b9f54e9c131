"""Images that nobody should send, made from a good one: each with the codes that may answer it."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw

READ, EMPTY, UNREADABLE = "0", "1", "3"


@dataclass(frozen=True)
class Hostile:
    """A file and the codes that are right for it."""

    name: str
    make: Callable[[Image.Image], bytes]
    codes: frozenset[str]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_of_zeros(width: int, height: int, depth: int = 8, colours: int = 2) -> bytes:
    """A PNG that is all black: 1 kB of file for each MB of pixels. `colours`: 0 grey, 2 RGB, 6 RGBA."""
    row = 1 + width * {0: 1, 2: 3, 6: 4}[colours] * depth // 8
    pack = zlib.compressobj(9)
    packed = b"".join([*(pack.compress(bytes(row)) for _ in range(height)), pack.flush()])
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    """A PNG with one chunk more, right after its header."""
    return png[:33] + _chunk(name, body) + png[33:]


def pdf_of(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of its numbered objects; the first is its catalogue."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(out) + end % (size, table, size, trailer, len(out))


def pdf_of_blank_pages(count: int, trailer: bytes = b"") -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 3 + count))
    pages = [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>"] * count
    return pdf_of(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, kids), *pages], trailer
    )


def pdf_of_content(content: bytes, box: bytes = b"0 0 300 200", resources: bytes = b"", *more: bytes) -> bytes:
    """One page that draws `content`; `more` are objects from number 5 on."""
    packed = zlib.compress(content, 9)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R/Resources<<%s>>>>" % (box, resources)
    stream = b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(packed), packed)
    catalogue = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>"]
    return pdf_of([*catalogue, page, stream, *more])


def pdf_with_password() -> bytes:
    """Locked with a password that nobody knows (PDF 1.7, 7.6: the standard handler of revision 2)."""
    unknown = b"<" + b"5a" * 32 + b">"
    lock = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O%s/U%s>>/ID[<00><00>]" % (unknown, unknown)
    return pdf_of_blank_pages(1, lock)


def pdf_of_image(width: int, height: int) -> bytes:
    """One page that shows a black image of so many pixels, packed a thousandfold."""
    pack = zlib.compressobj(9)
    packed = b"".join([*(pack.compress(bytes(width)) for _ in range(height)), pack.flush()])
    head = b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8" % (
        width,
        height,
    )
    image = head + b"/Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed)
    return pdf_of_content(b"q 300 0 0 200 0 0 cm /I Do Q", b"0 0 300 200", b"/XObject<</I 5 0 R>>", image)


def pdf_that_draws_itself() -> bytes:
    form = b"<</Type/XObject/Subtype/Form/BBox[0 0 300 200]/Resources<</XObject<</F 5 0 R>>>>/Length 11>>"
    return pdf_of_content(b"/F Do", b"0 0 300 200", b"/XObject<</F 5 0 R>>", form + b"stream\n/F Do /F Do\nendstream")


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(7).randbytes(3 * width * height))


def many_rectangles(width: int, height: int, step: int) -> Image.Image:
    """A sheet of card-shaped outlines: each could be a card."""
    image = Image.new("RGB", (width, height), (90, 110, 90))
    draw = ImageDraw.Draw(image)
    for left in range(10, width - step, step):
        for top in range(10, height - step * 2 // 3, step * 2 // 3):
            draw.rectangle((left, top, left + step * 0.86, top + step * 0.54), fill=(235, 235, 225), outline=(0, 0, 0))
    return image


def many_cards(card: Image.Image, across: int, down: int) -> Image.Image:
    small = card.resize((500, round(500 * card.height / card.width)))
    sheet = Image.new("RGB", (across * 520, down * (small.height + 20)), (40, 60, 40))
    for place in range(across * down):
        sheet.paste(small, (place % across * 520 + 10, place // across * (small.height + 20) + 10))
    return sheet


def dense_text(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    chosen = random.Random(7)
    for top in range(4, height - 10, 12):
        draw.text((4, top), "".join(chosen.choices("abcdefghijklmnop qrstuvwxyz", k=width // 6)), fill="black")
    return image


def turned(image: Image.Image, orientation: int) -> bytes:
    """The same view, its pixels turned and said to be so (EXIF tag 274)."""
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[274] = orientation
    return saved(image.transpose(undo[orientation]), "JPEG", quality=90, exif=exif)


def sixteen_bit(image: Image.Image) -> bytes:
    return saved(image.convert("L").convert("I").point(lambda level: level * 257).convert("I;16"), "PNG")


def animated(image: Image.Image, kind: str) -> bytes:
    frames = [image.rotate(turn) for turn in range(1, 5)]
    return saved(image, kind, save_all=True, append_images=frames, duration=50)


def _table() -> Iterator[Hostile]:
    def row(name: str, codes: str, make: Callable[[Image.Image], bytes]) -> Hostile:
        return Hostile(name, make, frozenset(codes))

    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        yield row(f"1x1 {kind}", EMPTY, lambda _, kind=kind: saved(Image.new("RGB", (1, 1)), kind))
        yield row(f"half a {kind}", UNREADABLE, lambda card, kind=kind: (whole := saved(card, kind))[: len(whole) // 2])
    for shape in ((1, 20_000), (20_000, 1), (3, 3), (40, 4000), (4000, 120), (120, 4000)):
        yield row(f"{shape[0]}x{shape[1]}", EMPTY, lambda _, shape=shape: saved(Image.new("RGB", shape), "PNG"))
    for mode in ("L", "1", "P", "LA", "RGBA", "I;16"):
        yield row(f"blank {mode}", EMPTY, lambda _, mode=mode: saved(Image.new(mode, (640, 400)), "PNG"))
    yield row("CMYK", READ, lambda card: saved(card.convert("CMYK"), "JPEG", quality=92))
    yield row("grey", READ, lambda card: saved(card.convert("L"), "JPEG", quality=92))
    yield row("16 bit", READ, sixteen_bit)
    yield row("palette", READ, lambda card: saved(card.quantize(128), "PNG"))
    yield row("transparent", READ, lambda card: saved(card.convert("RGBA"), "PNG"))
    yield row("progressive", READ, lambda card: saved(card, "JPEG", progressive=True, quality=90))
    yield row("large metadata", READ, lambda card: saved(card, "JPEG", quality=90, comment=b"x" * 60_000))
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        yield row(f"animated {kind}", READ, lambda card, kind=kind: animated(card, kind))
    for orientation in (3, 6, 8):
        yield row(f"EXIF {orientation}", READ, lambda card, way=orientation: turned(card, way))
    yield row("PNG bomb 20,000 x 20,000", UNREADABLE, lambda _: png_of_zeros(20_000, 20_000, colours=0))
    yield row("PNG bomb 60,000 x 60,000 said", UNREADABLE, lambda _: _said_size(60_000, 60_000))
    yield row("PNG 5,000 x 5,000, 16 bit RGBA", EMPTY + UNREADABLE, lambda _: png_of_zeros(5000, 5000, 16, 6))
    yield row("PNG text bomb", EMPTY + UNREADABLE, _text_bomb)
    yield row("JPEG 20,000 x 20,000", EMPTY + UNREADABLE, lambda _: saved(Image.new("L", (20_000, 20_000)), "JPEG"))
    yield row("GIF bomb", UNREADABLE, lambda _: saved(Image.new("L", (12_000, 12_000)), "GIF"))
    yield row(
        "TIFF bomb", UNREADABLE, lambda _: saved(Image.new("L", (20_000, 20_000)), "TIFF", compression="tiff_deflate")
    )
    yield row("noise", EMPTY, lambda _: saved(noise(2000, 1500), "JPEG"))
    yield row("dense text", EMPTY, lambda _: saved(dense_text(2400, 3000), "PNG"))
    yield row("many rectangles", EMPTY, lambda _: saved(many_rectangles(3000, 2400, 240), "PNG"))
    yield row("six cards", READ, lambda card: saved(many_cards(card, 3, 2), "JPEG", quality=90))
    for name, head in _NOT_IMAGES.items():
        yield row(name, UNREADABLE, lambda _, head=head: head + bytes(2000))
    yield row("PDF with a password", UNREADABLE, lambda _: pdf_with_password())
    yield row("PDF of 1,000 pages", UNREADABLE, lambda _: pdf_of_blank_pages(1000))
    yield row("PDF without pages", EMPTY + UNREADABLE, lambda _: pdf_of_blank_pages(0))
    yield row("PDF of a blank page", EMPTY, lambda _: pdf_of_blank_pages(1))
    yield row("PDF of a giant page", EMPTY, lambda _: pdf_of_content(b"", b"0 0 200000 200000"))
    yield row("PDF that draws itself", EMPTY + UNREADABLE, lambda _: pdf_that_draws_itself())
    yield row("PDF image bomb", EMPTY + UNREADABLE, lambda _: pdf_of_image(20_000, 20_000))
    yield row("PDF content bomb", EMPTY + UNREADABLE, lambda _: pdf_of_content(b"0 0 m 9 9 l S " * 10_000_000))
    yield row("half a PDF", EMPTY + UNREADABLE, lambda card: (whole := saved(card, "PDF"))[: len(whole) // 2])
    yield row("PDF header alone", UNREADABLE, lambda _: b"%PDF-1.7\n")


_NOT_IMAGES = {
    "text": b"no image",
    "HTML": b"<!DOCTYPE html><html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "ZIP": b"PK\x03\x04",
    "video": b"\0\0\0\x18ftypmp42",
    "program": b"\x7fELF\x02\x01\x01",
    "Photoshop": b"8BPS\0\x01",
    "icon": b"\0\0\x01\0\x01\0\x10\x10",
    "zeros": b"",
}


def _said_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(100)))
        + _chunk(b"IEND", b"")
    )


def _text_bomb(_: Image.Image) -> bytes:
    body = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    return with_chunk(saved(Image.new("RGB", (640, 400)), "PNG"), b"zTXt", body)


HOSTILE = {hostile.name: hostile for hostile in _table()}


def mutated(whole: bytes, seed: int) -> bytes:
    """A good file after an accident: bits turned, a piece cut out, doubled, zeroed, or the end lost."""
    chosen = random.Random(seed)
    at, length = chosen.randrange(len(whole)), chosen.randrange(1, 2000)
    accidents: list[Callable[[], bytes]] = [
        lambda: bytes(_turned_bits(bytearray(whole), chosen)),
        lambda: whole[:at] + whole[at + length :],
        lambda: whole[: at + length] + whole[at:],
        lambda: whole[:at] + bytes(length) + whole[at + length :],
        lambda: whole[:at],
        lambda: whole[:at] + chosen.randbytes(length) + whole[at + length :],
    ]
    return chosen.choice(accidents)()


def _turned_bits(data: bytearray, chosen: random.Random) -> bytearray:
    for _ in range(chosen.choice([1, 10, 200])):
        data[chosen.choice([chosen.randrange(len(data)), chosen.randrange(min(1000, len(data)))])] ^= (
            1 << chosen.randrange(8)
        )
    return data
