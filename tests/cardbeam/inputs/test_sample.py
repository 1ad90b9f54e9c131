"""A sample is the same for the same inputs, in any order, and a larger one holds a smaller one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.config.settings import InputSettings
from cardbeam.inputs.sample import list_all, sample_requests
from cardbeam.model.request import ImageRef, Request
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.commands import backfill, plan
from tests.servers import CardServer, failure

REQUESTS = st.lists(st.text(min_size=1), unique=True, max_size=40).map(
    lambda uris: [Request("ekyc/card", (ImageRef(uri),)) for uri in uris]
)


@given(REQUESTS, st.randoms(), st.integers(1, 20), st.integers(0, 20))
def test_a_sample_is_repeatable_and_grows(requests: list[Request], rng: object, size: int, more: int) -> None:
    shuffled = list(requests)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    sample = sample_requests(iter(requests), size)
    assert sample == sample_requests(iter(shuffled), size)
    assert len(sample) == min(size, len(requests))
    assert sample_requests(iter(shuffled), size + more)[:size] == sample


def test_each_image_is_as_likely() -> None:
    """Of 1,000 samples of 10 from 100 images, those with consecutive names too."""
    counts = [0] * 100
    for day in range(1_000):
        for request in sample_requests((Request("o", (ImageRef(f"{day}/{n:03}.jpg"),)) for n in range(100)), 10):
            counts[int(request.uris[0].partition("/")[2][:3])] += 1
    assert all(60 < count < 145 for count in counts)  # 4.5 standard deviations around 100


@pytest.mark.usefixtures("credentials")
def test_a_run_takes_the_sample_of_all_inputs(
    tmp_path: Path, draw: Callable[..., bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """Found are those of the sample; the plan says the same."""
    globs = []
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(10):
            (tmp_path / name / f"{number}.jpg").write_bytes(draw(number + 100 * (name == "b")))
        globs.append(f"{tmp_path}/{name}/*.jpg")
    with CardServer(lambda got: failure("1")) as server:
        shown = [*(f"--input={one}" for one in globs), f"--output={tmp_path}/out", "--sample=5"]
        assert plan.main([*shown, "--format=json", "--price_per_call=2"]) == 0
        planned = json.loads(capsys.readouterr().out)
        assert backfill.main([*shown, f"--endpoint_url={server.base_url}", "--run_id=first"]) == 0
        assert backfill.main([*shown, f"--endpoint_url={server.base_url}", "--run_id=second"]) == 0
        sent = len(server.received)
    assert (planned["found"], planned["to_call"], planned["max_price"]) == (5, 5, 10.0)
    first, second = (read_receipt(LocalFolder(f"{tmp_path}/out"), run_id) for run_id in ("first", "second"))
    assert first is not None and second is not None
    assert (sent, first.requests["found"], first.requests["called"], second.requests["skipped"]) == (5, 5, 5, 5)
    drawn = {request.uris for request in list_all(globs, InputSettings(tuple(globs), sample=5))}
    assert len(drawn) == 5
