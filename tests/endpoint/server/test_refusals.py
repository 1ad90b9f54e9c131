"""What can't be answered is said with the contract's code and HTTP 200; HTTP's own codes say the rest."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from schemas.contract import ERROR_CODES, OPERATIONS
from tests.endpoint.conftest import AUTH, RunningEndpoint, Start
from tests.endpoint.image_host import ImageHost
from tests.endpoint.simple_reader import BLANK, FRONT, image_of

pytestmark = pytest.mark.slow

FRONT_TEXT = base64.b64encode(image_of(FRONT)).decode()


def refusal(code: str) -> tuple[int, dict[str, object]]:
    return 200, {"data": [], "errorCode": code, "errorMessage": ERROR_CODES[code]}


def text(response: requests.Response) -> tuple[int, object]:
    return response.status_code, response.json()


def post(endpoint: RunningEndpoint, query: str, **sent: object) -> tuple[int, object]:
    return text(requests.post(f"{endpoint.base_url}/ekyc/card{query}", **{"auth": AUTH, "timeout": 60, **sent}))


def _text_in(charset: str) -> dict[str, object]:
    """A form whose text is said to be in some charset: half a character, where that has a meaning in it."""
    form = b'--b\r\nContent-Disposition: form-data; name="img"\r\n\r\n+2AA-\r\n--b--\r\n'
    return {"data": form, "headers": {"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"}}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": requests.auth._basic_auth_str("a-key", "wrong")},
        {"Authorization": requests.auth._basic_auth_str("wrong", "a-secret")},
        {"Authorization": requests.auth._basic_auth_str("", "")},
        {"Authorization": "Basic not base64"},
        {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"Authorization": "Bearer a-key"},
    ],
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_credentials_are_code_5(endpoint: RunningEndpoint, operation: str, headers: dict[str, str]) -> None:
    url = f"{endpoint.base_url}/{operation}?format_type=file"
    response = requests.post(url, files={"img": image_of(FRONT)}, headers=headers, timeout=60)
    assert text(response) == refusal("5")


def test_anyone_may_call_where_that_is_asked_for(start: Start) -> None:
    endpoint = start("--workers=1", "--allow_anonymous")
    for auth in (None, ("any", "one")):
        status, response = post(endpoint, "?format_type=file", files={"img": image_of(FRONT)}, auth=auth)
        assert (status, response["errorCode"]) == (200, "0")


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("", {"files": {"img": image_of(FRONT)}}),
        ("?format_type=", {"files": {"img": image_of(FRONT)}}),
        ("?format_type=jpg", {"files": {"img": image_of(FRONT)}}),
        ("?format_type=FILE", {"files": {"img": image_of(FRONT)}}),
        ("?format_type=url&img=http://192.0.2.1/", {}),
        ("?format_type=file", {"json": {"img": FRONT_TEXT}}),
        ("?format_type=file", {"data": b"no parts", "headers": {"Content-Type": "multipart/form-data"}}),
        ("?format_type=file", {"data": b"no parts", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}),
        *(("?format_type=file", _text_in(charset)) for charset in ("utf-7", "undefined")),
        ("?format_type=base64", {"files": {"img": image_of(FRONT)}}),
        ("?format_type=base64", {"data": b"{"}),
        ("?format_type=base64", {"json": [FRONT_TEXT]}),
    ],
)
def test_a_wrong_format_type_is_code_6(endpoint: RunningEndpoint, query: str, sent: dict[str, object]) -> None:
    assert post(endpoint, query, **sent) == refusal("6")


@pytest.mark.parametrize("format_type", ["file", "base64", "", "no"])
def test_a_get_that_names_no_url_type_is_code_6(endpoint: RunningEndpoint, format_type: str) -> None:
    url = f"{endpoint.base_url}/ocr/card?format_type={format_type}"
    assert text(requests.get(url, auth=AUTH, timeout=60)) == refusal("6")


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"img": b"a text, named .jpg"}},
        {"files": {"img": image_of(FRONT)[:40]}},
        {"files": {"img": (None, "a field that is no file")}},
    ],
)
def test_an_unreadable_file_is_code_3(endpoint: RunningEndpoint, sent: dict[str, object]) -> None:
    assert post(endpoint, "?format_type=file", **sent) == refusal("3")


@pytest.mark.parametrize("value", ["not base64!", "YQ=", "é", 7, [FRONT_TEXT], "data:image/png,plain text"])
def test_unreadable_base64_is_code_3(endpoint: RunningEndpoint, value: object) -> None:
    assert post(endpoint, "?format_type=base64", json={"img": value}) == refusal("3")


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"img": image_of(BLANK)}},
        {"files": {"img": b""}},
        {"files": {"other": image_of(FRONT)}},
    ],
)
def test_no_content_is_code_1(endpoint: RunningEndpoint, sent: dict[str, object]) -> None:
    assert post(endpoint, "?format_type=file", **sent) == refusal("1")


@pytest.mark.parametrize("body", [{}, {"img": ""}, {"img": None}, {"img": "\n"}, {"img": "data:image/png;base64,"}])
def test_no_base64_is_code_1(endpoint: RunningEndpoint, body: dict[str, object]) -> None:
    assert post(endpoint, "?format_type=base64", json=body) == refusal("1")


def test_one_side_that_can_not_be_read_is_said_for_both(endpoint: RunningEndpoint) -> None:
    front = image_of(FRONT)
    assert text(endpoint.post_file("ekyc/cards", front, b"text")) == refusal("3")
    assert text(endpoint.post_file("ekyc/cards", image_of(BLANK), front)) == refusal("1")
    url = f"{endpoint.base_url}/ekyc/cards?format_type=file"
    assert text(requests.post(url, files={"img1": front}, auth=AUTH, timeout=60)) == refusal("1")


def test_a_url_that_can_not_be_fetched_is_code_2(endpoint: RunningEndpoint, images: ImageHost) -> None:
    for url in ("", "/front.png", "ftp://host/x", "file:///etc/hostname", "http://127.0.0.1:1/", images.url("/no")):
        params = {"format_type": "url", "img": url}
        assert text(requests.get(f"{endpoint.base_url}/ekyc/card", params=params, auth=AUTH, timeout=60)) == refusal(
            "2"
        )


def test_a_url_with_nothing_to_read_says_what_a_file_would(endpoint: RunningEndpoint, images: ImageHost) -> None:
    for page, code in {"/text.jpg": "3", "/empty.jpg": "1", "/blank.png": "1"}.items():
        params = {"format_type": "url", "img": images.url(page)}
        assert text(requests.get(f"{endpoint.base_url}/ekyc/card", params=params, auth=AUTH, timeout=60)) == refusal(
            code
        )


def test_private_addresses_are_refused_unless_allowed(start: Start, images: ImageHost) -> None:
    endpoint = start("--workers=1")
    asked_before = list(images.asked)
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f000001", "10.0.0.1", "169.254.169.254"):
        params = {"format_type": "url", "img": f"http://{host}:{images.port}/front.png"}
        assert text(requests.get(f"{endpoint.base_url}/ekyc/card", params=params, auth=AUTH, timeout=60)) == refusal(
            "2"
        )
    assert images.asked == asked_before


def test_the_quota_counts_successes_and_then_refuses_everything(start: Start) -> None:
    endpoint = start("--workers=2", "--max_answers=3")
    assert text(endpoint.post_file("ekyc/card", image_of(BLANK))) == refusal("1")
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda _: endpoint.post_file("ekyc/card", image_of(FRONT)), range(8)))
    assert sorted(response.json()["errorCode"] for response in responses) == ["0"] * 3 + ["4"] * 5
    assert post(endpoint, "?format_type=no") == refusal("4")
    assert post(endpoint, "?format_type=file", auth=None) == refusal("5")


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_a_body_is_http_413(endpoint: RunningEndpoint, chunked: bool) -> None:
    body = b"x" * 3_000_000
    sent = iter([body[:1_500_000], body[1_500_000:]]) if chunked else body
    assert post(endpoint, "?format_type=base64", data=sent) == (413, {"detail": "more than 1000000 bytes"})
    with_parts = post(endpoint, "?format_type=file", files={"img": body})
    assert with_parts == (413, {"detail": "more than 1000000 bytes"})


def test_unknown_paths_and_methods_are_http_404_and_405(endpoint: RunningEndpoint) -> None:
    assert requests.get(f"{endpoint.base_url}/ekyc/passport", auth=AUTH, timeout=60).status_code == 404
    assert requests.put(f"{endpoint.base_url}/ekyc/card", auth=AUTH, timeout=60).status_code == 405
