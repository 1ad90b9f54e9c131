"""The graph as a runner gets it: whole, without a secret, its code in the package that travels with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    ReplaySettings,
    Settings,
    WatchSettings,
)
from pipeline import graph
from pipeline.cli.options import parse_run
from tests.docs import pages
from tests.engines import install, secrets

ROOT = Path(__file__).resolve().parents[2]
KEY, SECRET, CARD = "planted-key-5d1f0c", "planted-secret-77aa01", "ĐẶNG THỊ CẤY 079301"
STARTED = datetime(2026, 11, 22, 1, tzinfo=timezone.utc)
RUNNERS = {
    "flink": [
        "--runner=FlinkRunner",
        "--flink_master=flink:8081",
        "--environment_type=EXTERNAL",
        "--environment_config=localhost:50000",
    ],
    "spark": [
        "--runner=SparkRunner",
        "--spark_master_url=spark://spark:7077",
        "--environment_type=EXTERNAL",
        "--environment_config=localhost:50000",
    ],
    "dataflow": [
        *("--runner=DataflowRunner", "--project=p", "--region=asia-southeast1", "--temp_location=gs://b/tmp"),
        "--sdk_container_image=registry/cardbeam:1",
    ],
    "prism": ["--runner=PrismRunner"],
}


def _settings(tmp_path: Path, replay: ReplaySettings | None = None) -> Settings:
    """A run over a folder whose images, journal and credentials hold what must not travel."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "front.jpg").write_text(CARD)
    (tmp_path / "credentials.json").write_text(json.dumps({"api_key": KEY, "api_secret": SECRET}))
    return Settings(
        InputSettings((f"{tmp_path}/in/*.jpg",)),
        EndpointSettings(credentials_uri=str(tmp_path / "credentials.json")),
        RateSettings(max_requests_per_second=50, max_calls=100),
        OutputSettings(str(tmp_path / "out"), "night"),
        replay,
    )


WATCH = WatchSettings(notifications="kafka://broker:9092/new", kafka_config_uri="s3://secrets/kafka.json")
BUILDS: dict[str, Callable[[beam.Pipeline, Settings], object]] = {
    "backfill": lambda pipeline, settings: graph.backfill(pipeline, settings, STARTED),
    "replay": lambda pipeline, settings: graph.replay(pipeline, settings, STARTED),
    "publish": lambda pipeline, settings: graph.publish(pipeline, settings.output, ["night"]),
    "watch": lambda pipeline, settings: graph.watch(pipeline, settings, WATCH, "session", STARTED),
}


def _translated(
    command: str, options: list[str], settings: Settings
) -> tuple[beam_runner_api_pb2.Pipeline, PipelineOptions]:
    parsed = PipelineOptions(options)
    pipeline = beam.Pipeline(runner="FnApiRunner", options=parsed)  # it stays here: nothing is submitted
    BUILDS[command](pipeline, settings)
    return pipeline.to_runner_api(), parsed


