"""No image takes a reading worker above 140 MB of its own: neither the largest that are read, nor damaged ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PIL import Image, ImageFilter

from tests.endpoint.conftest import ROOT, RunningEndpoint, running_endpoint
from tests.endpoint.hostile import READ, dense_text, many_cards, mutated, saved, sixteen_bit
from tests.endpoint.load import of_size, own_peak_mb

pytestmark = pytest.mark.slow

CARDS = ROOT / "cards"
MAX_MB = 140


def pdf() -> bytes:
    return (CARDS / "chip-both-sides-07.pdf").read_bytes()


def tall(card: Image.Image) -> Image.Image:
    """Cards on a strip four times as high as wide, out of focus: as large as a sheet is worked on."""
    strip = Image.new("RGB", (1000, 4000), "white")
    for top in range(0, 3400, 640):
        strip.paste(card.resize((1000, 630)), (0, top))
    return strip.filter(ImageFilter.GaussianBlur(2.5))


IMAGES: dict[str, Callable[[Image.Image], bytes]] = {
    "PDF": lambda _: pdf(),
    "damaged PDF, no card on a page": lambda _: mutated(pdf(), 219),
    "damaged PDF, cards read from whole pages": lambda _: mutated(pdf(), 207),
    "blank sheet": lambda _: saved(Image.new("RGB", (1654, 2339), "white"), "PNG"),
    "blank sheet, tall": lambda _: saved(Image.new("RGB", (1000, 4000), "white"), "PNG"),
    "sheet full of small print": lambda _: saved(dense_text(1000, 4000), "PNG"),
    "strip of cards, blurred": lambda card: saved(tall(card), "PNG", compress_level=1),
    "six cards": lambda card: saved(many_cards(card, 3, 2), "JPEG", quality=90),
    "JPEG, 9 megapixels": lambda card: saved(of_size(card, 9.5), "JPEG", quality=90),
    "JPEG, 48 megapixels": lambda card: saved(of_size(card, 48), "JPEG", quality=90),
    "JPEG, 24 megapixels, progressive": lambda card: saved(of_size(card, 24), "JPEG", quality=90, progressive=True),
    "JPEG, 12 megapixels, CMYK": lambda card: saved(of_size(card, 12).convert("CMYK"), "JPEG", quality=90),
    "PNG, 12 megapixels, transparent": lambda card: saved(of_size(card, 12.2).convert("RGBA"), "PNG", compress_level=1),
    "PNG, 24 megapixels, 16 bit": lambda card: sixteen_bit(of_size(card, 24)),
    "WebP, 9 megapixels": lambda card: saved(of_size(card, 9), "WEBP", method=0),
    "TIFF, 10 megapixels, a file of 30 MB": lambda card: saved(of_size(card, 9.9), "TIFF"),
}


@pytest.fixture(scope="module")
def card() -> Image.Image:
    with Image.open(CARDS / "chip-front-02.jpg") as opened:
        return opened.convert("RGB")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEndpoint]:
    """An endpoint whose one worker has read all that is bundled: what it keeps between images is there."""
    folder = tmp_path_factory.mktemp("endpoint")
    with running_endpoint(folder, "--workers=1", reader="endpoint.reader.card_reader:CardReader") as ready:
        for path in sorted(CARDS.glob("*-*.*")):
            ready.post_file("ekyc/card", path.read_bytes())
        yield ready


@pytest.mark.parametrize("name", IMAGES)
def test_a_worker_stays_within_its_bound(used: RunningEndpoint, card: Image.Image, name: str) -> None:
    [worker] = used.workers()
    response = used.post_file("ekyc/card", IMAGES[name](card))
    assert used.workers() == [worker], "the same one"
    assert own_peak_mb(worker.pid) <= MAX_MB
    assert response.json()["errorCode"] == READ or "megapixels" not in name, "what is large is read all the same"
