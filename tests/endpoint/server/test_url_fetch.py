"""A fetch reaches only the addresses it may, goes to the one that was checked, and ends in time and in size."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from endpoint.server.url_fetch import FetchBounds, UrlUnavailable, fetch, is_any, is_public
from tests.endpoint.image_host import PAGES, ImageHost, image_host

BOUNDS = FetchBounds(max_bytes=1_000_000, timeout_s=20, max_redirects=3, may_reach=is_any)
NAME = "cards.example"  # RFC 2606: no name server knows it, so only the resolver of a test can lead there


def to_here(*_: object) -> list[str]:
    return ["127.0.0.1"]


def refused(url: str, bounds: FetchBounds = BOUNDS, resolve: Callable[[str, int], list[str]] = to_here) -> str:
    with pytest.raises(UrlUnavailable) as caught:
        fetch(url, bounds, resolve)
    return str(caught.value)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "239.255.255.250", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
        *("198.51.100.1", "203.0.113.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00::1", "ff02::1"),
        *("2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("2002:7f00:1::", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:f5ff:fffe"),
        *("168.63.129.16", "::ffff:168.63.129.16", "192.88.99.1", "fec0::1", "64:ff9b:1::a00:1", "5f00::1", "3fff::1"),
        *("2001:2::1", "2001:20::1", "100::1", "::10.0.0.1", "::ffff:0:10.0.0.1", "2606:4700::5efe:a00:1"),
    ],
)
def test_other_addresses_may_not(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_changes_nothing(address: object) -> None:
    assert {is_public(f"{prefix}{address}") for prefix in ("", "::ffff:", "64:ff9b::")} == {is_public(str(address))}


def test_an_image_is_fetched_whole(images: ImageHost) -> None:
    assert fetch(images.url("/front.png"), BOUNDS) == PAGES["/front.png"]


def test_a_name_is_resolved_once_and_the_checked_address_is_called(images: ImageHost) -> None:
    asked: list[tuple[str, int]] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    bounds = replace(BOUNDS, may_reach=lambda address: address == "127.0.0.1")
    assert fetch(f"http://{NAME}:{images.port}/front.png", bounds, rebinding) == PAGES["/front.png"]
    assert asked == [(NAME, images.port)]
    assert images.asked[-1] == ("/front.png", f"{NAME}:{images.port}")


def test_addresses_that_may_not_be_reached_are_left_out(images: ImageHost) -> None:
    bounds = replace(BOUNDS, may_reach=lambda address: address == "127.0.0.1")
    url = f"http://{NAME}:{images.port}/back.png"
    assert fetch(url, bounds, lambda *_: ["10.0.0.1", "127.0.0.1"]) == PAGES["/back.png"]
    assert refused(url, bounds, lambda *_: ["10.0.0.1", "::1"]) == "no address that may be reached"


def test_a_name_that_leads_to_a_private_address_is_not_called(images: ImageHost) -> None:
    before = list(images.asked)
    assert refused(f"http://{NAME}:{images.port}/front.png", replace(BOUNDS, may_reach=is_public))
    assert refused(images.url("/front.png"), replace(BOUNDS, may_reach=is_public), None)
    assert images.asked == before


def test_redirects_are_followed_and_checked_each(images: ImageHost) -> None:
    only_here = replace(BOUNDS, may_reach=lambda address: address == "127.0.0.1")
    assert fetch(images.url(f"/to/{images.url('/front.png')}"), only_here) == PAGES["/front.png"]
    assert fetch(images.url("/to//front.png"), only_here) == PAGES["/front.png"]
    assert refused(images.url("/to/http://127.0.0.2/front.png"), only_here, None) == "no address that may be reached"
    assert refused(images.url("/to/file:///etc/hostname"), only_here) == "not an http or https URL"


def test_redirects_are_bounded(images: ImageHost) -> None:
    thrice = images.url("/to//to//to//front.png")
    assert fetch(thrice, BOUNDS) == PAGES["/front.png"]
    assert refused(thrice, replace(BOUNDS, max_redirects=2)) == "too many redirects"


@pytest.mark.parametrize(
    "url", ["", "x", "//x/y", "file:///etc/hostname", "ftp://x/y", "http://", "http://[::1", "http:x"]
)
def test_what_is_no_http_url_is_refused(url: str) -> None:
    refused(url, replace(BOUNDS, may_reach=lambda _: pytest.fail("must not be called")))


@given(st.text())
def test_any_text_is_fetched_or_refused(text: str) -> None:
    refused(text, replace(BOUNDS, may_reach=lambda _: False))


def test_a_name_without_an_address_is_refused() -> None:
    def unknown(*_: object) -> list[str]:
        raise OSError("no such name")

    assert refused(f"http://{NAME}/", BOUNDS, unknown)


def test_the_url_stands_in_no_message(images: ImageHost) -> None:
    for path in ("/no?token=secret", "/to/file:///secret", "/bytes/2000000?secret"):
        assert "secret" not in refused(images.url(path))


@pytest.mark.parametrize("path", ["/bytes/1000001", "/gzip/100000000", "/endless/body"])
def test_a_body_is_read_up_to_its_bound(images: ImageHost, path: str) -> None:
    assert refused(images.url(path)) == "more bytes than allowed"


def test_a_body_of_the_bound_itself_is_whole(images: ImageHost) -> None:
    assert len(fetch(images.url("/bytes/1000000"), BOUNDS)) == 1_000_000


@pytest.mark.parametrize("path", ["/drip/headers", "/drip/body"])
def test_a_server_that_drips_is_left_in_time(images: ImageHost, path: str) -> None:
    started = time.monotonic()
    refused(images.url(path), replace(BOUNDS, timeout_s=0.5))
    assert 0.4 < time.monotonic() - started < 20  # it would drip for ever


def test_tls_is_checked_against_the_name_not_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    with image_host(context) as host:
        assert fetch(f"https://{NAME}:{host.port}/front.png", BOUNDS, to_here) == PAGES["/front.png"]
        assert refused(f"https://other.example:{host.port}/front.png") == "SSLError"
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        assert refused(f"https://{NAME}:{host.port}/front.png") == "SSLError"
