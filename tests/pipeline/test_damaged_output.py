"""Damaged files of an output: who pays or deletes stops with the file's name, who only reads warns and goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.runs.registry import Run, begin
from pipeline.runs.start_run import started_run
from tests.pipeline.nights import FIRST, HALF, SECOND, write_nights
from tests.records import answered, ends, segment, write_segment

EXIT_FAILED = 4
KILLED = "20261124T010000Z"
SEGMENT = f"journal/run_id={KILLED}/0a-000000.journal"
RECORDS = [answered(number, completed_at=number) for number in (1, 2, 3)]


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """Two runs that ended, one that has tables and no receipt, and one that was killed with its journal."""
    folder = write_nights(tmp_path / "out")
    for run_id in (FIRST, SECOND, KILLED):
        begin(folder, Run(run_id, "backfill", "2026-11-24T01:00:00+00:00"))
    write_segment(folder, SEGMENT, RECORDS)
    return folder


@pytest.fixture
def image(tmp_path: Path, jpeg: bytes, credentials: None) -> Path:
    path = tmp_path / "card.jpg"
    path.write_bytes(jpeg)
    return path


def flip(content: bytes) -> bytes:
    """The middle of the second record."""
    at = (ends(SEGMENT, RECORDS)[1] + ends(SEGMENT, RECORDS)[2]) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


Change = Callable[[bytes], bytes | None]
DAMAGE: list[tuple[str, Change, str]] = [
    (f"ledger/run_id={FIRST}", lambda _: None, "is missing, of which the receipt of run"),
    (f"ledger/run_id={FIRST}", lambda content: content[:-9], "bytes instead of"),
    (f"ledger/run_id={FIRST}", lambda _: b"", "has 0 bytes instead of"),
    (f"runs/{FIRST}/receipt.json", lambda content: content[:-9], "is not whole JSON"),
    (f"runs/{FIRST}/receipt.json", lambda _: b"[]", "is JSON of another kind"),
    (f"runs/{FIRST}/receipt.json", lambda content: content.replace(b'"format": 1', b'"format": 2'), "a newer format"),
    (f"runs/{FIRST}/receipt.json", lambda content: content.replace(b'"format": 1,', b""), "an older format"),
    (f"runs/{FIRST}/receipt.json", lambda content: content.replace(b'"found"', b'"lost"'), "has no requests.found"),
    (f"runs/{FIRST}/receipt.json", lambda content: content.replace(b"ledger/run", b"../ledger/run"), "names a file"),
    (f"runs/{FIRST}/receipt.json", lambda content: content.replace(FIRST.encode(), SECOND.encode()), "another run"),
    (f"runs/{KILLED}/run.json", lambda _: b"{", "is not whole JSON"),
    (f"runs/{KILLED}/run.json", lambda _: b"", "is empty"),
]
JOURNAL_DAMAGE: list[tuple[str, Change, str]] = [
    (SEGMENT, flip, "1 record is lost"),
    (SEGMENT, lambda content: b"CBJ1" + content[4:], "an older format, CBJ1"),
    (SEGMENT, lambda content: b"CBJ4" + content[4:], "a newer format, CBJ4"),
    (SEGMENT, lambda content: bytes(len(content)), "1 record is lost"),
    (SEGMENT, lambda _: b"", "1 record is lost"),
    (SEGMENT, lambda content: content[40:], "record is lost"),
]


def damage(folder: LocalFolder, path: str, change: Change) -> None:
    """Change a file, or the only one of a folder."""
    file = Path(folder.root, path)
    file = next(file.iterdir()) if file.is_dir() else file
    changed = change(file.read_bytes())
    file.unlink()
    if changed is not None:
        file.write_bytes(changed)


def files_of(folder: LocalFolder) -> dict[str, bytes]:
    """What is there, but for the lock."""
    return {file.path: folder.read(file.path) for file in folder.list("") if "lock.json" not in file.path}


@pytest.mark.parametrize(("path", "change", "what"), [*DAMAGE, *JOURNAL_DAMAGE])
def test_no_run_begins_over_damage(folder: LocalFolder, path: str, change: Change, what: str) -> None:
    """Before anything is paid, published or deleted the file is named; whatever there was is there still."""
    damage(folder, path, change)
    before = files_of(folder)
    settings = Settings(InputSettings(), EndpointSettings(), RateSettings(), OutputSettings(output=folder.root))
    with pytest.raises(DamagedFile, match=f"^{path}.*{what}"), started_run(folder, settings, "watch"):
        pytest.fail("a run has begun")
    assert files_of(folder) == before


@pytest.mark.parametrize("command", ["backfill", "replay", "publish"])
@pytest.mark.parametrize(("path", "change", "what"), [DAMAGE[0], DAMAGE[3], DAMAGE[10]])
def test_what_pays_or_deletes_ends_with_the_name(
    folder: LocalFolder,
    image: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    path: str,
    change: Change,
    what: str,
) -> None:
    """Exit 4, one line, nothing changed."""
    damage(folder, path, change)
    before = files_of(folder)
    endpoint = [] if command == "publish" else ["--endpoint_url=http://127.0.0.1:1/api/v2"]
    inputs = [f"--input={image}"] if command == "backfill" else []
    assert main([command, f"--output={folder.root}", *endpoint, *inputs]) == EXIT_FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"run.sh {command}: {path}")
    assert (what in line, files_of(folder)) == (True, before)


def test_publish_publishes_what_is_whole_of_a_damaged_journal(
    folder: LocalFolder, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names what is lost, in the receipt too, exit 4, and keeps the segment; runs begin once that is deleted."""
    damage(folder, SEGMENT, flip)
    assert main(["publish", f"--output={folder.root}"]) == EXIT_FAILED
    reported = capsys.readouterr().err.splitlines()[-1]
    assert reported.startswith(f"published without the records that are lost: {SEGMENT} is damaged at byte ")
    receipt = read_receipt(folder, KILLED)
    assert receipt is not None
    assert receipt.damaged == [{"path": SEGMENT, "records": 1}]
    assert (receipt.status, receipt.reconciled, receipt.requests["succeeded"]) == ("failed", False, 2)
    assert folder.read(SEGMENT) == flip(segment(SEGMENT, RECORDS))
    others = [read_receipt(folder, run_id) for run_id in (FIRST, SECOND, HALF)]
    assert [(one.status, one.damaged) for one in others if one] == [("complete", [])] * 2 + [("interrupted", [])]
    begun = Settings(InputSettings(), EndpointSettings(), RateSettings(), OutputSettings(output=folder.root))
    with pytest.raises(DamagedFile, match=f"^{SEGMENT} "), started_run(folder, begun, "backfill"):
        pytest.fail("a run has begun")
    folder.delete([SEGMENT])
    with started_run(folder, begun, "backfill") as run:
        assert run.run_id not in (FIRST, SECOND, HALF, KILLED)


