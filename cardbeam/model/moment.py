"""Times as text, as receipts and options have them (ISO 8601)."""

from __future__ import annotations

from datetime import datetime


def parse_moment(text: str) -> datetime:
    """A date, or a date and time; one that ends with Z is in UTC, which Python's own reader takes from 3.11 on.

    Raises:
        ValueError: it is neither.
    """
    return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)
