"""Each of the nine calls, under both versions, answers with the contract's envelope, whole."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from endpoint.server.openapi import Reply
from schemas.contract import OPERATIONS, TRANSFERS
from tests.endpoint.conftest import AUTH, RunningEndpoint
from tests.endpoint.image_host import PAGES, PictureHost
from tests.endpoint.simple_reader import BACK, FRONT, MEETING, PHOTOCOPY, SEVERAL, info_of, picture_of

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
    host: PictureHost,
    timeout_s: float = 60,
) -> requests.Response:
    """`sent`: parameter name -> page of the picture host."""
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
    endpoint: RunningEndpoint, pictures: PictureHost, version: str, operation: str, transfer: str
) -> None:
    sent = dict(zip(OPERATIONS[operation].picture_params, SIDES, strict=False))
    reply = call(endpoint, version, operation, transfer, sent, pictures)
    judged = VALID if OPERATIONS[operation].says_valid else {}
    assert (reply.status_code, reply.json()) == (200, success(*(document(SIDES[p], "", judged) for p in sent.values())))
    Reply.model_validate(reply.json())


@pytest.mark.parametrize("said", ["true", "True"])
def test_the_aligned_card_comes_when_asked_for(endpoint: RunningEndpoint, said: str) -> None:
    reply = endpoint.post_file("ekyc/card", picture_of(FRONT), get_thumb=said)
    assert reply.json() == success(document("chip_id_card_front", image="dGh1bWI="))


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
    reply = endpoint.post_file("ekyc/card", picture_of(PHOTOCOPY))
    assert reply.json() == success(document("chip_id_card_front", judged=judged))


@pytest.mark.parametrize("operation", ["ekyc/card", "ocr/card"])
def test_several_cards_are_not_judged(endpoint: RunningEndpoint, operation: str) -> None:
    reply = endpoint.post_file(operation, picture_of(SEVERAL))
    assert reply.json() == success(document("passport", judged={}), document("driving_license", judged={}))


def test_a_pdf_is_not_judged(endpoint: RunningEndpoint) -> None:
    reply = endpoint.post_file("ekyc/card", b"%PDF-1.7 of the simple reader")
    assert reply.json() == success(document("passport", judged={}))


@pytest.mark.parametrize("pages", [("/front.png", "/back.png"), ("/back.png", "/front.png"), ("/front.png",) * 2])
def test_two_sides_stand_in_the_order_sent_as_what_they_are(endpoint: RunningEndpoint, pages: tuple[str, str]) -> None:
    reply = endpoint.post_file("ekyc/cards", *(PAGES[page] for page in pages))
    assert reply.json() == success(*(document(SIDES[page]) for page in pages))


def test_two_sides_are_read_at_the_same_time(endpoint: RunningEndpoint) -> None:
    reply = endpoint.post_file("ekyc/cards", picture_of(MEETING), picture_of(MEETING))
    assert reply.json() == success(document("chip_id_card_front"), document("chip_id_card_front"))


def test_answers_do_not_mix(endpoint: RunningEndpoint) -> None:
    colours = [FRONT, BACK] * 20
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda colour: endpoint.post_file("ekyc/card", picture_of(colour)), colours))
    assert [reply.json()["data"][0]["type"] for reply in replies] == list(SIDES.values()) * 20
