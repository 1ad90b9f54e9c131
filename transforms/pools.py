"""A server -> the pool of connections to it, with what `requests` would look up anew for every request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool


@dataclass(frozen=True, slots=True)
class Found:
    """The connections to a server, the headers of a request without a body, and the proxies on the way."""

    pool: HTTPConnectionPool
    adapter: HTTPAdapter
    headers: dict[str, str]
    proxies: dict[str, str]

    def target_of(self, request: requests.PreparedRequest) -> str:
        """What stands behind the method in the first line of a request."""
        return self.adapter.request_url(request, self.proxies)


def find_pool(adapter: HTTPAdapter, url: str, headers: dict[str, str], auth: AuthBase | None = None) -> Found:
    """Look up proxies and certificates; without `auth` the credentials too, in the URL and in netrc.

    Raises:
        requests.RequestException: no URL.
        OSError: the certificates that the environment names are not there.
    """
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, None, None, None)
        prepared = session.prepare_request(requests.Request("GET", url, headers=headers, auth=auth))
    verify, cert = settings["verify"], settings["cert"]
    pool = adapter.get_connection_with_tls_context(prepared, verify, settings["proxies"], cert)
    adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
    return Found(cast(HTTPConnectionPool, pool), adapter, dict(prepared.headers), dict(settings["proxies"]))