@pytest.mark.parametrize("command", BUILDS)
@pytest.mark.parametrize("runner", RUNNERS)
def test_no_secret_travels(runner: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the graph nor the options hold credentials or anything of a card, whichever runner they are for."""
    monkeypatch.setenv("CARD_API_KEY", KEY)
    monkeypatch.setenv("CARD_API_SECRET", SECRET)
    settings = _settings(tmp_path, ReplaySettings() if command == "replay" else None)
    translated, options = _translated(command, RUNNERS[runner], settings)
    places = [
        ("graph", translated.SerializeToString()),
        ("options", json.dumps(options.get_all_options(), default=str).encode()),
    ]
    assert secrets.leaks(places, (KEY, SECRET, CARD)) == []


def test_the_graph_is_as_large_for_a_hundred_thousand_images_as_for_a_thousand(tmp_path: Path) -> None:
    """Whatever a run's manifest lists, a runner gets the same graph."""
    settings, night = _settings(tmp_path), tmp_path / "night.txt"
    sizes = []
    for images in (1_000, 100_000):
        night.write_text("".join(f"{tmp_path}/in/{number:06}.jpg\n" for number in range(images)))
        translated, _ = _translated("backfill", RUNNERS["flink"], replace(settings, input=InputSettings((str(night),))))
        sizes.append(translated.ByteSize())
    assert abs(sizes[0] - sizes[1]) < 100  # ids of the launch, compressed
    assert max(sizes) < 100_000


def test_what_is_planted_would_be_found(tmp_path: Path) -> None:
    """A secret in a function's closure, which travels pickled, compressed and as base64, is seen by the search."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    held = {"secret": SECRET}
    _ = pipeline | beam.Create([1]) | beam.Map(lambda one: (one, held))
    found = secrets.leaks([("graph", pipeline.to_runner_api().SerializeToString())], (SECRET,))
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log", CARD)
    assert (found, secrets.leaks(secrets.files(tmp_path), (CARD,))) == (["graph"], [str(packed)])


@pytest.mark.parametrize("command", BUILDS)
def test_the_graph_comes_back_from_what_is_sent(command: str, tmp_path: Path) -> None:
    """Everything in a graph pickles, and another process makes the same steps from it."""
    settings = _settings(tmp_path, ReplaySettings() if command == "replay" else None)
    sent, options = _translated(command, RUNNERS["prism"], settings)
    again = beam.Pipeline.from_runner_api(sent, "FnApiRunner", options).to_runner_api()
    names = [
        sorted(one.unique_name for one in translated.components.transforms.values()) for translated in (sent, again)
    ]
    assert names[0] == names[1]
    assert pickler.loads(pickler.dumps(settings)) == settings


def test_the_graph_is_of_one_size(tmp_path: Path) -> None:
    """A graph grows with its stages, not with what it will find."""
    few = _settings(tmp_path)
    size = len(_translated("backfill", RUNNERS["flink"], few)[0].SerializeToString())
    for number in range(500):
        (tmp_path / "in" / f"{number}.jpg").write_text(CARD)
    grown = len(_translated("backfill", RUNNERS["flink"], few)[0].SerializeToString())
    assert grown == pytest.approx(size, rel=0.01)  # ids of each launch compress a little differently


@pytest.mark.slow
def test_the_package_that_travels(tmp_path: Path) -> None:
    """What `--setup_file` sends installs as a worker installs it, and holds every module and file that is ours."""
    try:
        packages_there = str(install.worker_packages())
    except install.NotInstalled as why:
        pytest.skip(str(why))
    environment = {**os.environ, "PYTHONPATH": packages_there, "PYTHONSAFEPATH": "1"}
    sdist = [sys.executable, "setup.py", "-q", "egg_info", f"--egg-base={tmp_path}", "sdist", f"--dist-dir={tmp_path}"]
    subprocess.run(sdist, cwd=ROOT, env=environment, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", f"--target={target}"]
    subprocess.run([*pip, str(archive)], cwd=tmp_path, env=environment, check=True, capture_output=True)
    packages = ("schemas", "transforms", "pipeline", "endpoint")
    ours = {
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".html", ".npz") and "__pycache__" not in path.parts
    }
    installed = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert ours - installed == set()
    modules = sorted(
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name in ours
        if name.endswith(".py") and not name.startswith("endpoint") and not name.endswith("__main__.py")
    )
    imported = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _IMPORT, str(target), environment["PYTHONPATH"], *modules],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (imported.returncode, imported.stdout.split()) == (0, [str(target)]), imported.stderr


_IMPORT = """
import importlib, pathlib, sys
sys.path[:0] = sys.argv[1:3]
found = [importlib.import_module(name) for name in sys.argv[3:]]
print(*{pathlib.Path(module.__file__).relative_to(sys.argv[1]) and sys.argv[1] for module in found})
"""


def _commands() -> dict[str, list[str]]:
    """The options that the pages give for each runner, as a shell reads them."""
    return {
        f"{command.page} {word}": list(command.words[2:])
        for command in pages.commands()
        for word in command.words[1:]
        if word.startswith("--runner=") and command.words[1] == "backfill"
    }


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in _commands().items()])
def test_the_options_that_are_documented(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of the pages holds options that we and this version of Beam know, with values that can be."""
    monkeypatch.setenv("INPUT", "in")
    monkeypatch.setenv("OUTPUT", "s3://tables/cards")
    settings, _ = parse_run("backfill", "", options)  # which raises for any other
    assert settings.input.input and settings.output.output
