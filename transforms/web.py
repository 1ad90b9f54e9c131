"""Pictures behind http(s) URIs: looked at by HEAD, read by smart-open."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import requests
import smart_open
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from transforms.elements import Picture

_TIMEOUTS_S = (10.0, 20.0)
_GONE = (requests.codes.not_found, requests.codes.gone)
_CONNECTIONS = 64


class WebFault(Exception):
    """A URI that gave no picture; `is_gone` where its server says that there is none."""

    def __init__(self, *, is_gone: bool) -> None:
        super().__init__("gone" if is_gone else "unreadable")
        self.is_gone = is_gone


def is_web(uri: str) -> bool:
    """Whether the scheme is http or https."""
    return uri.startswith(("http://", "https://"))


@cache
def _session() -> requests.Session:
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"  # a compressed picture has another etag and length
    adapter = HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=2)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def describe_web(uri: str) -> Picture:
    """A URI as a Picture; without a version where its server tells none, or does not answer."""
    try:
        with _session().head(uri, timeout=_TIMEOUTS_S, allow_redirects=True) as response:
            return _picture(uri, response.headers) if response.ok else Picture(uri)
    except requests.RequestException:  # reading it will say so
        return Picture(uri)


def _picture(uri: str, headers: Mapping[str, str]) -> Picture:
    version = headers.get("ETag") or headers.get("Last-Modified")
    size = headers.get("Content-Length", "")
    is_encoded = "Content-Encoding" in headers  # the length is then not the picture's
    return Picture(uri, int(size) if size.isdigit() and not is_encoded else None, version)


def read_web(uri: str, most_bytes: int) -> tuple[bytes, Picture]:
    """The first bytes behind a URI, and which version they are of.

    Raises:
        WebFault: the server has no picture, or gives none.
    """
    try:
        with smart_open.open(
            uri, "rb", compression="disable", transport_params={"timeout": _TIMEOUTS_S, "session": _session()}
        ) as file:
            picture = _picture(uri, file.response.headers)
            return file.read(most_bytes), picture
    except requests.HTTPError as error:
        raise WebFault(is_gone=error.response is not None and error.response.status_code in _GONE) from error
    except (OSError, ValueError, HTTPError) as error:  # requests' own errors are OSErrors, urllib3's are not
        raise WebFault(is_gone=False) from error
