"""The same graph keeps the same promises on each engine, which differ in the options of a run alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.card_server import NAME
from tests.engines import secrets
from tests.engines.engines import Child, Engine, fn_api, of_cluster, prism
from tests.engines.flink import FlinkCluster
from tests.engines.install import NotInstalled
from tests.engines.night import run_night
from tests.pipeline import cli

KEY, SECRET = "planted-key-5d1f0c", "planted-secret-77aa01"
IMAGES, RATE, IN_FLIGHT = 240, 40.0, 8


def _check(engine: Engine, tmp_path: Path) -> str:
    night = run_night(engine, tmp_path, images=IMAGES, rate=RATE, in_flight=IN_FLIGHT)
    assert night.validate() == [], night.report()
    return night.text


@pytest.mark.slow
@pytest.mark.parametrize("start", [fn_api, prism])
def test_a_night_on_this_machine(start, tmp_path: Path) -> None:
    """Killed in its calls and before its tables, given again: each image once, only what was in progress twice."""
    try:
        with start(tmp_path) as engine:
            _check(engine, tmp_path)
    except NotInstalled as why:
        pytest.skip(str(why))


@pytest.mark.slow
@pytest.mark.nightly
def test_a_night_on_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where task managers are killed; and no credential or card text in what the cluster keeps or tells."""
    monkeypatch.setitem(cli.ENVIRONMENT, "TMPDIR", str(tmp_path / "launcher"))
    (tmp_path / "launcher").mkdir()
    environment = {**cli.ENVIRONMENT, "CARD_API_KEY": KEY, "CARD_API_SECRET": SECRET}
    planted = (KEY, SECRET, NAME)
    try:
        with FlinkCluster(tmp_path / "engine", environment) as cluster:
            engine = of_cluster(cluster)
            found: list[str] = []

            def scan() -> None:
                """While a job runs: what it keeps of itself is removed at its end."""
                kept = secrets.files(tmp_path / "engine", tmp_path / "launcher", tmp_path / "out" / "runs")
                for places in (kept, cluster.all_it_tells(), cluster.command_lines()):
                    found.extend(secrets.leaks(places, planted))

            def strike(child: Child, arguments: list[str]) -> Child:
                child = engine.strike(child, arguments)
                scan()
                return child

            text = _check(replace(engine, strike=strike), tmp_path)
            scan()
    except NotInstalled as why:
        pytest.skip(str(why))
    assert found + secrets.leaks([("what it printed", text.encode())], planted) == []
