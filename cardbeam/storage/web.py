"""Images and manifests behind http(s) URIs: checked by HEAD, read by GET, each over a connection of its own.

Redirects are followed as `requests` follows them. Credentials are those of the URI or of netrc, for their own host.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache
from typing import IO, Any, TypeVar, cast
from urllib.parse import urldefrag, urljoin, urlsplit

import requests
from requests.utils import requote_uri

from cardbeam.errors import CardbeamError
from cardbeam.http.connection import CONNECT_TIMEOUT_S, Request, send_request
from cardbeam.http.content_encoding import WrongEncoding, codings, decode
from cardbeam.http.deadline import Deadline
from cardbeam.http.http_response import BrokenResponse, Head, ResponseReader, Truncated
from cardbeam.http.server import HttpServer, find_server
from cardbeam.model.request import ImageRef

_LOOK_TIMEOUT_S = 15.0
_READ_TIMEOUT_S = 45.0
_MANIFEST_TIMEOUT_S = 600.0
"""Each for all of it: redirects, further attempts, the last byte."""
_GONE = (requests.codes.not_found, requests.codes.gone)
_SERVERS = 64
"""Whose proxies and certificates are kept."""
_ATTEMPTS = 3
"""Where a connection breaks."""
_MAX_REDIRECTS = 30
_AS_IT_IS = {"Accept-Encoding": "identity"}
"""A compressed image has another etag and length."""
_OK = (requests.codes.ok, requests.codes.non_authoritative_information)
_REDIRECTED = (301, 302, 303, 307, 308)
_FAULTS = (OSError, ValueError, BrokenResponse, WrongEncoding)
"""What a URI, its server and the way there raise; `requests`' own errors are OSErrors."""
_Result = TypeVar("_Result")


class HttpSourceError(CardbeamError):
    """A URI that gave no image; `is_gone` where its server says that there is none."""

    def __init__(self, *, is_gone: bool) -> None:
        super().__init__("gone" if is_gone else "unreadable")
        self.is_gone = is_gone


def is_web(uri: str) -> bool:
    """Whether the scheme is http or https."""
    return uri.startswith(("http://", "https://"))


@lru_cache(_SERVERS)
def _server(scheme: str, place: str) -> HttpServer:
    return find_server(f"{scheme}://{place}/", _AS_IT_IS)


def describe_web(uri: str, timeout_s: float = _LOOK_TIMEOUT_S) -> ImageRef:
    """A URI as a Image; without a version where its server tells none, or does not answer."""
    try:
        head = _try(lambda deadline: _head(uri, deadline), Deadline(timeout_s))
    except _FAULTS:  # reading it will say so
        return ImageRef(uri)
    return _image(uri, head.headers) if 200 <= head.status < 300 else ImageRef(uri)


def read_web(uri: str, max_bytes: int, timeout_s: float = _READ_TIMEOUT_S) -> tuple[bytes, ImageRef]:
    """The first bytes behind a URI, and which version they are of.

    Raises:
        HttpSourceError: the server has no image, or gives none.
    """
    try:
        return _try(lambda deadline: _read(uri, max_bytes, deadline), Deadline(timeout_s))
    except _FAULTS as error:
        raise HttpSourceError(is_gone=False) from error


def open_web(uri: str, timeout_s: float = _MANIFEST_TIMEOUT_S) -> IO[bytes]:
    """A file of what is behind a URI, whole: it is fetched to the machine's disk first, where no name leads to it.

    Raises:
        OSError: it cannot be fetched; says why.
    """
    try:
        return _try(lambda deadline: _fetch(uri, deadline), Deadline(timeout_s))
    except (ValueError, BrokenResponse) as error:
        raise OSError(str(error)) from error
    except WrongEncoding as error:
        raise OSError(f"the server sends {error}") from error


