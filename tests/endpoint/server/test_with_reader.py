"""The endpoint as a user starts it, reader and all, reads a bundled card through each of the nine calls."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psutil
import pytest

from endpoint.server.openapi import Response
from schemas.contract import OPERATIONS, TRANSFERS
from tests.endpoint.conftest import ROOT, RunningEndpoint, running_endpoint
from tests.endpoint.image_host import PAGES, ImageHost
from tests.endpoint.server.test_calls import call

pytestmark = pytest.mark.slow

CARDS = ROOT / "cards"
SIDES = ("chip-front-01.jpg", "chip-back-01.jpg")
READ = {"chip_id_card_front": "id", "chip_id_card_back": "person_number", "passport": "id"}
"""What is compared with the truth: reading every field right is the benchmark's to show."""


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEndpoint]:
    folder, reader = tmp_path_factory.mktemp("endpoint"), "endpoint.reader.card_reader:CardReader"
    with running_endpoint(folder, "--workers=1", "--allow_private_addresses", reader=reader) as ready:
        yield ready


@pytest.fixture(scope="module")
def truth() -> dict[str, list[dict[str, dict[str, str]]]]:
    return json.loads((CARDS / "truth.json").read_text())


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("transfer", TRANSFERS)
def test_each_call_reads_a_card(
    reading: RunningEndpoint,
    images: ImageHost,
    truth: dict[str, list[dict[str, dict[str, str]]]],
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    transfer: str,
) -> None:
    for name in SIDES:
        monkeypatch.setitem(PAGES, f"/{name}", (CARDS / name).read_bytes())
    sent = {name: f"/{side}" for name, side in zip(OPERATIONS[operation].image_params, SIDES, strict=False)}
    response = call(reading, "v2", operation, transfer, sent, images)
    Response.model_validate(response.json())
    shown = [card for page in sent.values() for card in truth[page[1:]]]
    expected = [(card["type"], card["info"][READ[card["type"]]]) for card in shown]
    assert [(card["type"], card["info"][READ[card["type"]]]) for card in response.json()["data"]] == expected


@pytest.mark.parametrize(
    ("name", "code"),
    {"bad-blank.jpg": "1", "bad-empty.jpg": "1", "bad-text.jpg": "3", "bad-truncated.jpg": "3"}.items(),
)
def test_a_bad_image_gets_its_code(reading: RunningEndpoint, name: str, code: str) -> None:
    assert reading.post_file("ekyc/card", (CARDS / name).read_bytes()).json()["errorCode"] == code


def test_a_pdf_of_two_sides_is_two_cards_without_a_verdict(
    reading: RunningEndpoint, truth: dict[str, list[dict[str, dict[str, str]]]]
) -> None:
    name = "chip-both-sides-07.pdf"
    found = reading.post_file("ekyc/card", (CARDS / name).read_bytes()).json()["data"]
    assert [(sorted(card), card["type"]) for card in found] == [
        (["info", "type"], card["type"]) for card in truth[name]
    ]


@pytest.mark.parametrize("sides", [("chip-back-01.jpg", "chip-front-01.jpg"), ("chip-front-02.jpg",) * 2])
def test_two_images_are_said_to_be_what_they_are(
    reading: RunningEndpoint, truth: dict[str, list[dict[str, dict[str, str]]]], sides: tuple[str, str]
) -> None:
    found = reading.post_file("ekyc/cards", *((CARDS / side).read_bytes() for side in sides)).json()["data"]
    assert [card["type"] for card in found] == [card["type"] for side in sides for card in truth[side]]
    assert [card["valid"] for card in found] == ["True", "True"]


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux lets a process's libraries be listed")
def test_the_libraries_of_the_reader_stay_out_of_the_server(reading: RunningEndpoint) -> None:
    loaded = " ".join(part.path for part in psutil.Process(reading.process.pid).memory_maps())
    assert [library for library in ("tesserocr", "cv2", "pdfium") if library in loaded] == []
