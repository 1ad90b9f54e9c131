"""A cheap endpoint for measuring: reads and forgets what it is sent, answers after `--latency_s`.

With `--most_per_second N` it answers 429 when a request is more than the Nth within one second up
to it, refused ones included. `GET /stats` tells what it saw. One process on an event loop of C;
bodies go into one buffer that is never checked. It can be the web server of the images too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import time
from array import array
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_BUFFER_BYTES = 1024 * 1024
_CONFIDENCE = 0.9941802024841309
TYPE = "chip_id_card_front"
NAME = "ĐẶNG THỊ CẤY GIẤU"
"""On every card."""


def response() -> bytes:
    """An answer of the usual size, about 2 kB: a chip card's front, made up."""
    names = ("id", "name", "dob", "hometown", "address", "gender", "due_date", "nationality")
    texts = {"id": "001099000001", "name": NAME, "dob": "12-03-1999", "due_date": "12-03-2039"}
    info: dict[str, object] = {}
    for row, name in enumerate(names):
        info[name] = texts.get(name, "Xã Mẫu, Huyện Mẫu, Tỉnh Mẫu")
        info[f"{name}_confidence"] = _CONFIDENCE
        info[f"{name}_box"] = [212, 100 + 40 * row, 611, 138 + 40 * row]
    for place in ("address", "hometown"):
        for part in ("town", "district", "ward"):
            info[f"{place}_{part}"], info[f"{place}_{part}_code"] = "Mẫu", "21928"
    judged = {"valid": "True", "invalidCode": "0", "invalidMessage": "Successful"}
    data = [{"type": TYPE, "info": {**info, "image": ""}, **judged}]
    return json.dumps({"data": data, "errorCode": "0", "errorMessage": "Success"}).encode()


def _response(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return head + body


_IMAGE = re.compile(rb"(?:GET|HEAD) /images/([0-9]+[.]jpg) ")


class Endpoint:
    """What all connections share: the answer, the limit, and when each request came."""

    def __init__(self, latency_s: float, most_per_second: int, slow_every: int, images: str) -> None:
        self._latency_s, self._most, self._slow_every = latency_s, most_per_second, slow_every
        self._answer = _response(b"200 OK", response())
        self._refusal = _response(b"429 Too Many Requests", b"{}")
        self._last: deque[float] = deque(maxlen=most_per_second or 1)
        self._came_s, self.refused = array("d"), 0
        self._images = Path(images)

    def take(self) -> bytes:
        """One request came: the answer to it."""
        now_s = time.monotonic()
        is_too_many = bool(self._most) and len(self._last) == self._most and now_s - self._last[0] < 1.0
        self._last.append(now_s)
        self._came_s.append(now_s)
        self.refused += is_too_many
        return self._refusal if is_too_many else self._answer

    @property
    def latency_s(self) -> float:
        """Seconds until the answer to the request that came last."""
        is_slow = self._slow_every and len(self._came_s) % self._slow_every == 0
        return self._latency_s * (4 if is_slow else 1)

    def image(self, name: bytes, *, with_content: bool) -> bytes:
        """What a web server says of an image."""
        content = (self._images / name.decode()).read_bytes()
        head = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n' % len(content)
        return head + content if with_content else head

    def stats(self) -> bytes:
        """When requests came, on the monotonic clock that all processes of a machine share."""
        return _response(
            b"200 OK",
            json.dumps({"came_s": list(self._came_s), "refused": self.refused, "cpu_s": time.process_time()}).encode(),
        )


class _Connection(asyncio.BufferedProtocol):
    """HTTP/1.1 without a thought for anything that `requests` does not send."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._loop = endpoint, asyncio.get_running_loop()
        self._buffer, self._held, self._body_left = bytearray(_BUFFER_BYTES), 0, 0
        self._answer: bytes | None = None
        self._latency_s = 0.0

    def connection_made(self, transport: Any) -> None:
        """Keep the way back; uvloop's transports are not asyncio's."""
        self._transport: asyncio.Transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """A body over what is there, a head after it."""
        return memoryview(self._buffer)[0 if self._body_left else self._held :]

    def buffer_updated(self, nbytes: int) -> None:
        """Count a body down; read a head when it is whole."""
        if self._body_left:
            self._body_left -= nbytes
        else:
            self._held += nbytes
            end = self._buffer.find(_HEAD_ENDS, 0, self._held)
            if end < 0:
                return
            self._start(bytes(self._buffer[:end]), self._held - end - len(_HEAD_ENDS))
        if not self._body_left and self._answer is not None:
            self._loop.call_later(self._latency_s, self._send, self._answer)
            self._answer = None

    def _start(self, head: bytes, body_bytes: int) -> None:
        self._held = 0
        found = _LENGTH.search(head)
        self._body_left = (int(found[1]) if found else 0) - body_bytes
        if head.startswith(b"GET /stats"):
            self._transport.write(self._endpoint.stats())
        elif image := _IMAGE.match(head):
            self._transport.write(self._endpoint.image(image[1], with_content=head.startswith(b"GET")))
        else:
            self._answer, self._latency_s = self._endpoint.take(), self._endpoint.latency_s

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(endpoint: Endpoint) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(endpoint), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def run_in_real_time() -> None:
    """Come before all else the machine does, where that is allowed (root): its load moves no arrival then."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def main() -> None:
    """Serve on a free port of this machine, which is printed, until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency_s", type=float, default=0.0)
    parser.add_argument("--most_per_second", type=int, default=0)
    parser.add_argument("--slow_every", type=int, default=0, help="every so many-th takes four times as long")
    parser.add_argument("--images", default="", help="a folder that is served as /images/")
    parser.add_argument("--real_time", action="store_true")
    asked = parser.parse_args()
    if asked.real_time:
        run_in_real_time()
    uvloop.run(_serve(Endpoint(asked.latency_s, asked.most_per_second, asked.slow_every, asked.images)))


if __name__ == "__main__":
    main()
