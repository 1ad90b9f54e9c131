"""A run stops before it costs more than it may, and before its time window ends; the next one does the rest."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.cli.exit_codes import UsageError
from pipeline.cli.options import parse_run
from pipeline.commands import backfill
from tests.pipeline import cli
from tests.servers import Answer, CardServer, success
from tests.wire import Received

pytestmark = pytest.mark.slow


def answer(got: Received) -> Answer:
    """One document for each image."""
    response = success(("passport", {"id": got.key[:12]}))
    return Answer(response.body, headers=response.headers, latency_s=0.2)


def draw_all(folder: Path, draw: Callable[..., bytes], count: int) -> str:
    """So many images; the glob of them."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}.jpg").write_bytes(draw(number))
    return f"--input={folder}/*.jpg"


def receipt_of(output: Path, run_id: str) -> dict[str, object]:
    """What a run left."""
    found: dict[str, object] = json.loads((output / "runs" / run_id / "receipt.json").read_text())
    return found


@pytest.mark.usefixtures("credentials")
def test_a_run_never_costs_more_than_it_may(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """One call of three gets a 503, which is not billed: all of the cap is used, and the rest is read by the rerun."""
    images, lock, billed = draw_all(tmp_path / "in", draw, 30), threading.Lock(), [0, 0]

    def sometimes(got: Received) -> Answer:
        with lock:
            billed[1] += 1
            if billed[1] % 3 == 0:
                return Answer(status=500)
            billed[0] += 1
        return answer(got)

    with CardServer(sometimes) as server:
        shown = [images, f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}", "--price_per_call=0.1"]
        first = backfill.main([*shown, "--max_cost=1.25", "--max_requests_per_second=0", "--run_id=first"])
        assert (first, billed[0]) == (3, 12)
        assert backfill.main([*shown, "--max_requests_per_second=0", "--run_id=second"]) == 0
    receipt = receipt_of(tmp_path / "out", "first")
    assert (receipt["status"], receipt["stopped_by"], receipt["cost"]) == ("budget", "max_cost", 1.2)
    assert cli.query(tmp_path / "out", "SELECT count(*) FROM passport") == [(30,)]
    assert cli.query(tmp_path / "out", "SELECT round(sum(cost), 2), sum(paid_again) FROM cost") == [(3.0, 0)]


@pytest.mark.usefixtures("credentials")
def test_nothing_is_in_flight_when_the_window_ends(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Calls that take nearly their timeout of 2 s are over by then; what is left is deferred."""
    images, ended_s = draw_all(tmp_path / "in", draw, 300), []

    def slowly(got: Received) -> Answer:
        ended_s.append(time.time() + 1.9)
        return Answer(answer(got).body, headers={"Content-Type": "application/json"}, latency_s=1.9)

    with CardServer(slowly) as server:
        until = datetime.now().astimezone() + timedelta(seconds=20)
        shown = [images, f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}", "--timeout_s=2"]
        shown += ["--max_requests_per_second=8", "--run_id=first", f"--until={until.isoformat(timespec='seconds')}"]
        status = backfill.main(shown)  # in this process: a new one takes longer than that to begin on a busy machine
    receipt = receipt_of(tmp_path / "out", "first")
    assert (status, receipt["status"], receipt["stopped_by"]) == (3, "time_window", "until")
    assert 0 < len(ended_s) < 300
    assert until.timestamp() - 3 < max(ended_s) <= until.timestamp()  # no more is given up than a timeout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max_cost=3"], "--max_cost is given without --price_per_call"),
        (["--max_cost=1", "--price_per_call=2"], "--max_cost 1 does not pay for one call at --price_per_call 2"),
        (["--until=2020-01-01T06:00"], "--until 2020-01-01T06:00 has passed"),
        (["--until=soon"], "--until is 'soon', expected a time as 06:00, or a date and time as 2026-11-30T06:00"),
    ],
)
def test_limits_that_make_no_sense_are_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_run("backfill", "", [f"--input={tmp_path}/*.jpg", f"--output={tmp_path}/out", *arguments])
    assert (str(error.value), error.value.exit_status) == (message, 2)
