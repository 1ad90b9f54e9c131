"""Checks of the endpoint: one call with the credentials, and the clock."""

from __future__ import annotations

import io
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests
from PIL import Image

from cardbeam.config.credentials import read_credentials
from cardbeam.config.settings import Settings
from cardbeam.http.body import ImagePayload
from cardbeam.http.card_client import CardClient, Credentials
from cardbeam.storage.open_uri import SourceError
from pipeline.cli.exit_codes import EXIT_FAILED, EXIT_LATER, EXIT_REFUSED, EXIT_USAGE
from pipeline.launch.checks.check_setup import FAILED, OK, WARNING, Finding, failed
from schemas.contract import OPERATIONS
from schemas.outcomes import Outcome, Signal

_MAX_SKEW_S = 300.0
"""Stores refuse signatures that are 15 minutes off."""
_CONNECT_S = 10.0
_BY_CODE = {
    "error_4": ("Buy requests, or wait for the next period", EXIT_LATER),
    "bad_reply": ("Check --endpoint_url: a proxy or a login page may answer in its place", EXIT_FAILED),
    "timeout": ("Raise --timeout_s, or ask the vendor whether the endpoint is available", EXIT_FAILED),
    "http_429": ("Wait until other users of these credentials send less", EXIT_FAILED),
}
_BY_SIGNAL = {
    Signal.REFUSED: ("Check CARD_API_KEY and CARD_API_SECRET", EXIT_REFUSED),
    Signal.BAD_REQUEST: ("Check --endpoint_url and --operation: the server does not know this call", EXIT_USAGE),
}
_UNAVAILABLE = ("Ask the vendor whether the endpoint is available", EXIT_FAILED)


def check_credentials(settings: Settings) -> Iterator[Finding]:
    """Whether there are credentials, from wherever they come."""
    try:
        read_credentials(settings.endpoint.credentials_uri)
    except SourceError as error:
        advice = "Set CARD_API_KEY and CARD_API_SECRET, CARD_API_SECRET_COMMAND, or --credentials_uri"
        yield failed("credentials", error, advice)


def check_endpoint(settings: Settings) -> Iterator[Finding]:
    """Connect, then make one call with a blank image, which the endpoint may bill."""
    url = settings.endpoint.endpoint_url
    if fault := _connection_fault(url):
        yield failed("endpoint", f"{url}: {fault}", _advice(fault), EXIT_FAILED)
        return
    try:
        outcome = _call(settings, read_credentials(settings.endpoint.credentials_uri))
    except SourceError as error:
        yield failed("credentials", error, "Set them as before: they could be read a moment ago")
        return
    if outcome.signal is Signal.SUCCESS and outcome.code != "error_4":
        yield Finding("endpoint", OK, f"{url} answered one call, which may be billed")
        return
    advice, exit_status = _BY_CODE.get(outcome.code) or _BY_SIGNAL.get(outcome.signal) or _UNAVAILABLE
    yield failed("endpoint", f"{url}: {outcome.message} ({outcome.code})", advice, exit_status)


def _call(settings: Settings, credentials: Credentials) -> Outcome:
    endpoint, operation = settings.endpoint, settings.input.operation
    transfer = "file" if endpoint.transfer == "url" else endpoint.transfer  # there is no URL of a blank image
    client = CardClient(endpoint.endpoint_url, credentials, transfer=transfer, timeout_s=endpoint.timeout_s)
    image = ImagePayload(_blank_image(), "image/jpeg")
    return client.call(operation, [image] * len(OPERATIONS[operation].image_params)).outcome


def _blank_image() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 200), "white").save(out, "JPEG")
    return out.getvalue()


def _connection_fault(url: str) -> str:
    """Why no connection can be opened, in the cause's own words; empty where one can."""
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    if requests.utils.get_environ_proxies(url):  # the proxy resolves and connects: the call tells the rest
        return ""
    try:
        with socket.create_connection((host, parts.port or (443 if is_tls else 80)), _CONNECT_S) as connection:
            if is_tls:
                with _tls_context().wrap_socket(connection, server_hostname=host):
                    pass
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except socket.gaierror as error:
        return f"the name {host} cannot be resolved: {error.strerror}"
    except OSError as error:
        return f"no connection: {error.strerror or error}"
    return ""


def _tls_context() -> ssl.SSLContext:
    """With the certificates that the calls trust."""
    trusted = (
        os.environ.get("REQUESTS_CA_BUNDLE")
        or os.environ.get("CURL_CA_BUNDLE")
        or requests.utils.DEFAULT_CA_BUNDLE_PATH
    )
    is_folder = Path(trusted).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else trusted, capath=trusted if is_folder else None)


def _advice(fault: str) -> str:
    if "certificate" in fault:
        return "Check the host of --endpoint_url, or set REQUESTS_CA_BUNDLE to the certificates of your proxy"
    return "Check --endpoint_url, DNS, the firewall and HTTPS_PROXY"


def check_clock(settings: Settings, now_s: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Compare the clock with the endpoint's, by the Date of a response without a body."""
    try:
        response = requests.head(settings.endpoint.endpoint_url, timeout=_CONNECT_S, allow_redirects=False)
        their_s = parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (requests.RequestException, KeyError, ValueError, TypeError):
        yield Finding("clock", WARNING, "the endpoint sends no Date to compare with", "Check that NTP is in use")
        return
    skew_s = now_s() - their_s
    if abs(skew_s) > _MAX_SKEW_S:
        ahead = "ahead of" if skew_s > 0 else "behind"
        advice = "Synchronize the clock (NTP): stores refuse requests that are signed at a wrong time"
        yield Finding("clock", FAILED, f"it is {abs(skew_s):,.0f} s {ahead} the endpoint's", advice, EXIT_USAGE)
    else:
        yield Finding("clock", OK, f"within {abs(skew_s):.0f} s of the endpoint's")
