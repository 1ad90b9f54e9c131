"""What to do about each code of a dead letter: one line an operator can act on. The README has the long form."""

from __future__ import annotations

ADVICE: dict[str, str] = {
    "error_1": "have the image taken again: no card is seen on it",
    "error_3": "have the image taken again: it is no image",
    "unreadable_image": "have the image taken again: it is not a whole one",
    "password_protected": "ask for the PDF without a password",
    "unsupported_format": "convert the file to JPEG, or ask for a JPEG, PNG or PDF",
    "too_large": "shrink the image",
    "http_413": "shrink the image",
    "unpaired": "complete the manifest: a side is missing",
    "bad_reply": "ask the vendor: the response is in the ledger, and may have been billed",
    "forbidden": "give the runs the right to read the image",
    "no_url": "use another --transfer, or put the image where the endpoint can fetch it",
    "unknown_type": "run publish when a new version knows the type",
    "bad_document": "run publish when a new version reads it",
    "no_document": "run publish when a new version reads it",
}
"""By code; what is not named here is settled by what `retriable` says."""

_RETRIABLE, _FINAL = "nothing: the next backfill tries again", "look at it, then run replay"


def advice(code: str, retriable: bool) -> str:
    """What to do about dead letters of a code."""
    return ADVICE.get(code, _RETRIABLE if retriable else _FINAL)
