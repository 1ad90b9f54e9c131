"""Whatever is sent to the real reader gets a right code within bounds of time and memory, and the next card is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from PIL import Image

from tests.endpoint.conftest import ROOT, RunningEndpoint, running_endpoint
from tests.endpoint.hostile import EMPTY, HOSTILE, READ, UNREADABLE, mutated

pytestmark = pytest.mark.slow

CARDS = ROOT / "cards"
MAX_WORKER_MB = 800
OVERSHOOT_MB = 400  # what a bomb can fill between two reads of it
ANSWER_WITHIN_S = 60  # it takes 3 s at most on a machine that does nothing else
MUTANTS = 20


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEndpoint]:
    options = ("--workers=1", "--card_cpu_s=20", f"--max_worker_mb={MAX_WORKER_MB}")
    with running_endpoint(
        tmp_path_factory.mktemp("endpoint"), *options, reader="endpoint.reader.card_reader:CardReader"
    ) as ready:
        yield ready


@pytest.fixture(scope="module")
def card() -> Image.Image:
    with Image.open(CARDS / "chip-front-02.jpg") as opened:
        return opened.convert("RGB")


@pytest.fixture(scope="module", autouse=True)
def a_card_is_read_afterwards(reading: RunningEndpoint) -> Iterator[None]:
    yield
    assert code_of(reading, (CARDS / "chip-front-02.jpg").read_bytes()) == READ


def code_of(endpoint: RunningEndpoint, image: bytes) -> str:
    with peak_memory(endpoint) as peak_mb:
        started = time.monotonic()
        response = endpoint.post_file("ekyc/card", image)
        took_s = time.monotonic() - started
    assert response.status_code == 200, response.text
    assert took_s < ANSWER_WITHIN_S
    assert max(peak_mb) < MAX_WORKER_MB + OVERSHOOT_MB
    return response.json()["errorCode"]


@contextmanager
def peak_memory(endpoint: RunningEndpoint) -> Iterator[list[float]]:
    """What its workers hold together, checked all the time in which the context is open."""
    seen, done = [0.0], threading.Event()

    def poll() -> None:
        while not done.wait(0.05):
            try:
                seen.append(sum(worker.memory_info().rss for worker in endpoint.workers()) / 1e6)
            except psutil.NoSuchProcess:
                continue  # replaced in this moment

    looking = threading.Thread(target=poll)
    looking.start()
    try:
        yield seen
    finally:
        done.set()
        looking.join()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_a_right_code(reading: RunningEndpoint, card: Image.Image, name: str) -> None:
    assert code_of(reading, HOSTILE[name].make(card)) in HOSTILE[name].codes


@pytest.mark.parametrize("name", ["chip-front-01.jpg", "chip-front-06.png", "chip-both-sides-07.pdf"])
def test_a_file_after_an_accident_gets_a_code(reading: RunningEndpoint, name: str) -> None:
    whole = (CARDS / name).read_bytes()
    codes = {seed: code_of(reading, mutated(whole, seed)) for seed in range(MUTANTS)}
    assert set(codes.values()) <= {READ, EMPTY, UNREADABLE}, codes
    assert UNREADABLE in codes.values(), "an accident that shows"
