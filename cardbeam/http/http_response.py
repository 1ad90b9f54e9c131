"""Bytes of a connection -> one HTTP/1.1 response (RFC 9112), whatever else the server sends.

Interim responses (1xx) are skipped until the final one. The body ends where its framing says: after a length, after the
last chunk, or with the connection. Framing that can be read in two ways is refused. No socket is known here: bytes come
by a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from cardbeam.errors import CardbeamError

MAX_HEAD_BYTES = 64 * 1024
"""Of all heads of a response together, the interim ones too, with their lines."""
MAX_HEADERS = 256
_MAX_CHUNK_LINE_BYTES = 4096
_PIECE_BYTES = 256 * 1024
KEPT_BYTES = 1024 * 1024
"""What is kept of a broken response at the most: it may have been billed, and says what is wrong."""

Receive = Callable[[int], bytes]
"""Up to that many bytes, as they come; none at the end of the connection. Raises OSError."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?:[ \t].*)?", re.DOTALL)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"content-encoding"})
"""Headers that say where the body ends and what its bytes mean: one that is misspelt is not passed over."""
_SWITCHING_PROTOCOLS = 101
_WITHOUT_BODY = frozenset({204, 304})


class BrokenResponse(CardbeamError):
    """No complete response came. `status` is None before its head was read; `received` is what came of it."""

    def __init__(self, reason: str, status: int | None = None, received: bytes = b"") -> None:
        super().__init__(reason)
        self.status, self.received = status, received[:KEPT_BYTES]


class WrongFraming(BrokenResponse):
    """Bytes that are no HTTP/1.1 response, or whose end is not clear."""


class Truncated(BrokenResponse):
    """The connection ended before the response did."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of the final response, and how its body is framed."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; the values of a repeated one are joined by commas."""
    length: int | None = None
    """Bytes of the body; None where the connection ends it, or chunks do."""
    is_chunked: bool = False

    @property
    def is_delimited(self) -> bool:
        """Whether the body says itself where it ends: one that the connection ends may be cut off anywhere."""
        return self.is_chunked or self.length is not None


