"""SIGTERM, SIGINT and SIGHUP at random moments of backfill, publish and watch lose nothing and pay nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines import install
from tests.pipeline.killing import Kills, answer, backfill_arguments, by_signals, draw_images, kill_everything
from tests.servers import CardServer

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.usefixtures("credentials")]


def test_signals_at_random_moments(tmp_path: Path) -> None:
    """Two in each; `python -m tests.pipeline.killing --images=400 --kills=20 --by_signals` gives twenty."""
    try:
        install.prism()
    except install.NotInstalled as error:
        pytest.skip(str(error))
    draw_images(tmp_path / "in", 150)
    output = str(tmp_path / "out")
    with CardServer(lambda got: answer(got, 0.05), keeps_content=False) as server:
        given = backfill_arguments(server, tmp_path / "in", output, 8)
        kills = Kills(backfill=2, publish=2, watch=2, longest_s=0.5, lost_each=0, end=by_signals())
        done, wrong = kill_everything(server, tmp_path / "in", given, output, kills)
    assert wrong == [], done
