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
from endpoint.ocr.normalize import nfc

_DAY = re.compile(r"(\d{2})(\d{2})(\d{4})")
_NUMBER = re.compile(r"\d{12}")
_SEXES = {"nam": "nam", "nữ": "nữ", "nu": "nữ"}
ZOOM = 2
"""How much the card is enlarged where no code is found at its own size."""


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


def read_code(card: Pixels) -> CardCode | None:
    """The first code on the card that is of a chip card; None where there is none that can be read."""
    for text in _texts(card):
        if (code := parse_code(text)) is not None:
            return code
    return None


def _texts(card: Pixels) -> Iterator[str]:
    grey = np.asarray(cv2.cvtColor(card, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    yield from _decoded(grey)
    height, width = grey.shape
    corner = grey[: height // 2, width // 2 :]
    yield from _decoded(np.asarray(cv2.resize(corner, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC), np.uint8))


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
