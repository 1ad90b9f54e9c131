"""Images for all tests, drawn with Pillow, and the credentials of the runs."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from PIL import Image, ImageDraw

from cardbeam.process import configure_process
from tests.children import kill_children
from transforms.beam_files import use_beam_files

settings.register_profile("cardbeam", deadline=None)  # a shared machine is slow at times
settings.load_profile("cardbeam")
configure_process()
use_beam_files()

API_KEY, API_SECRET = "test-key", "test-secret-9f2c"


@pytest.fixture(scope="session", autouse=True)
def _temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What Beam and others leave in the folder for temporary files goes with pytest's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("tmp"))
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(autouse=True)
def _children() -> Iterator[None]:
    """No child outlives its test."""
    yield
    kill_children()


@pytest.fixture(scope="session")
def draw() -> Callable[..., bytes]:
    """A function (number, format) -> bytes of a small image; no two numbers give the same bytes."""

    def drawn(number: int, image_format: str = "JPEG", size: tuple[int, int] = (96, 60)) -> bytes:
        image = Image.new("RGB", size, (number % 256, number // 256 % 256, 200))
        ImageDraw.Draw(image).text((4, 4), str(number), fill="black")
        out = io.BytesIO()
        image.save(out, image_format)
        return out.getvalue()

    return drawn


@pytest.fixture(scope="session")
def jpeg(draw: Callable[..., bytes]) -> bytes:
    """A whole JPEG."""
    return draw(1, "JPEG")


@pytest.fixture(scope="session")
def png(draw: Callable[..., bytes]) -> bytes:
    """A whole PNG."""
    return draw(2, "PNG")


@pytest.fixture(scope="session")
def pdf(draw: Callable[..., bytes]) -> bytes:
    """A whole PDF of one page."""
    return draw(3, "PDF")


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Credentials in the environment, where a run looks for them."""
    monkeypatch.setenv("CARD_API_KEY", API_KEY)
    monkeypatch.setenv("CARD_API_SECRET", API_SECRET)
    yield API_KEY, API_SECRET
