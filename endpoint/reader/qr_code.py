"""Aligned card -> what its QR code says: chip cards carry number, name, birth, sex, address and day of issue in one.

The form is seven texts between bars; the former number may be empty. It is read off cards and described by
Circular 06/2021/TT-BCA only as far as that it exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import cv2
import numpy as np
import zxingcpp

from endpoint.imaging.decode import Pixels
from endpoint.imaging.enhance import unblur
from endpoint.imaging.rectify import RectifiedCard
from endpoint.ocr.values.normalize import nfc

_DAY = re.compile(r"(\d{2})(\d{2})(\d{4})")
_NUMBER = re.compile(r"\d{12}")
_SEXES = {"nam": "nam", "nữ": "nữ", "nu": "nữ"}
SMALL = 4
"""The card is made so many times smaller to see where a code may stand."""
CODE_PX, AROUND_PX = 100, 172
"""Within so many pixels of a card 1000 wide a code is dark and pale in turns; around it is paper."""
STANDS_OUT, STANDS_OUT_TURNED = 0.22, 0.36
"""How much darker than around: codes measured from 0.24, the middle one 0.38, print up to 0.20. Where the code of a
card that lies another way would be there is often a portrait, up to 0.35."""
REACH_PX, ZOOM = 105, 3
"""What is looked at around its middle, and how much it is enlarged, from the sheet's own pixels."""
SHARPER, HALO_PX = 6.0, 4.0
BLUR_PX, BLUR_NOISE = 4.5, 0.03
"""Two ways to take blur back: an unsharp mask, and the inverse of a Gaussian. Of 90 blurred codes 47 were read as they
were, 79 with the first, 85 with both."""


@dataclass(frozen=True, slots=True)
class CardCode:
    """What the code says, in the contract's wire forms; the fields of the print it can be held against."""

    number: str
    former_number: str
    name: str
    dob: str
    gender: str
    address: str
    issue_date: str

    @property
    def fields(self) -> dict[str, str]:
        """By the contract's names; empty ones are left out."""
        given = {
            "id": self.number,
            "name": self.name.upper(),
            "dob": self.dob,
            "gender": self.gender,
            "address": self.address,
            "issue_date": self.issue_date,
        }
        return {name: value for name, value in given.items() if value}


def read_code(card: RectifiedCard) -> CardCode | None:
    """The first code on the card that is of a chip card; None where there is none that can be read."""
    for text in _texts(card):
        if (code := parse_code(text)) is not None:
            return code
    return None


def _texts(card: RectifiedCard) -> Iterator[str]:
    grey = _grey(card.pixels)
    yield from _decoded(grey)
    for quarters in (0, 2) if card.outlined else range(4):
        stands_out, x, y, unit = _place(grey, quarters)
        if stands_out >= (STANDS_OUT_TURNED if quarters else STANDS_OUT):
            reach = REACH_PX * unit
            yield from _sharpened(_grey(card.part((x - reach, y - reach, x + reach, y + reach), ZOOM / unit)))
            return


def _sharpened(grey: Pixels) -> Iterator[str]:
    """What is read as it is, and with blur taken back in two ways."""
    yield from _decoded(grey)
    soft = cv2.GaussianBlur(grey, (0, 0), HALO_PX)
    yield from _decoded(np.asarray(cv2.addWeighted(grey, 1 + SHARPER, soft, -SHARPER, 0), dtype=np.uint8))
    plane = np.asarray(grey, dtype=np.float32) / np.float32(255)
    unblur(plane, BLUR_PX, BLUR_NOISE)
    yield from _decoded(np.asarray(np.clip(plane * 255, 0, 255), dtype=np.uint8))


def _place(grey: Pixels, quarters: int) -> tuple[float, float, float, float]:
    """How much the darkest square of its top right quarter stands out, its middle, and the pixels of a thousandth.

    `quarters`: turns counter-clockwise that put the card upright; the middle is on the card as it lies.
    """
    unit = grey.shape[1 - quarters % 2] / 1000
    size = (round(grey.shape[1] / unit / SMALL), round(grey.shape[0] / unit / SMALL))
    upright = np.rot90(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), quarters)
    height, width = upright.shape
    corner = upright[: height // 2, width // 2 :].astype(np.float32)
    paper = max(1.0, float(np.percentile(corner, 90)))
    dark = np.clip(1 - corner / paper, 0, 1)
    inner, outer = CODE_PX // SMALL, AROUND_PX // SMALL
    within, all_of = (cv2.blur(dark, (side, side), borderType=cv2.BORDER_REFLECT) for side in (inner, outer))
    stands_out = within - (all_of * outer**2 - within * inner**2) / (outer**2 - inner**2)
    row, column = np.unravel_index(int(stands_out.argmax()), stands_out.shape)
    x, y = float(width // 2 + column), float(row)
    for _ in range(quarters):  # as it lay before the last turn: a point (x, y) was at (width - 1 - y, x)
        width, height = height, width
        x, y = width - 1 - y, x
    return float(stands_out[row, column]), x * SMALL * unit, y * SMALL * unit, unit


def _grey(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _decoded(grey: Pixels) -> Iterator[str]:
    for found in zxingcpp.read_barcodes(
        np.ascontiguousarray(grey), formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    ):
        yield found.text


def parse_code(text: str) -> CardCode | None:
    """The code's text as its parts; None where it is the code of something else. A pure function."""
    parts = [nfc(part.strip()) for part in text.split("|")]
    if len(parts) != 7 or not _NUMBER.fullmatch(parts[0]) or not _wire_day(parts[3]):
        return None
    number, former, name, dob, sex, address, issued = parts
    gender = _SEXES.get(sex.lower(), "")
    return CardCode(number, former, name, _wire_day(dob), gender, address, _wire_day(issued))


def _wire_day(text: str) -> str:
    if (found := _DAY.fullmatch(text)) is None:
        return ""
    day, month, year = (int(part) for part in found.groups())
    try:
        return f"{date(year, month, day):%d-%m-%Y}"
    except ValueError:
        return ""
