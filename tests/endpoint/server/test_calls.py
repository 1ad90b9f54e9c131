"""Each of the nine calls, under both versions, answers with the contract's envelope, whole."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from endpoint.server.openapi import Response
from schemas.contract import OPERATIONS, TRANSFERS
from tests.endpoint.conftest import AUTH, RunningEndpoint
from tests.endpoint.image_host import PAGES, ImageHost
from tests.endpoint.simple_reader import BACK, FRONT, MEETING, PHOTOCOPY, SEVERAL, image_of, info_of

pytestmark = pytest.mark.slow

SIDES = {"/front.png": "chip_id_card_front", "/back.png": "chip_id_card_back"}
VALID = {"valid": "True", "invalidCode": "0", "invalidMessage": "Successful"}


def document(document_type: str, image: str = "", judged: dict[str, str] = VALID) -> dict[str, object]:
    return {"type": document_type, "info": info_of(document_type, image), **judged}


def success(*documents: dict[str, object]) -> dict[str, object]:
    return {"data": list(documents), "errorCode": "0", "errorMessage": "Success"}


def call(
    endpoint: RunningEndpoint,
    version: str,
    operation: str,
    transfer: str,
    sent: dict[str, str],
    host: ImageHost,
    timeout_s: float = 60,
) -> requests.Response:
    """`sent`: parameter name -> page of the image host."""
    url, params = f"{endpoint.root_url}/api/{version}/{operation}", {"format_type": transfer, "get_thumb": "false"}
    if transfer == "url":
        urls = {name: host.url(page) for name, page in sent.items()}
        return requests.get(url, params={**params, **urls}, auth=AUTH, timeout=timeout_s)
    if transfer == "file":
        files = {name: (page, PAGES[page]) for name, page in sent.items()}
        return requests.post(url, params=params, files=files, auth=AUTH, timeout=timeout_s)
    body = {name: base64.encodebytes(PAGES[page]).decode() for name, page in sent.items()}
    return requests.post(url, params=params, json=body, auth=AUTH, timeout=timeout_s)


@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("transfer", TRANSFERS)
def test_each_call_is_answered(
    endpoint: RunningEndpoint, images: ImageHost, version: str, operation: str, transfer: str
) -> None:
    sent = dict(zip(OPERATIONS[operation].image_params, SIDES, strict=False))
    response = call(endpoint, version, operation, transfer, sent, images)
    judged = VALID if OPERATIONS[operation].says_valid else {}
    assert (response.status_code, response.json()) == (
        200,
        success(*(document(SIDES[p], "", judged) for p in sent.values())),
    )
    Response.model_validate(response.json())


@pytest.mark.parametrize("given", ["true", "True"])
def test_the_aligned_card_comes_when_asked_for(endpoint: RunningEndpoint, given: str) -> None:
    response = endpoint.post_file("ekyc/card", image_of(FRONT), get_thumb=given)
    assert response.json() == success(document("chip_id_card_front", image="dGh1bWI="))


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(PAGES["/front.png"]).decode(),
        base64.encodebytes(PAGES["/front.png"] * 20).decode().replace("\n", "\r\n"),
        "data:image/png;base64," + base64.b64encode(PAGES["/front.png"]).decode(),
    ],
    ids=["one line", "lines", "data prefix"],
)
def test_base64_comes_in_all_its_forms(endpoint: RunningEndpoint, text: str) -> None:
    url = f"{endpoint.base_url}/ekyc/card?format_type=base64&get_thumb=false"
    assert requests.post(url, json={"img": text}, auth=AUTH, timeout=60).json() == success(
        document("chip_id_card_front")
    )


def test_the_worst_warning_is_the_one_said(endpoint: RunningEndpoint) -> None:
    judged = {
        "valid": "False",
        "invalidCode": "2",
        "invalidMessage": "The picture is a photocopy version of the id card",
    }
    response = endpoint.post_file("ekyc/card", image_of(PHOTOCOPY))
    assert response.json() == success(document("chip_id_card_front", judged=judged))


@pytest.mark.parametrize("operation", ["ekyc/card", "ocr/card"])
def test_several_cards_are_not_judged(endpoint: RunningEndpoint, operation: str) -> None:
    response = endpoint.post_file(operation, image_of(SEVERAL))
    assert response.json() == success(document("passport", judged={}), document("driving_license", judged={}))


def test_a_pdf_is_not_judged(endpoint: RunningEndpoint) -> None:
    response = endpoint.post_file("ekyc/card", b"%PDF-1.7 of the simple reader")
    assert response.json() == success(document("passport", judged={}))


@pytest.mark.parametrize("pages", [("/front.png", "/back.png"), ("/back.png", "/front.png"), ("/front.png",) * 2])
def test_two_sides_stand_in_the_order_sent_as_what_they_are(endpoint: RunningEndpoint, pages: tuple[str, str]) -> None:
    response = endpoint.post_file("ekyc/cards", *(PAGES[page] for page in pages))
    assert response.json() == success(*(document(SIDES[page]) for page in pages))


def test_two_sides_are_read_at_the_same_time(endpoint: RunningEndpoint) -> None:
    response = endpoint.post_file("ekyc/cards", image_of(MEETING), image_of(MEETING))
    assert response.json() == success(document("chip_id_card_front"), document("chip_id_card_front"))


def test_answers_do_not_mix(endpoint: RunningEndpoint) -> None:
    colours = [FRONT, BACK] * 20
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda colour: endpoint.post_file("ekyc/card", image_of(colour)), colours))
    assert [response.json()["data"][0]["type"] for response in responses] == list(SIDES.values()) * 20
