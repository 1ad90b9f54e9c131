"""Text in forms that can be compared."""

from __future__ import annotations

import unicodedata


def plain(text: str) -> str:
    """Text without tone marks, case or punctuation: what fuzzy comparisons compare."""
    stripped = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    letters = "".join(char if char.isalnum() else " " for char in stripped if not unicodedata.combining(char))
    return " ".join(letters.lower().split())


def nfc(text: str) -> str:
    """Text in the one Unicode form everything here compares and returns."""
    return unicodedata.normalize("NFC", text)