@dataclass(frozen=True, slots=True)
class Response:
    """A final response with its body as it came, content encoding and all."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class ResponseReader:
    """Reads one response. `received` is what came of it already."""

    def __init__(self, receive: Receive, method: str, received: bytes = b"") -> None:
        self._receive, self._method = receive, method
        self._buffer = bytearray(received)
        self._head_bytes_left = MAX_HEAD_BYTES

    def read(self, max_bytes: int) -> Response:
        """The response with up to `max_bytes` of its body; what follows them is not read.

        Raises:
            BrokenResponse: it has no clear end, or the connection ended before it.
            TimeoutError: `receive` did.
        """
        head = self.head()
        return Response(head.status, head.headers, self.body(head, max_bytes))

    def head(self) -> Head:
        """The head of the final response.

        Raises:
            BrokenResponse, TimeoutError: as `read`.
        """
        came = bytearray()
        try:
            while True:
                minor, status = self._status_line(came)
                fields = list(self._header_lines(came))
                if status >= 200:
                    return _head(minor, status, fields, self._method)
                if status == _SWITCHING_PROTOCOLS:
                    raise WrongFraming("switches to a protocol that was not asked for")
        except BrokenResponse as error:
            raise type(error)(str(error), None, bytes(came + self._buffer)) from error

    def body(self, head: Head, max_bytes: int) -> bytes:
        """Up to `max_bytes` of the body.

        Raises:
            BrokenResponse, TimeoutError: as `read`.
        """
        body = bytearray()
        try:
            for piece in self.pieces(head):
                body += piece
                if len(body) >= max_bytes:
                    break
        except BrokenResponse as error:
            raise type(error)(str(error), head.status, bytes(body + error.received + self._buffer)) from error
        del body[max_bytes:]
        return bytes(body)

    def pieces(self, head: Head) -> Iterator[bytes]:
        """The body in pieces, as they come. Trailers are left unread: they end nothing.

        Raises:
            BrokenResponse, TimeoutError: as `read`.
        """
        if head.is_chunked:
            while size := self._chunk_size():
                yield from self._exactly(size)
                if self._line(_MAX_CHUNK_LINE_BYTES):
                    raise WrongFraming("a chunk is longer than it says")
        elif head.length is not None:
            yield from self._exactly(head.length)
        else:
            while piece := self._take(_PIECE_BYTES):
                yield piece

    def _status_line(self, came: bytearray) -> tuple[int, int]:
        line = self._head_line(came)
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            raise WrongFraming("does not begin as HTTP/1.1 does")
        return int(found[1]), int(found[2])

    def _header_lines(self, came: bytearray) -> Iterator[bytes]:
        for _ in range(MAX_HEADERS):
            if not (line := self._head_line(came)):
                return
            yield line
        raise WrongFraming(f"more than {MAX_HEADERS} headers")

    def _head_line(self, came: bytearray) -> bytes:
        try:
            line = self._line(self._head_bytes_left)
        except Truncated:
            if came or b"HTTP/".startswith(self._buffer[:5]):
                raise
            raise WrongFraming("is not HTTP/1.1") from None
        self._head_bytes_left -= len(line) + 2
        came += line + b"\r\n"
        return line

    def _line(self, max_bytes: int) -> bytes:
        """The next line without its end, which may be a line feed alone."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > max_bytes:
                raise WrongFraming("a line without an end, or too large a head")
            if not self._fill():
                raise Truncated("the connection ended in the middle of a line")
        if end > max_bytes:
            raise WrongFraming("too long a line, or too large a head")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line[:-1] if line.endswith(b"\r") else line

    def _chunk_size(self) -> int:
        line = self._line(_MAX_CHUNK_LINE_BYTES)
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise WrongFraming("a chunk without a size", received=line)
        return int(found[1], 16)

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._take(min(size, _PIECE_BYTES))
            if not piece:
                raise Truncated("the connection ended in the middle of the body")
            size -= len(piece)
            yield piece

    def _take(self, size: int) -> bytes:
        """Up to that many bytes of the body; none at the end of the connection."""
        if not self._buffer:
            return self._read(size)
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    def _fill(self) -> bool:
        """Whether more came."""
        more = self._read(_PIECE_BYTES)
        self._buffer += more
        return bool(more)

    def _read(self, size: int) -> bytes:
        try:
            return self._receive(size)
        except TimeoutError:
            raise
        except OSError as error:
            raise Truncated(f"the connection broke: {error.strerror or type(error).__name__}") from error


def _head(minor: int, status: int, lines: list[bytes], method: str) -> Head:
    fields = _fields(lines)
    length, is_chunked = _framing(minor, fields.get(b"content-length", []), fields.get(b"transfer-encoding", []))
    if method == "HEAD" or status in _WITHOUT_BODY:
        length, is_chunked = 0, False
    headers = {name.decode("latin-1"): b", ".join(values).decode("latin-1") for name, values in fields.items()}
    return Head(status, headers, length, is_chunked)


def _fields(lines: list[bytes]) -> dict[bytes, list[bytes]]:
    """Values by name. What is no header is passed over, as nothing depends on it; what looks like framing is not."""
    fields: dict[bytes, list[bytes]] = {}
    last: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):  # folded, as headers were once
            last[-1:] = [b" ".join((*last[-1:], line.strip()))]
            continue
        name, colon, value = line.partition(b":")
        key = name.lower()
        if key not in _FRAMING and key.strip() in _FRAMING:
            raise WrongFraming("white space around the name of a header that says how the body is framed")
        last = fields.setdefault(key, []) if colon and key else []
        last.append(value.strip(b" \t"))
    return fields


def _framing(minor: int, lengths: list[bytes], codings: list[bytes]) -> tuple[int | None, bool]:
    """Length of the body, if one is told; whether it comes in chunks."""
    if codings:
        if lengths or minor == 0 or [coding.lower() for coding in codings] != [b"chunked"]:
            raise WrongFraming("a transfer encoding that is not chunked alone")
        return None, True
    message = {length.strip(b" \t") for value in lengths for length in value.split(b",")}
    if not message:
        return None, False
    if len(message) > 1 or not _LENGTH.fullmatch(length := message.pop()):
        raise WrongFraming("a length that is no number, or several")
    return int(length), False
