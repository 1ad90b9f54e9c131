"""Pictures -> Attempt: the nine calls of the contract over pooled connections.

Three operations, each by `file` (multipart POST), `base64` (JSON POST) and `url` (GET).
Redirects are not followed and TLS is checked. No exception of this module, and nothing it
logs, holds a credential, a picture or a reply.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

from requests import codes
from requests.auth import HTTPBasicAuth
from urllib3 import Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, ProxyError
from urllib3.exceptions import TimeoutError as TooLong
from urllib3.fields import RequestField
from urllib3.filepost import choose_boundary

from schemas.contract import OPERATIONS
from schemas.outcomes import OUTCOMES, Outcome, outcome_of_error_code, outcome_of_status
from schemas.reply import BadReply, parse_reply
from transforms.lines import Admit, Call, Lines, NotAdmitted

_CONNECT_TIMEOUT_S = 10.0
_MAX_REPLY_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_KINDS = {
    "file": ("POST", "multipart/form-data; boundary={boundary}"),
    "base64": ("POST", "application/json"),
    "url": ("GET", ""),
}
"""Method and content type of each transfer."""
_FILE_NAMES = {"application/pdf": "picture.pdf", "image/png": "picture.png"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the endpoint asks for. Never printed: the values are out of the repr."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture as it is sent: its bytes and content type, or a URL."""

    content: bytes = b""
    content_type: str = ""
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one request. `body` is kept where it may have been paid for."""

    outcome: Outcome
    status: int | None = None
    body: bytes | None = None
    retry_after_s: float | None = None
    latency_s: float = 0.0


_NOT_OPENED = (ConnectTimeoutError, ProxyError)
"""Errors of opening a connection, refused ones and unknown hosts among them."""


class _TooLate(Exception):
    """The reply trickled in for longer than the time-out."""


class CardClient:
    """Calls one endpoint; shared by the threads of a process."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        transfer: str = "file",
        get_thumb: bool = False,
        timeout_s: float = 30.0,
        connections: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transfer = transfer
        self._timeout_s, self._clock = timeout_s, clock
        self._lines = Lines(
            base_url,
            HTTPBasicAuth(credentials.api_key.encode(), credentials.api_secret.encode()),
            connections,
            Timeout(connect=_CONNECT_TIMEOUT_S, read=timeout_s),
        )
        self._boundary = choose_boundary()
        self._part_heads: dict[tuple[str, str], bytes] = {}
        method, content_type = _KINDS[transfer]
        params = {"format_type": transfer, "get_thumb": "true" if get_thumb else "false"}
        headers = {"Content-Type": content_type.format(boundary=self._boundary)} if content_type else {}
        self._calls = {
            operation: self._lines.prepare(method, f"{base_url.rstrip('/')}/{operation}", params, headers)
            for operation in OPERATIONS
        }

    def close(self) -> None:
        """Let go of the connections."""
        self._lines.close()

    def call(self, operation: str, pictures: Sequence[Sent], admit: Admit = lambda: _nothing) -> Attempt:
        """Send one request and read what it means. Never raises for anything the network does.

        `admit` is called when all is ready to be sent, the connection too, and may raise to send nothing; what it
        returns is called when the head of the request has left.
        """
        started_s = self._clock()
        is_open = False

        def begin() -> Callable[[], object]:
            nonlocal started_s, is_open
            is_open = True
            left = admit()
            started_s = self._clock()
            return left

        def is_late() -> bool:
            return self._clock() - started_s > self._timeout_s

        try:
            status, body, retry_after = self._exchange(*self._load(operation, pictures), begin, is_late)
        except NotAdmitted as refusal:
            raise (refusal.__cause__ or refusal) from None
        except (HTTPError, _TooLate) as error:
            was_sent = is_open and not isinstance(error, _NOT_OPENED)
            return Attempt(_outcome_of(error, was_sent=was_sent), latency_s=self._clock() - started_s)
        outcome = outcome_of_reply(status, body, self._transfer)
        kept = body if status == codes.ok else None
        return Attempt(outcome, status, kept, seconds_of(retry_after, time.time()), self._clock() - started_s)

    def _exchange(
        self, call: Call, pieces: Sequence[bytes] | None, admit: Admit, is_late: Callable[[], bool]
    ) -> tuple[int, bytes, str | None]:
        with self._lines.send(call, pieces, admit) as response:
            chunks, size_bytes = [], 0
            # what is there, as it comes: a read of so much would wait for it, however slowly it trickles in
            while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
                chunks.append(chunk)
                size_bytes += len(chunk)
                if size_bytes > _MAX_REPLY_BYTES:
                    return response.status, b"", None  # beyond any contract
                if is_late():
                    raise _TooLate
            return response.status, b"".join(chunks), response.headers.get("Retry-After")

    def _load(self, operation: str, pictures: Sequence[Sent]) -> tuple[Call, Sequence[bytes] | None]:
        """A call with what it carries, in pieces, so that no picture is copied."""
        named = list(zip(OPERATIONS[operation].picture_params, pictures, strict=True))
        call = self._calls[operation]
        if self._transfer == "url":
            urls = urlencode({name: sent.url for name, sent in named})
            return replace(call, target=f"{call.target}&{urls}"), None
        if self._transfer == "base64":
            return call, list(_json(named))
        return call, list(self._multipart(named))

    def _multipart(self, named: Sequence[tuple[str, Sent]]) -> Iterator[bytes]:
        """Pictures as multipart/form-data (RFC 7578), in pieces."""
        between = b""
        for name, sent in named:
            yield between + self._part_head(name, sent.content_type)
            yield sent.content
            between = b"\r\n"
        yield f"\r\n--{self._boundary}--\r\n".encode()

    def _part_head(self, name: str, content_type: str) -> bytes:
        """There are few: each is made once."""
        known = self._part_heads.get((name, content_type))
        if known is not None:
            return known
        field = RequestField(name, b"", filename=_FILE_NAMES.get(content_type, "picture.jpg"))
        field.make_multipart(content_type=content_type)
        head = f"--{self._boundary}\r\n{field.render_headers()}".encode()
        return self._part_heads.setdefault((name, content_type), head)