def _try(attempt: Callable[[Deadline], _Result], deadline: Deadline) -> _Result:
    """Once more where a connection breaks; not where the deadline passes or the response makes no sense."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt(deadline)
        except (ConnectionError, Truncated):
            deadline.left_s()
    return attempt(deadline)


def _head(uri: str, deadline: Deadline) -> Head:
    with _follow("HEAD", uri, deadline) as (head, _):
        return head


def _read(uri: str, max_bytes: int, deadline: Deadline) -> tuple[bytes, ImageRef]:
    with _follow("GET", uri, deadline) as (head, reader):
        if head.status not in _OK:
            raise HttpSourceError(is_gone=head.status in _GONE)
        body = reader.body(head, max_bytes)
    return decode(body, head.headers.get("content-encoding", ""), max_bytes), _image(uri, head.headers)


def _fetch(uri: str, deadline: Deadline) -> IO[bytes]:
    with _follow("GET", uri, deadline) as (head, reader):
        if head.status not in _OK:
            raise OSError(f"the server answers HTTP {head.status}")
        found = codings(head.headers.get("content-encoding", ""))
        if "deflate" in found or len(found) > 1:
            raise WrongEncoding("a coding that was not asked for")
        if not head.is_delimited:
            raise OSError("the server does not say how long it is, so that it may be cut off unseen")
        file = _written(reader.pieces(head))
    # some servers say so of a file that is compressed, and named so, itself
    is_its_own = urlsplit(uri).path.lower().endswith(".gz")
    if not found or is_its_own:
        return file
    opened = gzip.GzipFile(fileobj=file)
    cast(Any, opened).myfileobj = file  # or it stays open
    return cast(IO[bytes], opened)


def _written(pieces: Iterator[bytes]) -> IO[bytes]:
    """A file of them without a name, from its beginning."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        file.writelines(pieces)
        file.seek(0)
        stack.pop_all()  # the caller closes it
        return file


def _image(uri: str, headers: Mapping[str, str]) -> ImageRef:
    version = headers.get("etag") or headers.get("last-modified")
    size = headers.get("content-length", "")
    is_encoded = "content-encoding" in headers  # the length is then not the image's
    size_bytes = int(size) if size.isdecimal() and not is_encoded else None
    return ImageRef(uri, size_bytes, version, _modified_s(headers.get("last-modified", "")))


def _modified_s(header: str) -> float | None:
    """A time as headers have it; None where it is none."""
    try:
        parsed = parsedate_tz(header)
        return None if parsed is None else float(mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None


@contextmanager
def _follow(method: str, uri: str, deadline: Deadline) -> Iterator[tuple[Head, ResponseReader]]:
    """The response that a URI leads to at last, its body still to be read.

    Raises:
        OSError, ValueError, BrokenResponse: there is none; a URI, a server or a redirect is at fault.
    """
    for _ in range(_MAX_REDIRECTS + 1):
        request = requests.PreparedRequest()
        request.prepare_url(uri, None)
        parts = urlsplit(request.url or "")
        server = _server(parts.scheme, parts.netloc)
        asked = Request(method, server.target_of(request), server.headers)
        connect_timeout_s = min(CONNECT_TIMEOUT_S, deadline.left_s())
        with send_request(server, asked, lambda: (deadline, _nothing), connect_timeout_s) as reader:
            head = reader.head()
            if head.status not in _REDIRECTED or not (location := head.headers.get("location")):
                yield head, reader
                return
        uri = _next(request.url or "", location)
    raise OSError("too many redirects")


def _next(url: str, location: str) -> str:
    """Where a redirect leads, by the rules of `requests`; nowhere but to a web server."""
    target = requote_uri(location.encode("latin-1").decode("utf-8", "replace"))
    url, fragment = urldefrag(url)
    url = urljoin(url, target)
    if not is_web(url.lower()):
        raise ValueError("a redirect to what is not http or https")
    return url if "#" in url or not fragment else f"{url}#{fragment}"


def _nothing() -> None:
    """A request of which nobody counts when it leaves."""
