"""A web server as this machine reaches it: proxies, certificates and credentials of the environment, looked up once.

They are found as `requests` finds them; urllib3 opens the connections.
"""

from __future__ import annotations

import io
import socket
from dataclasses import dataclass, field, replace
from http.client import HTTPException, HTTPResponse
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util.proxy import connection_requires_http_tunnel
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from cardbeam.http.deadline import Deadline


@dataclass(frozen=True, slots=True)
class HttpServer:
    """Opens connections to one server. `headers` are those of a GET or HEAD as they are sent, credentials included."""

    pool: HTTPConnectionPool
    adapter: HTTPAdapter
    headers: bytes = field(repr=False)
    proxies: dict[str, str] = field(repr=False)

    def header_lines(self, request: requests.PreparedRequest) -> bytes:
        """The headers of a request as they are sent; the length of its body is left to the sender."""
        host = urlsplit(request.url or "").netloc.rpartition("@")[2]
        fields = {"Host": host, **request.headers, "Connection": "close"}
        if self._is_forwarded:
            fields |= dict(self.pool.proxy_headers)
        fields.pop("Content-Length", None)
        return b"".join(b"%b: %b\r\n" % (_bytes(name), _bytes(value)) for name, value in fields.items())

    def target_of(self, request: requests.PreparedRequest) -> str:
        """What stands behind the method in the first line of a request."""
        return self.adapter.request_url(request, self.proxies)

    def connect(self, timeout_s: float) -> socket.socket:
        """A new connection, through the proxy and with TLS where these are needed.

        Raises:
            TimeoutError: it took too long.
            OSError: it was refused, or the server could not prove who it is.
        """
        connection: Any = self.pool._new_conn()
        connection.timeout = timeout_s
        connection.response_class = _TunnelResponse
        try:
            if self.pool.proxy is not None and not self._is_forwarded:
                self.pool._prepare_proxy(connection)
            else:
                connection.connect()
        except (HTTPError, HTTPException, OSError) as error:
            connection.close()
            if isinstance(error, OSError):
                raise
            is_late = isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError)
            raise (TimeoutError if is_late else ConnectionError)(type(error).__name__) from error
        return cast(socket.socket, connection.sock)

    @property
    def _is_forwarded(self) -> bool:
        """Whether a proxy takes the requests themselves, not a tunnel."""
        pool = self.pool
        needs_tunnel = connection_requires_http_tunnel(pool.proxy, pool.proxy_config, pool.scheme)
        return pool.proxy is not None and not needs_tunnel


def find_server(
    url: str, headers: dict[str, str], auth: AuthBase | None = None, client_cert: str | None = None
) -> HttpServer:
    """Look up proxies and certificates; without `auth` the credentials too, in the URL and in netrc.

    `client_cert` is a PEM file of a certificate and its key, for a server that asks who connects.

    Raises:
        requests.RequestException: not a URL.
        OSError: the certificates that the environment or `client_cert` names are not there, or are not whole.
    """
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, None, None, None)
        prepared = session.prepare_request(requests.Request("GET", url, headers=headers, auth=auth))
    verify, cert = settings["verify"], client_cert or settings["cert"]
    found = adapter.get_connection_with_tls_context(prepared, verify, settings["proxies"], cert)
    adapter.cert_verify(found, url, verify, cert)  # type: ignore[no-untyped-call]
    pool = cast(HTTPConnectionPool, found)
    if isinstance(pool, HTTPSConnectionPool) and (pool.proxy is None or pool.proxy.scheme != "https"):
        _share_context(pool)
    server = HttpServer(pool, adapter, b"", dict(settings["proxies"]))
    return replace(server, headers=server.header_lines(prepared))


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _share_context(pool: HTTPSConnectionPool) -> None:
    """Read the certificates once: urllib3 reads them for each connection, which takes longer than all else does."""
    context = create_urllib3_context(cert_reqs=resolve_cert_reqs(pool.cert_reqs))
    if pool.ca_certs or pool.ca_cert_dir:
        context.load_verify_locations(pool.ca_certs, pool.ca_cert_dir)
    if pool.cert_file:
        context.load_cert_chain(pool.cert_file, pool.key_file)
    pool.conn_kw["ssl_context"] = context
    pool.ca_certs = pool.ca_cert_dir = pool.cert_file = pool.key_file = None


class _TunnelResponse(HTTPResponse):
    """A proxy's response to CONNECT, all of which comes within the time that one wait may take."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Timed(sock, Deadline(sock.gettimeout() or 0.0)))


class _Timed(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline, self._timeout_s = sock, deadline, sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left_s())
        try:
            return self._sock.recv_into(buffer)
        finally:
            self._sock.settimeout(self._timeout_s)