def _nothing() -> None:
    """What is done when a request that asked nobody has left."""


def _json(named: Sequence[tuple[str, Sent]]) -> Iterator[bytes]:
    """Pictures as a JSON object of base64, in pieces: names and base64 have nothing to escape."""
    before = b"{"
    for name, sent in named:
        yield b'%b"%b":"' % (before, name.encode())
        yield base64.b64encode(sent.content)
        before = b'",'
    yield b'"}'


def _outcome_of(error: HTTPError | _TooLate, *, was_sent: bool) -> Outcome:
    """No connection, a time-out, or a connection that was lost after the request."""
    if not was_sent:
        return OUTCOMES["unreachable"]
    return OUTCOMES["timeout" if isinstance(error, (_TooLate, TooLong)) else "connection"]


def outcome_of_reply(status: int, body: bytes, transfer: str) -> Outcome:
    """Status and body -> Outcome.

    A refusal (4xx) that carries the contract's envelope is taken at its errorCode, so that one
    bad picture never looks like a caller at fault.
    """
    if status == codes.ok:
        try:
            return outcome_of_error_code(parse_reply(body).error_code, transfer)
        except BadReply:
            return OUTCOMES["bad_reply"]
    outcome = outcome_of_status(status)
    if status in (codes.bad_request, codes.unsupported_media_type, codes.unprocessable):
        try:
            reply = parse_reply(body)
        except BadReply:
            return outcome
        if not reply.is_success:
            return outcome_of_error_code(reply.error_code, transfer)
    return outcome


def seconds_of(retry_after: str | None, now_s: float) -> float | None:
    """A Retry-After header, in seconds or as a date, as seconds from now; None where it is neither."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now_s)
    except (ValueError, OverflowError):  # the latter of a time zone that is out of this world
        return None
