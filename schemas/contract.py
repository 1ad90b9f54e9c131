"""The calls and code tables of the contract (API version 2)."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_ENDPOINT_URL = "https://cloud.computervision.com.vn/api/v2"

TRANSFERS: tuple[str, ...] = ("file", "base64", "url")
"""Values of `format_type`: multipart POST, JSON POST, GET."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One path of the endpoint: the images it takes and whether it judges the card."""

    path: str
    image_params: tuple[str, ...]
    says_valid: bool


OPERATIONS: dict[str, Operation] = {
    operation.path: operation
    for operation in (
        Operation("ekyc/cards", ("img1", "img2"), says_valid=True),
        Operation("ekyc/card", ("img",), says_valid=True),
        Operation("ocr/card", ("img",), says_valid=False),
    )
}

SUCCESS = "0"

ERROR_CODES: dict[str, str] = {
    SUCCESS: "Success",
    "1": "The photo does not contain content",
    "2": "Url is unavailable",
    "3": "Incorrect image format",
    "4": "Out of requests",
    "5": "Incorrect api_key or api_secret",
    "6": "Incorrect format type",
}

WARNING_CODES: dict[str, str] = {
    "0": "Successful",
    "1": "Photo contains sign of being taken through an electronic screen",
    "2": "The picture is a photocopy version of the id card",
    "3": "The id field on the document is incorrectly formatted",
    "5": "The id card's corner has been clipped",
    "6": "The id card's corner has been missing",
}
"""Values of `invalidCode`. The table leaves out 4; an unknown code is unknown, not an error."""
