"""Every command of the pages is one that there is, with options that there are; what can run here does."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from datetime import date, timedelta
from functools import cache
from io import StringIO
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from pipeline import __main__ as front
from pipeline.cli.options import _beam_parser
from tests.docs.pages import ROOT, Command, commands
from tests.endpoint.conftest import AUTH, running_endpoint
from tests.servers import CardServer, success

COMMANDS = commands()
OURS = [command for command in COMMANDS if command.program in ("./run.sh", "cardbeam")]
OTHERS = [command for command in COMMANDS if command not in OURS]
OF_THE_SHELL = {"export", "pip", "curl"}
"""Programs of every machine; any other stands in a block that needs a cluster, or is a module or file of ours."""
OF_RUN_SH = {"bench", "check", "sbom", "setup", "test"}
WITH_RUNNER = {"backfill", "plan", "replay", "watch"}
RUN = {
    "backfill",
    "config",
    "ddl",
    "doctor",
    "evaluate",
    "plan",
    "publish",
    "replay",
    "report",
    "runs",
    "sql",
    "status",
}
NOT_HERE = {
    "--runner",
    "--stop",
    "--transfer",
    "--catalog",
    "--watch",
    "--no_wait",
    "--help",
    "--operation",
    "--compare",
}
"""Options of commands that need more than cards and an endpoint."""


@cache
def options_of(command: str) -> frozenset[str]:
    """The options that a command's help names, and those of Beam where it has a runner."""
    printed = StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        front.main([command, "--help"])
    ours = set(re.findall(r"--\w+", printed.getvalue()))
    return frozenset(ours | (set(_beam_parser().option_names()) if command in WITH_RUNNER else set()))


def test_pages_have_commands() -> None:
    """Else the blocks are written in a way that is not found."""
    assert {"backfill", "demo", "doctor", "endpoint", "plan", "replay", "sql", "watch"} <= {
        command.words[1] for command in OURS
    }


@pytest.mark.parametrize("command", [pytest.param(one, id=str(one)) for one in OURS])
def test_the_command_and_its_options_exist(command: Command) -> None:
    name = command.words[1]
    if name == "bench":
        assert [word for word in command.words[2:3] if not word.startswith("-") and word not in BENCHMARKS] == []
    elif name in OF_RUN_SH:
        assert [word for word in command.words[2:] if "/" in word and not (ROOT / word).exists()] == []
    elif name == "help" or name.startswith("--"):
        assert name in ("help", "--help")
    else:
        assert sorted(set(command.options) - options_of(name)) == []


@pytest.mark.parametrize("command", [pytest.param(one, id=str(one)) for one in OTHERS])
def test_another_program_is_known(command: Command) -> None:
    if not command.words or command.needs_cluster or command.program in OF_THE_SHELL:
        return
    assert command.program in ("python", "python3", ".ci/run")
    if command.words[1:2] == ("-m",):
        assert importlib.util.find_spec(command.words[2]) is not None
    else:
        assert all((ROOT / word).exists() for word in command.words[1:2])


def runnable() -> list[Command]:
    """One of each command and set of options, in the order of a life: runs first, then what reads them."""
    found: dict[tuple[str, ...], Command] = {}
    for command in OURS:
        if command.words[1] in RUN and not command.needs_cluster and not NOT_HERE & set(command.options):
            query = (command.words[-1],) if command.words[1] == "sql" else ()
            found.setdefault((command.words[1], *sorted(set(command.options)), *query), command)
    return sorted(found.values(), key=lambda command: command.words[1] not in ("backfill", "replay"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Command], list[str]]]:
    """Puts places and an endpoint of this machine into a command."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("passport-01.jpg", "passport-02.jpg", "bad-text.jpg"):
        shutil.copy(ROOT / "cards" / name, folder)
    (folder / "images.csv").write_text(f"uri,customer_id,branch\n{folder}/passport-01.jpg,C-1,north\n")
    tomorrow = date.today() + timedelta(days=1)
    with (
        CardServer(lambda got: success(("passport", {"id": got.key[:12]}))) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("CARD_API_KEY", "test-key")
        patch.setenv("CARD_API_SECRET", "test-secret-9f2c")
        patch.setenv("INPUT", f"{folder}/*.jpg")
        patch.setenv("OUTPUT", f"{folder}/out")
        patch.chdir(ROOT)

        def here(command: Command) -> list[str]:
            words = [_local(word, folder) for word in command.words[1:]]
            if words[0] in ("backfill", "replay", "doctor") or words[0] == "plan":
                words.append(f"--endpoint_url={server.base_url}")
            if words[0] == "backfill":
                words.append(f"--until={tomorrow}T23:59")
            return words

        yield here


def _local(word: str, folder: Path) -> str:
    name, _, value = word.partition("=")
    if name == "--input":
        return f"--input={folder}/{'images.csv' if value.endswith('.csv') else '*.jpg'}"
    places = {"--output": "out", "--rate_uri": "rate"}
    return f"{name}={folder}/{places[name]}" if name in places else word


@pytest.mark.slow
def test_what_can_run_here_runs(
    place: Callable[[Command], list[str]], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Over two of the demo's cards and a file that is not an image."""
    ended = {}
    for command in runnable():
        ended[str(command)] = (front.main(place(command)), capsysbinary.readouterr().err)
    assert len(ended) > 20
    assert {name: found for name, found in ended.items() if found[0] != 0} == {}


@pytest.mark.slow
def test_curl_reads_a_card(tmp_path: Path) -> None:
    """The example of endpoint/README.md, against the embedded endpoint with its reader."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (command,) = [one for one in OTHERS if one.program == "curl"]
    assert f"{AUTH[0]}:{AUTH[1]}" in command.words
    reader = "endpoint.reader.card_reader:CardReader"
    with running_endpoint(tmp_path, "--workers=1", reader=reader) as ready:
        words = [word.replace("http://127.0.0.1:8000", ready.root_url) for word in command.words]
        answer = json.loads(subprocess.run(words, cwd=ROOT, capture_output=True, check=True, timeout=120).stdout)
    (card,) = answer["data"]
    assert (answer["errorCode"], card["type"], card["valid"]) == ("0", "chip_id_card_front", "True")
