"""Pictures behind http(s) URIs: looked at by HEAD, read by smart-open.

There is a look for each line of a manifest, so it goes by the pool of its server, a fifth of what `requests` costs;
what is redirected goes by `requests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from urllib.parse import urlsplit

import requests
import smart_open
from requests.adapters import HTTPAdapter
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from transforms.elements import Picture
from transforms.pools import Found, find_pool

_TIMEOUTS_S = (10.0, 20.0)
_GONE = (requests.codes.not_found, requests.codes.gone)
_CONNECTIONS = 64
_SERVERS = 64
"""Whose connections are kept; they are let go when a manifest names so many others."""
_TRIES = 2
_AS_IT_IS = {"Accept-Encoding": "identity"}
"""A compressed picture has another etag and length."""
_OK = range(200, 300)
_REDIRECTED = range(300, 400)


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
    session.headers.update(_AS_IT_IS)
    adapter = _adapter()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _adapter() -> HTTPAdapter:
    return HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=_TRIES)


@lru_cache(_SERVERS)
def _server(scheme: str, place: str) -> Found:
    return find_pool(_adapter(), f"{scheme}://{place}/", _AS_IT_IS)


def describe_web(uri: str) -> Picture:
    """A URI as a Picture; without a version where its server tells none, or does not answer."""
    try:
        status, headers = _head(uri)
        if status in _REDIRECTED:
            status, headers = _head_at_last(uri)
    except (requests.RequestException, HTTPError, ValueError):  # reading it will say so
        return Picture(uri)
    return _picture(uri, headers) if status in _OK else Picture(uri)


def _head(uri: str) -> tuple[int, Mapping[str, str]]:
    """Status and headers of what is there."""
    parts = urlsplit(uri)
    server = _server(parts.scheme, parts.netloc)
    request = requests.PreparedRequest()
    request.prepare_url(uri, None)
    response = server.pool.urlopen(
        "HEAD",
        server.target_of(request),
        headers=server.headers,
        retries=server.adapter.max_retries,
        redirect=False,
        assert_same_host=False,
        timeout=Timeout(*_TIMEOUTS_S),
    )
    return response.status, response.headers


def _head_at_last(uri: str) -> tuple[int, Mapping[str, str]]:
    """The same of what redirections lead to."""
    with _session().head(uri, timeout=_TIMEOUTS_S, allow_redirects=True) as response:
        return response.status_code, response.headers


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
