"""Connections to one endpoint: what `requests` prepares, sent over the pool of its adapter.

`requests` looks up proxies and certificates and prepares each kind of call once. What it does
for every call besides (cookies, hooks, redirects, the pool looked up anew) the contract has no
use for, and it costs more than the sending: see `bench calls`. A permission to send is asked
for when a connection stands ready, so that what a quota counts leaves at once.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Retry, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse
from urllib3.util.connection import is_connection_dropped

from transforms.pools import find_pool

_NEVER_AGAIN = Retry.from_int(retries=False, redirect=False)
"""Errors come as they are, replies too: whether to send again is decided elsewhere."""
_FRESH_S = 0.01
"""So long after the pool looked, a connection need not be looked at again."""


class NotAdmitted(Exception):
    """No permission was given; the cause says why. Nothing was sent."""


class _Dropped(Exception):
    """The connection was closed by the other side while its request waited for permission."""


Admit = Callable[[], Callable[[], object]]
"""Asked before the first byte of a request leaves; what it returns is called when the head has left."""


@dataclass(slots=True)
class _Load:
    """A body in pieces, and what is asked once before it is sent."""

    pieces: Sequence[bytes] | None
    admit: Admit
    timeout_s: float | None
    """For sending it all: urllib3 would give it the time that a connection may take, too short for a big picture."""
    left: Callable[[], object] | None = None


class _Admitted(HTTPConnection):
    """A connection that is open before its request asks for permission: to open one takes long."""

    _load: _Load | None = None

    def request(self, method: str, url: str, body: Any = None, *arguments: Any, **options: Any) -> None:
        """Connect, ask, send."""
        load: _Load = body
        if self.is_closed:
            self.connect()
        if load.left is None:
            came_s = time.monotonic()
            try:
                load.left = load.admit()
            except Exception as error:
                raise NotAdmitted from error
            if time.monotonic() - came_s > _FRESH_S and is_connection_dropped(self):
                raise _Dropped
        self._load = load
        super().request(method, url, None, *arguments, **options)

    def send(self, data: Any) -> None:
        """The head of a request, and its body with it; or what is said to a proxy on the way."""
        load, self._load = self._load, None
        if load is None or load.left is None:
            super().send(data)
            return
        self.sock.settimeout(load.timeout_s)
        _send_all(self.sock, [data, *(load.pieces or ())], load.left)


def _send_all(sock: socket.socket, pieces: list[bytes], left: Callable[[], object]) -> None:
    """Send pieces, as many at once as go: each by itself would wake the other side, and threads here, once more.

    `left` is called when the first of them has left.
    """
    if type(sock) is socket.socket:
        sent_bytes = sock.sendmsg(pieces)
    else:  # over TLS there is no such call
        sent_bytes = len(pieces[0])
        sock.sendall(pieces[0])
    left()
    for piece in pieces:
        if sent_bytes < len(piece):
            sock.sendall(memoryview(piece)[sent_bytes:] if sent_bytes else piece)
        sent_bytes = max(0, sent_bytes - len(piece))


class _AdmittedTls(_Admitted, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Admitted


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _AdmittedTls


class _Adapter(HTTPAdapter):
    """The adapter of `requests`, with connections of our kind."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        _use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        _use_our_pools(manager)
        return manager


def _use_our_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


@dataclass(frozen=True, slots=True)
class Call:
    """What all calls of one kind share: method, target, headers."""

    method: str
    target: str
    headers: dict[str, str]


class Lines:
    """The pooled connections to one endpoint, shared by the threads of a process."""

    def __init__(self, base_url: str, auth: AuthBase, connections: int, timeout: Timeout) -> None:
        self._timeout = timeout
        self._auth = auth
        adapter = _Adapter(pool_connections=1, pool_maxsize=connections, pool_block=False)
        self._found = find_pool(adapter, base_url, {}, auth)

    def close(self) -> None:
        """Let go of the connections."""
        self._found.adapter.close()

    def prepare(self, method: str, url: str, params: dict[str, str], headers: dict[str, str]) -> Call:
        """A kind of call, as `requests` prepares it."""
        with requests.Session() as session:
            asked = requests.Request(method, url, headers=headers, params=params, auth=self._auth)
            prepared = session.prepare_request(asked)
        prepared.headers.pop("Content-Length", None)
        return Call(method, self._found.target_of(prepared), dict(prepared.headers))

    @contextmanager
    def send(self, call: Call, pieces: Sequence[bytes] | None, admit: Admit) -> Iterator[BaseHTTPResponse]:
        """The reply, whose body is still to be read. A connection whose reply was not read to its end is given up.

        Raises:
            NotAdmitted: `admit` raised.
            urllib3.exceptions.HTTPError: the network did.
        """
        load = _Load(pieces, admit, self._timeout.read_timeout)
        headers = dict(call.headers)
        if pieces is not None:
            headers["Content-Length"] = str(sum(map(len, pieces)))
        try:
            response = self._open(call, load, headers)
        except _Dropped:  # now that it may be sent, over another
            response = self._open(call, load, headers)
        try:
            yield response
        finally:
            response.close()
            response.release_conn()

    def _open(self, call: Call, load: _Load, headers: dict[str, str]) -> BaseHTTPResponse:
        return self._found.pool.urlopen(
            call.method,
            call.target,
            load,  # type: ignore[arg-type]  # for `_Admitted`
            headers,
            _NEVER_AGAIN,
            redirect=False,
            assert_same_host=False,
            timeout=self._timeout,
            preload_content=False,
            decode_content=False,
        )
