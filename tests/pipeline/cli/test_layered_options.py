"""Command line, environment and file are merged in this order, and each value names its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.exit_codes import UsageError
from pipeline.cli.layered_options import Layered, Options, layer
from pipeline.cli.options import parse_run

OPTIONS = Options(
    {"output": False, "input": False, "max_calls": False, "get_thumb": True}, frozenset({"poll_interval_s"})
)


def toml(tmp_path: Path, text: str) -> str:
    """A configuration file."""
    path = tmp_path / "run.toml"
    path.write_text(text, "utf-8")
    return str(path)


def test_a_layer_replaces_those_below_it(tmp_path: Path) -> None:
    """A repeatable option too: its values are not mixed."""
    path = toml(tmp_path, 'input = ["f1", "f2"]\noutput = "f"\nmax_calls = 3\nget_thumb = true\npoll_interval_s = 2')
    environment = {"CARDBEAM_OUTPUT": "e", "CARDBEAM_INPUT": '["e1", "e2"]', "CARDBEAM_CONFIG": path}
    assert layer("backfill", ["--input=c", "--max_calls", "1"], OPTIONS, environment) == Layered(
        ["--get_thumb", "--output=e", "--input=c", "--max_calls", "1"],
        {"input": "command line", "max_calls": "command line", "output": "environment CARDBEAM_OUTPUT",
         "get_thumb": path},
    )  # fmt: skip


@given(sources=st.dictionaries(st.sampled_from(["output", "max_calls"]), st.sets(st.sampled_from("cef"))))
def test_the_highest_layer_wins(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, set[str]]) -> None:
    """c(ommand line) before e(nvironment) before f(ile), for each option by itself."""
    file = "".join(f'{name} = "f"\n' for name, layers in sources.items() if "f" in layers)
    environment = {f"CARDBEAM_{name.upper()}": "e" for name, layers in sources.items() if "e" in layers}
    path = toml(tmp_path_factory.mktemp("config"), file)
    line = [f"--{name}=c" for name, layers in sources.items() if "c" in layers]
    merged = layer("backfill", [f"--config={path}", *line], OPTIONS, environment).arguments
    found = {name: value for name, _, value in (one[2:].partition("=") for one in merged)}
    assert found == {"config": path, **{name: min(layers) for name, layers in sources.items() if layers}}


def test_a_table_is_for_its_command(tmp_path: Path) -> None:
    """It goes before the top level, and another command's is passed over."""
    path = toml(tmp_path, "max_calls = 1\n[backfill]\nmax_calls = 2\n[watch]\nnone_such = 3")
    assert layer("backfill", [f"--config={path}"], OPTIONS, {}).arguments == ["--max_calls=2", f"--config={path}"]


def test_variables_are_put_in(tmp_path: Path) -> None:
    """In each text, also in lists; a dollar sign without braces stays."""
    path = toml(tmp_path, 'output = "s3://${BUCKET}/${_DAY}/$x"\ninput = ["${BUCKET}"]')
    merged = layer("backfill", [f"--config={path}"], OPTIONS, {"BUCKET": "b", "_DAY": "1"}).arguments
    assert merged == ["--input=b", "--output=s3://b/1/$x", f"--config={path}"]


@pytest.mark.parametrize(("text", "flags"), [("true", ["--get_thumb"]), ("No", []), ("0", [])])
def test_a_flag_is_true_or_false(text: str, flags: list[str]) -> None:
    """As people write it."""
    assert layer("backfill", [], OPTIONS, {"CARDBEAM_GET_THUMB": text}).arguments == flags


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outptu = 1", ": unknown option --outptu; did you mean --output?"),
        ("[backfill]\npoll_interval_s = 1", ": unknown option --poll_interval_s"),
        ("output = [", " is not TOML: Invalid value (at end of document)"),
        ('output = "${NONE}"', ", output: the environment variable NONE is not set"),
        ("output = [{a = 1}]", ", output: expected a text, a number, true or false, or a list of them"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    """With the file and the key."""
    path = toml(tmp_path, text)
    with pytest.raises(UsageError) as error:
        layer("backfill", [f"--config={path}"], OPTIONS, {})
    assert str(error.value) == f"--config {path}{message}"


def test_other_mistakes_are_named(tmp_path: Path) -> None:
    """A file that is not there, one that is no text, a variable that is a slip; others' variables are passed over."""
    (tmp_path / "x").write_bytes(b"\xff")
    layer("backfill", [], OPTIONS, {"CARDBEAM_STORE_RETRY_S": "3"})
    for arguments, environment, message in (
        ([f"--config={tmp_path}/none"], {}, f"--config {tmp_path}/none cannot be read: No such file or directory"),
        ([f"--config={tmp_path}/x"], {}, f"--config {tmp_path}/x is not UTF-8 text"),
        ([], {"CARDBEAM_OUTPTU": "x"}, "Unknown environment variable CARDBEAM_OUTPTU. Did you mean CARDBEAM_OUTPUT?"),
        ([], {"CARDBEAM_GET_THUMB": "x"}, "environment CARDBEAM_GET_THUMB: get_thumb is 'x', expected true or false"),
    ):
        with pytest.raises(UsageError) as error:
            layer("backfill", arguments, OPTIONS, environment)
        assert str(error.value) == message


def test_a_run_is_told_by_a_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own options and those of the runner; the environment goes before."""
    path = toml(tmp_path, 'input = "in/*.jpg"\noutput = "out"\nrunner = "PrismRunner"\nmax_calls = 2')
    monkeypatch.setenv("CARDBEAM_MAX_CALLS", "3")
    settings, options = parse_run("backfill", "", [f"--config={path}"])
    assert (settings.input.input, settings.rate.max_calls, options.get_all_options()["runner"]) == (
        ("in/*.jpg",),
        3,
        "PrismRunner",
    )
