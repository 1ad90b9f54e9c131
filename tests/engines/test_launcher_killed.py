"""A launching process dies while its job lives on a cluster: no other calls beside it, nothing is paid twice after."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.card_server import TYPE
from benchmarks.images import write_images
from benchmarks.machine import endpoint
from tests.engines.flink import FlinkCluster
from tests.engines.install import NotInstalled
from tests.engines.night import JournalRecord, wait_for
from tests.engines.processes import kill_tree
from tests.pipeline import cli

IMAGES, RATE, IN_FLIGHT = 240, 8, 4


@pytest.mark.slow
@pytest.mark.nightly
def test_a_lost_launcher_is_followed_once_its_workers_have_ended(tmp_path: Path) -> None:
    """Killed in its calls. The same command is refused while the job calls on, and goes on when it was cancelled."""
    write_images(tmp_path / "in", IMAGES, 2_000)
    try:
        with (
            endpoint(0.1) as server,
            FlinkCluster(tmp_path / "engine", cli.ENVIRONMENT, task_managers=1, has_our_code=True) as cluster,
        ):
            given = [f"--input={tmp_path}/in/*.jpg", f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}"]
            given += [f"--max_requests_per_second={RATE}", f"--max_in_flight={IN_FLIGHT}", *cluster.options()]
            child, processed = cli.start("backfill", *given), JournalRecord(tmp_path / "out")
            wait_for(child, lambda: processed.count() >= 16)
            kill_tree(child)
            at_kill = processed.count()
            refused = cli.run("backfill", *given)
            called_on = processed.count() - at_kill
            cluster.cancel()
            left = IMAGES - processed.count()
            resumed = cli.run("backfill", *given, timeout_s=240)
            calls = len(server.served().came_s)
    except NotInstalled as why:
        pytest.skip(str(why))
    assert (refused.returncode, "workers of an earlier launch still call" in refused.stderr) == (2, True), refused
    assert called_on > 0
    assert left > 0
    assert resumed.returncode == 0, resumed.stderr
    assert 0 <= calls - IMAGES <= IN_FLIGHT
    assert cli.query(tmp_path / "out", f"SELECT count(*), count(DISTINCT item_id) FROM {TYPE}") == [(IMAGES, IMAGES)]
