"""URL -> bytes, for a caller who is not trusted: what may be reached, for how long and how much is bounded."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from urllib.parse import urljoin

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool

from endpoint.errors import EndpointError

Resolve = Callable[[str, int], list[str]]
"""Host name and port -> its addresses as text. Raises OSError where there are none."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last four bytes
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that the internet's registries assign (RFC 4291); the rest is local, reserved or a translator's."""
_RESERVED = (
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's agent and name server: a public address of each machine's own
    ipaddress.ip_network("192.88.99.0/24"),  # RFC 7526: relays of 6to4
    ipaddress.ip_network("2001::/23"),  # RFC 2928: protocols (Teredo is judged by what it wraps)
    ipaddress.ip_network("3fff::/20"),  # RFC 9637: documentation
)
"""Addresses that Python's tables, at least those of older versions, take for public."""
_ISATAP = (0x00005EFE, 0x02005EFE)  # RFC 5214: an IPv4 address in the last four bytes behind one of these
_CHUNK_BYTES = 65536
_HEADERS = {"User-Agent": "cardbeam", "Accept": "image/*, application/pdf", "Accept-Encoding": "identity"}


class UrlUnavailable(EndpointError):
    """The URL can't or may not be fetched (the contract's errorCode 2). The message never holds the URL."""


@dataclass(frozen=True, slots=True)
class FetchBounds:
    """How far one fetch may go. `timeout_s` is for the whole of it, redirects included; only a name look-up
    in progress is not cut short (the system's resolver has its own limits). `may_reach` judges an address."""

    max_bytes: int
    timeout_s: float
    max_redirects: int
    may_reach: Callable[[str], bool]


def fetch(url: str, bounds: FetchBounds, resolve: Resolve | None = None) -> bytes:
    """Absolute http(s) URL -> the body of its 200. Raises UrlUnavailable.

    A name is resolved once for each connection and the connection goes to the address that was checked,
    so that a second answer of the name server can't lead elsewhere. Proxies of the environment are not used:
    they would resolve the name themselves.
    """
    dialler = _Dialler(bounds, resolve or _addresses_of)
    try:
        with dialler.deadline(), contextlib.closing(_Adapter(dialler)) as adapter:
            body = _follow(url, bounds, adapter)
            dialler.left_s()  # a body without a length that was cut by the deadline looks whole
            return body
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise UrlUnavailable(type(error).__name__) from None


def is_any(address: str) -> bool:
    """Every address may be reached: for an endpoint whose callers are trusted with its network."""
    return True


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, whatever it is wrapped in."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if inner := _wrapped(ip):
            return is_public(str(inner))
        if ip not in _GLOBAL_UNICAST:
            return False
    is_reserved = any(ip in network for network in _RESERVED)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not is_reserved


def _wrapped(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to."""
    if ip in _NAT64 or (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _follow(url: str, bounds: FetchBounds, adapter: _Adapter) -> bytes:
    for _ in range(bounds.max_redirects + 1):
        with adapter.get(url) as response:
            if response.status_code == requests.codes.ok:
                return _body(response, bounds.max_bytes)
            if not response.is_redirect:
                raise UrlUnavailable(f"HTTP {response.status_code}")
            url = urljoin(url, response.headers["location"])
    raise UrlUnavailable("too many redirects")


def _body(response: requests.Response, max_bytes: int) -> bytes:
    chunks, left_bytes = [], max_bytes
    for chunk in response.iter_content(_CHUNK_BYTES):
        chunks.append(chunk)
        left_bytes -= len(chunk)
        if left_bytes < 0:
            raise UrlUnavailable("more bytes than allowed")
    return b"".join(chunks)


class _Dialler:
    """Opens the sockets of one fetch, each to an address that was checked, and shuts them at its deadline."""

    def __init__(self, bounds: FetchBounds, resolve: Resolve) -> None:
        self._bounds = bounds
        self._resolve = resolve
        self._ends_at = time.monotonic() + bounds.timeout_s
        self._opened: list[socket.socket] = []

    def left_s(self) -> float:
        """Time left of the fetch. Raises UrlUnavailable where none is."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise UrlUnavailable("out of time")
        return left

    @contextlib.contextmanager
    def deadline(self) -> Iterator[None]:
        """Time-outs of sockets start again with every byte; this one ends a fetch that only drips."""
        timer = threading.Timer(self._bounds.timeout_s, self._shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            for opened in self._opened:
                opened.close()

    def __call__(self, host: str, port: int) -> socket.socket:
        error: Exception = UrlUnavailable("no address that may be reached")
        for address in self._resolve(host, port):
            if not self._bounds.may_reach(address):
                continue
            try:
                return self._connect(address, port)
            except OSError as refused:
                error = refused
        raise error

    def _connect(self, address: str, port: int) -> socket.socket:
        connected = socket.create_connection((address, port), timeout=self.left_s())
        self._opened.append(connected.dup())  # TLS takes the first one over; a shutdown reaches both
        self.left_s()  # the deadline may have come before this socket was known to it
        return connected

    def _shut(self) -> None:
        for opened in self._opened:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """requests' transport, with its sockets opened by the dialler."""

    def __init__(self, dialler: _Dialler) -> None:
        super().__init__(max_retries=0)
        self._dialler = dialler

    def get(self, url: str) -> requests.Response:
        """One GET. Not through a session: that would read the bodies of redirects whole, however large."""
        request = requests.Request("GET", url, headers=_HEADERS).prepare()
        if not (request.url or "").lower().startswith(("http://", "https://")):
            raise UrlUnavailable("not an http or https URL")
        verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        return self.send(request, stream=True, timeout=self._dialler.left_s(), verify=verify)

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: Any = None,
    ) -> HTTPConnectionPool:
        """The connections of one request; requests' own hook for what they are made of."""
        pool = cast(HTTPConnectionPool, super().get_connection_with_tls_context(request, verify, proxies, cert))
        made = _DialledTls if pool.scheme == "https" else _Dialled
        pool.ConnectionCls = partial(made, self._dialler)  # type: ignore[assignment]  # a factory does
        return pool


class _Dialled(HTTPConnection):
    def __init__(self, dial: _Dialler, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dial = dial

    def _new_conn(self) -> socket.socket:  # as urllib3.contrib.socks opens its sockets
        return self._dial(self.host, self.port)


class _DialledTls(HTTPSConnection):
    def __init__(self, dial: _Dialler, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial(self.host, self.port)


def _addresses_of(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    return [str(where[0]) for *_, where in found]
