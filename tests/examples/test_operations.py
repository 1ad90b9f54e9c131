"""What docs/operations.md, docs/monitoring.md and the examples say is taken, by us and by the tools that read them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from cardbeam.config.settings import InputSettings, Settings, WatchSettings
from pipeline.catalog.views import connect
from pipeline.cli.layered_options import layer
from pipeline.cli.options import known_options, our_parser, parse_run
from pipeline.commands.plan import Plan, plan_facts
from pipeline.report.checks import read_checks
from pipeline.report.default_checks import default_checks
from tests.pipeline.nights import write_nights

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("operations", "monitoring")}
COMMANDS = [shlex.split(line) for page in PAGES.values() for line in page.splitlines() if line.startswith("./run.sh ")]
DUE = {"INPUT": "in/*.jpg", "OUTPUT": "out"}


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[1] in ("backfill", "plan", "doctor")])
def test_each_command_of_a_run_is_taken(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the example's file, whose variables are set."""
    for name, value in DUE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    settings, _ = parse_run(words[1], "", [word for word in words[2:] if not word.startswith("--format")])
    assert isinstance(settings, Settings)
    assert (settings.input.input, settings.output.output) == (("in/*.jpg",), "out")
    assert (settings.rate.max_cost, settings.rate.price_per_call) == (250.0, 0.02)
    assert settings.rate.until == ("06:00" if words[1] == "backfill" else "")
    assert plan_facts(Plan(2, 0, 0, 2, 0), settings.rate)["max_price"] == 0.04


def test_the_other_commands_are_there() -> None:
    runs = {"backfill", "plan", "doctor", "config"}
    assert {words[1] for words in COMMANDS} == runs | {"sql", "runs", "status", "report"}


def test_the_file_holds_for_a_watch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is of another command alone is passed over."""
    options = known_options(our_parser("watch", "", (InputSettings, WatchSettings)), has_runner=False)
    monkeypatch.chdir(ROOT)
    found = layer("watch", ["--config=examples/run.toml"], options, DUE).sources
    assert found == dict.fromkeys(("input", "poll_interval_s"), "examples/run.toml")


def test_the_query_of_the_page_runs(tmp_path: Path) -> None:
    write_nights(tmp_path)
    query = next(words[-1] for words in COMMANDS if words[1] == "sql")
    assert len(connect(str(tmp_path)).sql(query).fetchall()) == 3


def test_the_checks_of_the_examples_are_valid() -> None:
    names = [check.name for check in read_checks(str(ROOT / "examples" / "checks.sql"))]
    assert names == ["no_birthday_in_the_future", "no_image_failed_three_times", "few_passports_without_a_number"]


def test_the_page_names_every_metric_and_every_default_check() -> None:
    telemetry = pytest.importorskip("cardbeam.telemetry")
    named = set(re.findall(r"`([a-z_.]+)`", PAGES["monitoring"]))
    assert set(telemetry.NAMES) <= named
    assert {check.name for check in default_checks([])} <= named


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Where systemd is installed; its program is put in place of ours, which is not at /opt."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for name in ("cardbeam.service", "cardbeam.timer"):
        text = (ROOT / "examples" / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/cardbeam/examples/nightly.sh", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "cardbeam.timer")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    own = [line for line in ended.stderr.splitlines() if "cardbeam" in line]
    assert (ended.returncode, own) == (0, [])


def test_kubernetes_takes_the_cron_job() -> None:
    """By the schema of its API, with unknown fields as errors."""
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((ROOT / "examples" / "cronjob.yaml").read_text())
    validate.validate(job, validate.latest_version(), strict=True)
    (rule,) = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [2, 5, 6]