def test_a_segment_that_is_restored_is_published_whole(folder: LocalFolder, image: Path) -> None:
    """Its run's receipt adds up then, and the journal is gone."""
    damage(folder, SEGMENT, flip)
    assert main(["publish", f"--output={folder.root}"]) == EXIT_FAILED
    write_segment(folder, SEGMENT, RECORDS)
    assert main(["publish", f"--output={folder.root}"]) == 0
    receipt = read_receipt(folder, KILLED)
    assert receipt is not None
    assert (receipt.status, receipt.reconciled, receipt.damaged) == ("interrupted", True, [])
    assert (receipt.requests["succeeded"], list(folder.list(SEGMENT))) == (3, [])


@pytest.mark.parametrize(("path", "change", "what"), [*DAMAGE[::3], *JOURNAL_DAMAGE[:2]])
def test_what_only_reads_warns_and_goes_on(
    folder: LocalFolder,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    path: str,
    change: Change,
    what: str,
) -> None:
    """Other runs are shown, and the file is named by what reads it."""
    damage(folder, path, change)
    before = files_of(folder)
    run_id = KILLED if KILLED in path else FIRST
    output = f"--output={folder.root}"
    statuses = [
        main(["status", output, f"--run_id={run_id}"]),
        main(["runs", output]),
        main(["sql", output, "--format=csv", f"SELECT count(*) FROM documents WHERE run_id = '{SECOND}'"]),
    ]
    assert (statuses[1:], files_of(folder)) == ([0, 0], before)
    assert statuses[0] in (0, EXIT_FAILED)  # its process is gone
    assert capsys.readouterr().out.splitlines()[-1] == "29"
    named = [message for message in caplog.messages if message.startswith(path)]
    assert named or (path.startswith("ledger/") and "bytes" in what)
