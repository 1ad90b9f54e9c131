"""Images -> Attempt: the nine calls of the contract, each over a connection of its own.

Three operations, each by `file` (multipart POST), `base64` (JSON POST) and `url` (GET).
Redirects are not followed and TLS is checked. No exception of this module, and nothing it
logs, holds a credential, an image or a response.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import urlencode

import requests
from requests import codes
from requests.auth import HTTPBasicAuth
from urllib3.fields import RequestField
from urllib3.filepost import choose_boundary

from cardbeam.errors import CardbeamError
from cardbeam.http.body import ImagePayload
from cardbeam.http.connection import Request, send_request
from cardbeam.http.content_encoding import ACCEPTED, WrongEncoding, decode
from cardbeam.http.deadline import Deadline
from cardbeam.http.http_response import KEPT_BYTES, BrokenResponse, Response, WrongFraming
from cardbeam.http.rate_headers import hold_s
from cardbeam.http.response import CallResult, outcome_of_response, seconds_of
from cardbeam.http.server import find_server
from schemas.contract import OPERATIONS
from schemas.outcomes import OUTCOMES, outcome_of_status
from schemas.response import MAX_RESPONSE_BYTES

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
    client_cert: str | None = None
    """A PEM file of a certificate and its key, for an endpoint that asks who connects."""


class Permit(Protocol):
    """The right to send one request."""

    def acquire(self) -> None:
        """Called when all is ready to be sent, the connection too; may raise to send nothing."""

    def mark_sent(self) -> None:
        """Called when the head of the request has left."""


class FreePermit:
    """Nothing is asked of anybody."""

    def acquire(self) -> None:
        """At once."""

    def mark_sent(self) -> None:
        """Nobody counts it."""


class _NotPermitted(CardbeamError):
    """No permit was given; the cause says why. Nothing was sent."""


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transfer = transfer
        self._timeout_s, self._clock = timeout_s, clock
        auth = HTTPBasicAuth(credentials.api_key.encode(), credentials.api_secret.encode())
        self._server = find_server(base_url, {}, auth, credentials.client_cert)
        self._boundary = choose_boundary()
        self._part_heads: dict[tuple[str, str], bytes] = {}
        method, content_type = _KINDS[transfer]
        params = {"format_type": transfer, "get_thumb": "true" if get_thumb else "false"}
        headers = {"Accept-Encoding": ACCEPTED}
        if content_type:
            headers["Content-Type"] = content_type.format(boundary=self._boundary)
        self._requests = {
            operation: self._prepare(method, f"{base_url.rstrip('/')}/{operation}", params, headers, auth)
            for operation in OPERATIONS
        }

    def call(self, operation: str, images: Sequence[ImagePayload], permit: Permit | None = None) -> CallResult:
        """Send one request and read what it means. Never raises for anything the network does.

        What `permit` raises comes through. From the moment that it is acquired, all takes `timeout_s` at the most.
        """
        started_s = self._clock()
        is_sent = False
        permit = permit or FreePermit()

        def begin() -> tuple[Deadline, Callable[[], object]]:
            nonlocal started_s
            try:
                permit.acquire()
            except Exception as error:
                raise _NotPermitted from error

            def mark_sent() -> None:
                nonlocal is_sent
                is_sent = True
                permit.mark_sent()

            started_s = self._clock()
            return Deadline(self._timeout_s, self._clock), mark_sent

        try:
            with send_request(self._server, self._load(operation, images), begin) as reader:
                response = reader.read(MAX_RESPONSE_BYTES + 1)
            attempt = attempt_of(response, self._transfer, time.time())
        except _NotPermitted as refusal:
            raise (refusal.__cause__ or refusal) from None
        except BrokenResponse as error:
            attempt = _attempt_of_broken(error)
        except OSError as error:
            lost = "timeout" if isinstance(error, TimeoutError) else "connection"
            attempt = CallResult(OUTCOMES[lost if is_sent else "unreachable"])
        return replace(attempt, latency_s=self._clock() - started_s)

    def _prepare(
        self, method: str, url: str, params: dict[str, str], headers: dict[str, str], auth: HTTPBasicAuth
    ) -> Request:
        """A kind of call, as `requests` prepares it."""
        with requests.Session() as session:
            asked = requests.Request(method, url, headers=headers, params=params, auth=auth)
            prepared = session.prepare_request(asked)
        return Request(method, self._server.target_of(prepared), self._server.header_lines(prepared))

    def _load(self, operation: str, images: Sequence[ImagePayload]) -> Request:
        """A request with what it carries, in pieces, so that no image is copied."""
        named = list(zip(OPERATIONS[operation].image_params, images, strict=True))
        request = self._requests[operation]
        if self._transfer == "url":
            urls = urlencode({name: sent.url for name, sent in named})
            return replace(request, target=f"{request.target}&{urls}")
        return replace(request, body=list(_json(named) if self._transfer == "base64" else self._multipart(named)))

    def _multipart(self, named: Sequence[tuple[str, ImagePayload]]) -> Iterator[bytes]:
        """Images as multipart/form-data (RFC 7578), in pieces."""
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


def _json(named: Sequence[tuple[str, ImagePayload]]) -> Iterator[bytes]:
    """Images as a JSON object of base64, in pieces: names and base64 have nothing to escape."""
    before = b"{"
    for name, sent in named:
        yield b'%b"%b":"' % (before, name.encode())
        yield base64.b64encode(sent.content)
        before = b'",'
    yield b'"}'


def attempt_of(response: Response, transfer: str, now_s: float) -> CallResult:
    """What a complete response means, its content encoding undone."""
    status, body = response.status, response.body
    outcome = outcome_of_status(status)
    try:
        if len(body) <= MAX_RESPONSE_BYTES:
            body = decode(body, response.headers.get("content-encoding", ""), MAX_RESPONSE_BYTES + 1)
            outcome = outcome_of_response(status, body, transfer)
    except WrongEncoding:
        pass  # the status says enough, and of HTTP 200 it is kept what came
    if len(body) > MAX_RESPONSE_BYTES:
        body, outcome = body[:KEPT_BYTES], outcome_of_status(status)
    kept = body if status == codes.ok else None
    retry_after_s = seconds_of(response.headers.get("retry-after"), now_s)
    return CallResult(outcome, status, kept, retry_after_s, hold_s=hold_s(response.headers, now_s))


def _attempt_of_broken(error: BrokenResponse) -> CallResult:
    """What came of a response is kept: the call may be billed. Where its status says enough, that holds."""
    if error.status not in (None, codes.ok):
        return CallResult(outcome_of_status(error.status), error.status)
    outcome = OUTCOMES["bad_reply" if isinstance(error, WrongFraming) else "connection"]
    return CallResult(outcome, error.status, error.received or None)
