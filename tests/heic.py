"""RGB image -> a HEIC file, made without an encoder: an HEVC intra picture whose blocks hold their samples as they are.

Libraries that write HEIC are licensed under the GPL; a picture of PCM blocks (ITU-T H.265, 7.3.8.7) takes none.
"""

from __future__ import annotations

import re
import struct

import numpy as np
from PIL import Image

_BLOCK_PX = 32
_NONE = b"\0\0\0\0"
_RANGE_LPS = (
    240, 227, 216, 205, 195, 185, 175, 166, 158, 150, 142, 135, 128, 122, 116, 110, 104, 99, 94, 89, 85,
    80, 76, 72, 69, 65, 62, 59, 56, 53, 50, 48, 45, 43, 41, 39, 37, 35, 33, 31, 30, 28,
    27, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 14, 13, 12, 12, 11, 11, 10, 9,
)  # fmt: skip
"""H.265, table 9-52, the column of ranges from 448: the only one that blocks which begin anew come to."""


def heic_of(image: Image.Image) -> bytes:
    """The image as a phone's HEIC; its colour, at half the resolution, makes its sides even ones."""
    rgb = image.convert("RGB").crop((0, 0, image.width & ~1, image.height & ~1))
    wide, high = (-(-side // _BLOCK_PX) * _BLOCK_PX for side in rgb.size)
    padded = np.pad(np.asarray(rgb), ((0, high - rgb.height), (0, wide - rgb.width), (0, 0)), mode="edge")
    planes = Image.fromarray(padded).convert("YCbCr").split()
    half = (wide // 2, high // 2)
    luma, blue, red = (np.asarray(plane if one == 0 else plane.resize(half)) for one, plane in enumerate(planes))
    parameters = [_nal(32, _vps()), _nal(33, _sps(rgb.size, (wide, high))), _nal(34, _pps())]
    return _file(rgb.size, parameters, _nal(19, _slice(luma, blue, red)))


class _Bits:
    """Bits of H.265's syntax, written in turn."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, length: int, value: int) -> _Bits:
        self.text += f"{value:0{length}b}"
        return self

    def ue(self, *values: int) -> _Bits:
        for value in values:
            self.text += "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"
        return self

    def ended(self) -> bytes:
        """With the stop bit, filled up to a byte."""
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def _profile(bits: _Bits) -> _Bits:
    """Main Still Picture, progressive frames, level 6.2."""
    return bits.u(8, 3).u(32, 0b0111 << 28).u(4, 0b1001).u(44, 0).u(8, 186)


def _vps() -> bytes:
    bits = _Bits().u(4, 0).u(2, 3).u(6, 0).u(3, 0).u(1, 1).u(16, 0xFFFF)
    return _profile(bits).u(1, 1).ue(0, 0, 0).u(6, 0).ue(0).u(2, 0).ended()


def _sps(size: tuple[int, int], coded: tuple[int, int]) -> bytes:
    bits = _profile(_Bits().u(4, 0).u(3, 0).u(1, 1)).ue(0, 1, *coded)
    bits.u(1, 1).ue(0, (coded[0] - size[0]) // 2, 0, (coded[1] - size[1]) // 2)  # what is cut off, of half samples
    bits.ue(0, 0, 0).u(1, 1).ue(0, 0, 0)  # 8 bits; one picture
    bits.ue(2, 0, 0, 3, 0, 0)  # blocks of 32, transforms of 4 to 32
    bits.u(3, 0).u(1, 1).u(8, 0x77).ue(2, 0).u(1, 1)  # PCM samples of 8 bits in all of them, not filtered
    return bits.ue(0).u(5, 0).ended()


def _pps() -> bytes:
    bits = _Bits().ue(0, 0).u(7, 0).ue(0, 0, 0).u(3, 0).ue(0, 0).u(7, 0)
    return bits.u(1, 1).u(1, 0).u(1, 1).u(2, 0).ue(0).u(2, 0).ended()  # no deblocking


def _slice(luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> bytes:
    parts = [_Bits().u(2, 2).ue(0, 2, 0).ended()]
    half = _BLOCK_PX // 2
    down, across = luma.shape[0] // _BLOCK_PX, luma.shape[1] // _BLOCK_PX
    for index, (row, column) in enumerate(np.ndindex(down, across)):
        low = (508 if index else 510) - _RANGE_LPS[min(index, len(_RANGE_LPS) - 1)] - 2
        parts.append(_flushed(low))  # block goes on, is one, is PCM
        for plane, side in ((luma, _BLOCK_PX), (blue, half), (red, half)):
            parts.append(plane[row * side : (row + 1) * side, column * side : (column + 1) * side].tobytes())
    return b"".join([*parts, _flushed(508)])


def _flushed(low: int) -> bytes:
    """The arithmetic coder's last nine bits (H.265, 9.3.4.7), filled up to bytes."""
    return ((low | 1) << 7).to_bytes(2, "big")


def _nal(kind: int, payload: bytes) -> bytes:
    return bytes([kind << 1, 1]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def _full(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
    return _box(kind, bytes([version, 0, 0, 0]), *parts)


def _file(size: tuple[int, int], parameters: list[bytes], samples: bytes) -> bytes:
    arrays = b"".join(struct.pack(">BHH", 0x80 | nal[0] >> 1, 1, len(nal)) + nal for nal in parameters)
    profile = struct.pack(">BBI6sB", 1, 3, 0b0111 << 28, b"\x90" + bytes(5), 186)
    record = profile + bytes.fromhex("f000fcfdf8f8") + b"\0\0" + bytes([0x0F, len(parameters)]) + arrays
    properties = _box(
        b"ipco",
        _box(b"hvcC", record),
        _full(b"ispe", struct.pack(">II", *size)),
        _box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 6, 0x80)),
    )
    shown = _full(b"ipma", struct.pack(">IHB3B", 1, 1, 3, 0x81, 2, 3))

    def meta(offset: int) -> bytes:
        place = struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, 4 + len(samples))
        return _full(
            b"meta",
            _full(b"hdlr", _NONE, b"pict", bytes(13)),
            _full(b"pitm", struct.pack(">H", 1)),
            _full(b"iloc", place),
            _full(b"iinf", struct.pack(">H", 1), _full(b"infe", struct.pack(">HH", 1, 0), b"hvc1\0", version=2)),
            _box(b"iprp", properties, shown),
        )

    head = _box(b"ftyp", b"heic", _NONE, b"mif1heic")
    offset = len(head) + len(meta(0)) + 8
    return head + meta(offset) + _box(b"mdat", struct.pack(">I", len(samples)), samples)
