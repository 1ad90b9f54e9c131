"""`runs --stop` ends a run from anywhere within seconds, with its tables; the same command processes the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.cli.exit_codes import UsageError
from pipeline.commands import backfill, runs
from tests.pipeline.cli import query
from tests.servers import Answer, CardServer, Received, success

STOPS_WITHIN_S = 10.0


def test_a_backfill_stops(
    tmp_path: Path, draw: Callable[..., bytes], credentials: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent 10 s later, though the rate would take 100 s more."""
    del credentials
    (tmp_path / "in").mkdir()
    for number in range(500):
        (tmp_path / "in" / f"{number:03}.jpg").write_bytes(draw(number))
    stopped_s: list[float] = []

    def answer(got: Received) -> Answer:
        return success(("passport", {"id": got.key[:12]}))

    def stop() -> None:
        while len(server.received) < 10:
            time.sleep(0.05)
        stopped_s.append(time.monotonic())
        assert runs.main([f"--output={tmp_path}/out", "--stop=first"]) == 0

    with CardServer(answer) as server:
        shown = [f"--input={tmp_path}/in/*.jpg", f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}"]
        operator = threading.Thread(target=stop)
        operator.start()
        status = backfill.main([*shown, "--max_requests_per_second=5", "--run_id=first"])
        operator.join()
        sent, last_s = len(server.received), max(got.at_s for got in server.received)
        assert last_s - stopped_s[0] < STOPS_WITHIN_S
        assert 10 <= sent < 100
        assert backfill.main([*shown, "--max_requests_per_second=0", "--run_id=second"]) == 0
    receipt = read_receipt(LocalFolder(f"{tmp_path}/out"), "first")
    assert receipt is not None
    assert (status, receipt.status, receipt.stopped_by, receipt.reconciled) == (130, "interrupted", "stopped", True)
    assert "run first: sends nothing more" in capsys.readouterr().out
    assert query(tmp_path / "out", "SELECT count(*), count(DISTINCT item_id) FROM passport") == [(500, 500)]
    for run_id, message in (
        ("none", f"there is no run none in --output {tmp_path}/out: `runs` lists them"),
        ("first", "run first has ended already, with status interrupted"),
    ):
        with pytest.raises(UsageError) as error:
            runs.main([f"--output={tmp_path}/out", f"--stop={run_id}"])
        assert str(error.value) == message
