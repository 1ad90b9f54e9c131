"""The images of one call, as its body carries them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ImagePayload:
    """One image as it is sent: its bytes and content type, or a URL."""

    content: bytes = b""
    content_type: str = ""
    url: str = field(default="", repr=False)
