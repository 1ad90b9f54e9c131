"""Pictures -> Attempt: the nine calls of the contract over one pooled `requests` session.

Three operations, each by `file` (multipart POST), `base64` (JSON POST) and `url` (GET).
Redirects are not followed and TLS is checked. No exception of this module, and nothing it
logs, holds a credential, a picture or a reply.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

import orjson
import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.fields import RequestField
from urllib3.filepost import choose_boundary

from schemas.contract import OPERATIONS
from schemas.outcomes import OUTCOMES, Outcome, outcome_of_error_code, outcome_of_status
from schemas.reply import BadReply, parse_reply

_CONNECT_TIMEOUT_S = 10.0
_MAX_REPLY_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
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
        self._base_url = base_url.rstrip("/")
        self._transfer = transfer
        self._params = {"format_type": transfer, "get_thumb": "true" if get_thumb else "false"}
        self._timeout_s, self._clock = timeout_s, clock
        self._session = _open_session(self._base_url, credentials, connections)
        self._boundary = choose_boundary()
        self._templates = {operation: self._template(operation) for operation in OPERATIONS}

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def call(self, operation: str, pictures: Sequence[Sent], admit: Callable[[], object] = lambda: None) -> Attempt:
        """Send one request and read what it means. Never raises for anything the network does.

        `admit` is called when all is ready to be sent, and may raise to send nothing.
        """
        request = self._prepare(operation, pictures)
        admit()
        started_s = self._clock()
        try:
            status, body, retry_after = self._exchange(request, started_s + self._timeout_s)
        except (requests.Timeout, ReadTimeoutError, _TooLate):
            return Attempt(OUTCOMES["timeout"], latency_s=self._clock() - started_s)
        except (requests.RequestException, HTTPError):
            return Attempt(OUTCOMES["connection"], latency_s=self._clock() - started_s)
        outcome = outcome_of_reply(status, body, self._transfer)
        kept = body if status == requests.codes.ok else None
        return Attempt(outcome, status, kept, seconds_of(retry_after, time.time()), self._clock() - started_s)

    def _exchange(self, request: requests.PreparedRequest, deadline_s: float) -> tuple[int, bytes, str | None]:
        timeouts = (_CONNECT_TIMEOUT_S, self._timeout_s)
        with self._session.send(request, timeout=timeouts, allow_redirects=False, stream=True) as response:
            chunks, size_bytes = [], 0
            # what is there, as it comes: iter_content would wait for a whole chunk, however slowly it trickles in
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
                chunks.append(chunk)
                size_bytes += len(chunk)
                if size_bytes > _MAX_REPLY_BYTES:
                    return response.status_code, b"", None  # beyond any contract
                if self._clock() > deadline_s:
                    raise _TooLate
            return response.status_code, b"".join(chunks), response.headers.get("Retry-After")

    def _prepare(self, operation: str, pictures: Sequence[Sent]) -> requests.PreparedRequest:
        """A request from the template of its operation: preparing each anew costs a third of a call."""
        named = list(zip(OPERATIONS[operation].picture_params, pictures, strict=True))
        request = self._templates[operation].copy()
        if self._transfer == "url":
            request.url = f"{request.url}&{urlencode({name: sent.url for name, sent in named})}"
            return request
        if self._transfer == "base64":
            pieces = [orjson.dumps({name: base64.b64encode(sent.content).decode("ascii") for name, sent in named})]
        else:
            pieces = list(self._multipart(named))
        # One after the other, so that no picture is copied: requests takes any iterable, its stubs name two kinds.
        request.body = pieces  # type: ignore[assignment]
        request.headers["Content-Length"] = str(sum(map(len, pieces)))
        return request

    def _multipart(self, named: Sequence[tuple[str, Sent]]) -> Iterator[bytes]:
        """Pictures as multipart/form-data (RFC 7578), in pieces."""
        between = b""
        for name, sent in named:
            yield between + self._part_head(name, sent.content_type)
            yield sent.content
            between = b"\r\n"
        yield f"\r\n--{self._boundary}--\r\n".encode()

    def _part_head(self, name: str, content_type: str) -> bytes:
        field = RequestField(name, b"", filename=_FILE_NAMES.get(content_type, "picture.jpg"))
        field.make_multipart(content_type=content_type)
        return f"--{self._boundary}\r\n{field.render_headers()}".encode()

    def _template(self, operation: str) -> requests.PreparedRequest:
        method = "GET" if self._transfer == "url" else "POST"
        content_types = {"base64": "application/json", "file": f"multipart/form-data; boundary={self._boundary}"}
        request = self._session.prepare_request(
            requests.Request(method, f"{self._base_url}/{operation}", params=self._params)
        )
        if self._transfer in content_types:
            request.headers["Content-Type"] = content_types[self._transfer]
        return request


def _open_session(base_url: str, credentials: Credentials, connections: int) -> requests.Session:
    """A session with the machine's proxies and certificates looked up once instead of at each call."""
    session = requests.Session()
    found = session.merge_environment_settings(base_url, {}, None, None, None)
    session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
    session.trust_env = False
    session.auth = HTTPBasicAuth(credentials.api_key.encode(), credentials.api_secret.encode())
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections, pool_block=False)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def outcome_of_reply(status: int, body: bytes, transfer: str) -> Outcome:
    """Status and body -> Outcome.

    A refusal (4xx) that carries the contract's envelope is taken at its errorCode, so that one
    bad picture never looks like a caller at fault.
    """
    if status == requests.codes.ok:
        try:
            return outcome_of_error_code(parse_reply(body).error_code, transfer)
        except BadReply:
            return OUTCOMES["bad_reply"]
    outcome = outcome_of_status(status)
    if outcome.code in ("http_400", "http_415", "http_422"):
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
    except ValueError:
        return None
