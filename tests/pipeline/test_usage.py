"""What is asked wrongly ends with one clear line and its exit status, before anything is paid."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cardbeam.storage.errors import StoreRefused
from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.commands import demo, publish
from tests.pipeline.cli import ENVIRONMENT, ROOT
from tests.pipeline.nights import SECOND, ledger_record, write_run
from tests.servers import CardServer, failure, success
from tests.wire import Received

_GIVEN = ("--input=IN/*.jpg", "--output=OUT")


@pytest.fixture
def image(tmp_path: Path, jpeg: bytes) -> Path:
    """One card in a folder."""
    path = tmp_path / "in" / "card.jpg"
    path.parent.mkdir()
    path.write_bytes(jpeg)
    return path


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input=IN/*.jpg"], "--output is missing: give a folder or a bucket prefix"),
        (["--output=OUT"], "--input is missing: give a glob, a folder or a manifest"),
        (
            ["--input=IN/*.jpg", "--output=OUT", "--max_in_fligth=3"],
            "unknown option --max_in_fligth; did you mean --max_in_flight?",
        ),
        ([*_GIVEN, "--max_in_flight=x"], "argument --max_in_flight: invalid int value: 'x'"),
        (["--input=IN/*.png", "--output=OUT"], "--input IN/*.png holds no image"),
        (["--input=", "--output=OUT"], "--input is empty: give a glob, a folder or a manifest"),
        (["--input=file://in", "--output=OUT"], "--input file://in names the host in, expected file:///PATH"),
        (["--input=IN/\udcff", "--output=OUT"], "--input is no UTF-8 text: give it as file:///PATH"),
        ([*_GIVEN, "--output=OUT\udcff"], "--output is no UTF-8 text: give it as file:///PATH"),
        (["--input=s3://", "--output=OUT"], "--input s3:// names no bucket, expected s3://BUCKET/…"),
        (["--input=IN/*.jpg", "--output=s3://"], "--output s3:// names no bucket, expected s3://BUCKET/…"),
        (["--input=IN/*.jpg", "--output=file://out"], "--output file://out names the host out, expected file:///PATH"),
        (["--input=IN/none.csv", "--output=OUT"], "--input IN/none.csv: there is no such manifest"),
        (["--input=IN/bad.csv", "--output=OUT"], "--input IN/bad.csv, line 3: uri is empty"),
        (
            ["--input=IN/bad.jsonl", "--output=OUT"],
            "--input IN/bad.jsonl, line 2: not JSON",
        ),
        (
            [*_GIVEN, "--operation=ekyc/cards", "--side_pattern=front"],
            "--side_pattern: expected the named groups front and back",
        ),
        (
            ["--input=IN/*.jpg", "--output=OUT", "--endpoint_url=ftp://x"],
            "--endpoint_url is not a URL: expected http(s)://host/path",
        ),
        ([*_GIVEN, "--endpoint_url=http://[::1/api"], "--endpoint_url is not a URL"),
        ([*_GIVEN, "--endpoint_url=http://x:port/api"], "--endpoint_url is not a URL"),
        ([*_GIVEN, "--endpoint_url=http://x y/api"], "--endpoint_url is not a URL"),
        ([*_GIVEN, "--endpoint_url=https://u:p@x/api"], "--endpoint_url holds credentials"),
        ([*_GIVEN, "--endpoint_url=https://x/api?"], "--endpoint_url holds credentials, a query or a fragment"),
        ([*_GIVEN, "--endpoint_url=https://x/api#v2"], "--endpoint_url holds credentials, a query or a fragment"),
        (["--input=S3://", "--output=OUT"], "--input s3:// names no bucket, expected s3://BUCKET/…"),
        (["--input=FILE:IN/none.csv", "--output=OUT"], "there is no such manifest"),
        (["--input=IN/list.xlsx", "--output=OUT"], "a .xlsx file is neither an image nor a manifest; expected one of"),
        (["--input=https://x/*.jpg", "--output=OUT"], "a web server lists nothing; name its images in a manifest"),
        (
            ["--input=IN/*.jpg", "--output=OUT", "--max_requests_per_second=-1"],
            "--max_requests_per_second is -1.0, expected 0 or more",
        ),
        (
            [*_GIVEN, "--max_requests_per_second=nan"],
            "--max_requests_per_second is nan, expected 0 to 1,000,000,000",
        ),
        ([*_GIVEN, "--timeout_s=inf"], "--timeout_s is inf, expected 0.1 to 1,000,000,000"),
        ([*_GIVEN, "--run_id=a/b"], "--run_id is 'a/b', expected letters, digits"),
        ([*_GIVEN, "--run_id=.."], "--run_id is '..', expected letters, digits"),
        (
            ["--input=IN/*.jpg", "--output=OUT", "--credentials_uri=IN/none.json"],
            "--credentials_uri IN/none.json cannot be read",
        ),
    ],
)
def test_bad_usage(
    arguments: list[str], message: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each wrong use is named in one line, with status 2, and leaves no output."""
    folder = str(image.parent)
    Path(folder, "bad.csv").write_text("uri,customer\n/a.jpg,7\n,8\n")
    Path(folder, "bad.jsonl").write_text('{"uri": "/a.jpg"}\n{"uri"\n')
    reported = [one.replace("IN", folder).replace("OUT", str(tmp_path / "out")) for one in arguments]
    assert main(["backfill", *reported]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("run.sh backfill: ")
    assert message.replace("IN", folder) in line
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("command", ["backfill", "plan", "watch"])
def test_an_output_among_the_images(command: str, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables that the next run would take for images are refused by every command that lists."""
    assert main([command, f"--input={image.parent}", f"--output={image.parent}/tables"]) == 2
    assert f"--input {image.parent} holds --output {image.parent}/tables" in capsys.readouterr().err
    assert list(image.parent.iterdir()) == [image]


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("runner", ["FnApiRunner", "DirectRunner"])
def test_a_runner_that_cannot_watch(
    runner: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A runner that would never come to the first call is refused."""
    given = [f"--input={image.parent}", f"--output={tmp_path / 'out'}", f"--runner={runner}"]
    assert main(["watch", *given]) == 2
    assert f"--runner {runner} runs each stage to its end" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ddl", "report", "sql", "status"])
def test_an_output_that_cannot_be(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands that only read an output refuse one of an unknown scheme as the others do, with status 2."""
    assert main([command, "--output=ftp://x/y"]) == 2
    assert f"run.sh {command}: --output is ftp://x/y, expected a path or a URI of s3, s3a," in capsys.readouterr().err


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=NONE"], "there is no run in --output NONE yet: begin one with backfill or watch"),
        (["--output=OUT", "--run_id=nihgt"], "--run_id nihgt is no run in --output OUT; there are night"),
        (["--output=OUT", "--run_id=night", "--run_id=a-b.c"], "--run_id a-b.c is no run in --output OUT"),
        (["--output=OUT", "--codes=error_1,error_3"], "--codes error_1,error_3 is no code of a dead letter"),
    ],
)
def test_replay_of_nothing(
    arguments: list[str], message: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To replay what is not there is refused, and leaves no run behind."""
    places = {"OUT": str(tmp_path / "out"), "NONE": str(tmp_path / "none")}
    with CardServer(lambda _: failure("1")) as server:
        given = [f"--output={places['OUT']}", f"--endpoint_url={server.base_url}"]
        assert main(["backfill", f"--input={image}", *given, "--run_id=night"]) == 0
        for name, place in places.items():
            arguments, message = [one.replace(name, place) for one in arguments], message.replace(name, place)
        assert main(["replay", *arguments, f"--endpoint_url={server.base_url}"]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in Path(places["OUT"], "runs").iterdir() if path.is_dir()] == ["night"]


def test_no_credentials(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing credentials are bad usage, and the message says where they are looked for."""
    monkeypatch.delenv("CARD_API_KEY", raising=False)
    monkeypatch.delenv("CARD_API_SECRET", raising=False)
    assert main(["backfill", f"--input={image}", f"--output={tmp_path / 'out'}"]) == 2
    assert "CARD_API_KEY" in capsys.readouterr().err


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("error_code", "status", "calls", "words"),
    [
        ("5", 5, 2, "the credentials were refused"),
        ("6", 2, 2, "the endpoint rejects these calls"),
        ("4", 3, 1, "no requests left"),
    ],
)
def test_stopped_by_the_endpoint(
    error_code: str,
    status: int,
    calls: int,
    words: str,
    image: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A refusal that all images there are meet ends the run with its status, its calls counted, nothing failed."""
    Path(image.parent, "other.jpg").write_bytes(image.read_bytes() + b"\xff\xd9")
    with CardServer(lambda _: failure(error_code)) as server:
        arguments = [f"--input={image.parent}", f"--output={tmp_path / 'out'}", f"--endpoint_url={server.base_url}"]
        assert main(["backfill", *arguments]) == status
    assert len(server.received) == calls
    out = capsys.readouterr().out
    assert words in out
    assert f"{calls} sent, 0 retried, 0 answered" in out
    assert "0 dead-lettered, 2 deferred" in out


@pytest.mark.usefixtures("credentials")
def test_dead_endpoint(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An endpoint that is not there ends the run with status 4, everything deferred; once it is, a new run goes on."""
    output = tmp_path / "out"
    arguments = ["backfill", f"--input={image.parent}", f"--output={output}", "--max_attempts=1"]
    assert main([*arguments, "--endpoint_url=http://127.0.0.1:9/api/v2"]) == 4
    assert "unavailable (No connection to the endpoint could be opened" in capsys.readouterr().out

    def answer(_: Received) -> object:
        return success(("passport", {"id": "B1"}))

    with CardServer(answer) as server:  # type: ignore[arg-type]  # object for brevity
        assert main([*arguments, f"--endpoint_url={server.base_url}"]) == 0
    assert "1 answered" in capsys.readouterr().out


def test_publish_of_a_store_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Credentials that run out while tables are made end `publish` with the status of refused credentials."""

    def refuse(*_: object) -> None:
        try:
            raise StoreRefused("s3://b/x: the store refused the credentials")
        except StoreRefused as error:
            raise RuntimeError("a runner's own") from error

    write_run(LocalFolder(str(tmp_path)), SECOND, [ledger_record(SECOND, 0, ("0.jpg",), response=b"")])
    monkeypatch.setattr(publish.graph, "publish", refuse)
    assert main(["publish", f"--output={tmp_path}"]) == 5
    assert "publish failed: s3://b/x: the store refused the credentials" in capsys.readouterr().err


@pytest.mark.usefixtures("credentials")
def test_name_of_a_run(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name of a run cannot be used again: exit 2, with what to do, before anything is done."""
    with CardServer(lambda _: success(("passport", {"id": "B1"}))) as server:
        arguments = [f"--input={image}", f"--output={tmp_path / 'out'}", f"--endpoint_url={server.base_url}"]
        assert main(["backfill", *arguments, "--run_id=night"]) == 0
        assert main(["backfill", *arguments, "--run_id=night"]) == 2
        assert len(server.received) == 1
    text = "run night exists already: choose another --run_id or leave it out, a new run processes what is left"
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "run_id", "names_runner"),
    [("backfill", "Name of the run; default its start in UTC", True), ("publish", "default all.", True),
     ("status", "default the newest.", False)],
)  # fmt: skip
def test_help(command: str, run_id: str, names_runner: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Help says what --run_id means to this very command, and names runners only where one runs."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    reported = " ".join(capsys.readouterr().out.split())
    assert (run_id in reported, "Every option of Beam" in reported) == (True, names_runner)


@pytest.mark.slow
def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """Output that nobody reads any longer, as behind `| head`, ends a command as SIGPIPE does, without a word."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "pipeline", "ddl", f"--output={tmp_path}"]
    child = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False)
    os.close(write_end)
    assert (child.returncode, child.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("runs/train-1/weights.bin", b"x"),
        ("runs/train-1/run.json", b'{"loss": 1}'),
        ("runs/n/run.json", b'{"run_id": "n", "command": "backfill", "started_at": "2026-11-22", "settings": {}}'),
    ],
    ids=["another program's runs", "with a run.json", "paid answers"],
)
def test_a_demo_removes_only_a_demo(
    path: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that a demo did not write is left as it is."""
    there = tmp_path / path
    there.parent.mkdir(parents=True)
    there.write_bytes(content)
    assert main(["demo", f"--output={tmp_path}"]) == 2
    assert f"--output {tmp_path} is neither empty nor a demo's" in capsys.readouterr().err
    assert there.read_bytes() == content


@pytest.mark.parametrize("output", ["s3://tables/cards", "FILE"])
def test_a_demo_is_local(
    output: str, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A demo into a bucket, or onto a file, is refused; nothing is made of the URI's letters."""
    monkeypatch.chdir(image.parent)
    output = output.replace("FILE", str(image))
    assert main(["demo", f"--output={output}"]) == 2
    assert f"--output {output} is no folder on this machine" in capsys.readouterr().err
    assert list(image.parent.iterdir()) == [image]


def test_a_demo_without_its_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installed package has no cards: a demo says so, and makes nothing."""
    monkeypatch.setattr(demo, "_CARDS", tmp_path / "cards")
    assert main(["demo", f"--output={tmp_path / 'out'}"]) == 2
    assert "they are no part of the package; run the demo in a checkout" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["demo", "sql", "status"])
def test_an_unknown_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands that take no option of Beam name the nearest of their own."""
    assert main([command, "--output=o", "--outptu=x"]) == 2
    text = f"run.sh {command}: unknown option --outptu; did you mean --output?; see run.sh {command} --help\n"
    assert capsys.readouterr().err == text


def test_an_endpoint_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the packages of the endpoint are missing, one line names the extra that has them."""
    monkeypatch.delitem(sys.modules, "endpoint.__main__", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["endpoint", "--help"]) == 2
    text = "run.sh endpoint: uvicorn is not installed; pip install 'cardbeam[endpoint]'\n"
    assert capsys.readouterr().err == text


def test_plan_of_nothing(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An input without an image is refused by the plan, as the backfill will refuse it."""
    source = image.parent / "*.png"
    assert main(["plan", f"--input={source}", f"--output={tmp_path / 'out'}"]) == 2
    assert f"--input {source} holds no image" in capsys.readouterr().err


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """`run.sh --help` names the commands that the README lists, and those that run.sh serves by itself too."""
    assert main(["--help"]) == 0
    reported = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    table = Path(ROOT, "README.md").read_text().split("| command | does |\n| --- | --- |\n")[1].split("\n\n")[0]
    assert reported == {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split(" | ")[0])}


@pytest.mark.parametrize(
    ("command", "text"),
    [("backfill", "interrupted; the same command resumes the run\n"), ("status", "interrupted\n")],
)
def test_ctrl_c(command: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends a command with status 130, and a run that can be resumed with the word that it can."""

    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"pipeline.commands.{command}.main", interrupt)
    assert main([command]) == 130
    assert capsys.readouterr().err == text


def test_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command is told which there are."""
    assert main(["bakcfill"]) == 2
    assert "expected one of demo, backfill" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("credentials")
def test_an_input_that_may_be_empty(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to process is exit 2, and a complete run where it was said that there may be nothing."""
    given = [f"--input={image.parent}/*.png", f"--output={tmp_path / 'out'}", "--endpoint_url=http://127.0.0.1:9/api"]
    assert main(["backfill", *given]) == 2
    assert "holds no image: correct it, or give --allow_empty" in capsys.readouterr().err
    assert main(["backfill", *given, "--allow_empty"]) == 0
    assert "0 found" in capsys.readouterr().out
    assert main(["replay", *given[1:], "--codes=error_1"]) == 0
    assert "no dead letter matches --codes=error_1: there is nothing to replay" in capsys.readouterr().err
